/**
 * Which policies decide for what goes through a waypoint, remembered until something changes.
 *
 * Whatever policy should be here and is not makes `missing`, and with it everything is refused.
 */
import type { ObjectKey } from '@ambit/api';
import type { CompiledPolicy } from '@ambit/policy';
import { serviceKey } from '@ambit/routing';

import { anyTarget } from '../objects/sources.ts';
import type { MeshService, Workload } from '../types.ts';
import type { MeshIndex } from './mesh-index.ts';
import type { PolicySet, ScopedPolicies } from './scoped-policies.ts';

export interface WaypointViewOptions {
  /** The waypoint itself. */
  readonly namespace: string;
  readonly name: string;
  readonly className: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly clusterDomain: string;
}

export interface PolicyQuery {
  readonly workload: Workload;
  readonly targetPort: number;
  /** Absent: the workload was addressed by itself. */
  readonly service?: MeshService;
}

/** Policy sets remembered until the next change. */
const POLICY_SETS_MAX = 16_384;

/** Written by the controller for agents: no object of a person stands behind them. */
const GENERATED = /\/(?:istio_converted_|converted_peer_authentication_|ambit_)/;

export class PolicySets {
  readonly #index: MeshIndex;
  readonly #policies: ScopedPolicies;
  readonly #options: WaypointViewOptions;
  readonly #sets = new Map<string, PolicySet>();
  /** Equal sets are one object, so that comparing them is comparing references. */
  readonly #interned = new Map<string, PolicySet>();

  constructor(index: MeshIndex, policies: ScopedPolicies, options: WaypointViewOptions) {
    this.#index = index;
    this.#policies = policies;
    this.#options = options;
  }

  clear(): void {
    this.#sets.clear();
    this.#interned.clear();
  }

  /**
   * The set for one endpoint of a service, or for a workload addressed by itself on a target port. Of a
   * workload, policies on any of its services with that port count: whoever comes by the pod's address
   * gets no more than by its services. So they do where a route leads from a service to endpoints of another, and where the service is
   * of another namespace: anybody may write an EndpointSlice of any addresses, and takes no policy off them.
   */
  of(to: PolicyQuery): PolicySet {
    const { workload, targetPort, service } = to;
    const key = service === undefined ? '' : serviceKey(service);
    const isOwn = service?.namespace === workload.namespace && workload.services[key] !== undefined;
    return this.#remember(`${workload.uid} ${key}${isOwn ? '' : `:${targetPort}`}`, () => {
      const services = [
        ...(service === undefined ? [] : [service]),
        ...(isOwn ? [] : this.#servicesOn(workload, targetPort)),
      ];
      const set = this.#policies.select(workload, this.#targetsOf(services));
      const { policies } = set;
      const missing = [...set.missing, ...this.#missingOf(workload)];
      const apart = this.#apart(to, services, policies);
      return apart.length === 0 ? { policies, missing } : { policies, missing, apart };
    });
  }

  /** Of a service without a workload behind it (its name is resolved elsewhere). */
  ofService(service: MeshService): PolicySet {
    return this.#remember(`service ${serviceKey(service)}`, () =>
      this.#policies.select(
        { namespace: service.namespace, labels: {} },
        this.#targetsOf([service]),
      ),
    );
  }

  /**
   * The set that holds for every endpoint of a service, so that it can be decided before routing;
   * undefined where endpoints differ, and each decides for itself once chosen.
   */
  shared(service: MeshService, servicePort: number): PolicySet | undefined {
    const key = serviceKey(service);
    let shared: PolicySet | undefined;
    for (const workload of this.#index.endpoints(key)) {
      const own = workload.services[key]?.find((port) => port.servicePort === servicePort);
      const set = this.of({ workload, targetPort: own?.targetPort ?? servicePort, service });
      if (shared !== undefined && shared !== set) return undefined;
      shared = set;
    }
    return shared ?? this.ofService(service);
  }

  /**
   * An ALLOW opens what is of its own namespace alone: those of the endpoint decide apart from those of the service that was
   * addressed, if that is of another namespace and has any. Those of the mesh and of the waypoint itself open both.
   */
  #apart(
    { workload, service }: PolicyQuery,
    services: readonly MeshService[],
    policies: readonly CompiledPolicy[],
  ): readonly (readonly CompiledPolicy[])[] {
    const { namespace, labels } = workload;
    const own = services.filter((one) => one.namespace === namespace);
    if (own.length === services.length) return [];
    const near = this.#policies.select(workload, this.#targetsOf(own)).policies.filter(isAllow);
    const { rootNamespace } = this.#options;
    const far =
      service === undefined || service.namespace === namespace
        ? []
        : this.#policies
            .select({ namespace: rootNamespace, labels }, this.#targetsOf([service]))
            .policies.filter(isAllow);
    const total = policies.filter(isAllow).length;
    return [near, far.every((policy) => near.includes(policy)) ? [] : far].filter(
      ({ length }) => length > 0 && length < total,
    );
  }

  #servicesOn(workload: Workload, targetPort: number): readonly MeshService[] {
    return Object.entries(workload.services).flatMap(([key, ports]) => {
      const service = this.#index.services.get(key);
      const isOn = ports.some((port) => port.targetPort === targetPort);
      return service !== undefined && isOn ? [service] : [];
    });
  }

  /** A hostname may come from either kind of object; names of the other kind name nothing here. */
  #targetsOf(services: readonly MeshService[]): readonly ObjectKey[] {
    const { namespace, name, className } = this.#options;
    return [
      ...services.flatMap((service) => {
        const isCluster = service.hostname.endsWith(`.svc.${this.#options.clusterDomain}`);
        const kinds = isCluster ? ['Service', 'ServiceEntry'] : ['ServiceEntry'];
        return kinds.flatMap((kind) => [
          `${kind}/${service.namespace}/${service.name}`,
          anyTarget(kind, service.namespace),
        ]);
      }),
      `Gateway/${namespace}/${name}`,
      anyTarget('Gateway', namespace),
      `GatewayClass/${className}`,
    ];
  }

  /** Policies that the workload's own resource names and that have not arrived. */
  #missingOf(workload: Workload): readonly string[] {
    const guarding = (workload.guard?.because ?? []).filter((key) =>
      key.startsWith('AuthorizationPolicy/'),
    );
    const named = workload.authorizationPolicies
      .filter((name) => !GENERATED.test(`/${name.slice(name.indexOf('/') + 1)}`))
      .map((name) => `AuthorizationPolicy/${name}`);
    return [...new Set([...guarding, ...named])]
      .filter((key) => !this.#policies.has(key))
      .map((key) => key.slice('AuthorizationPolicy/'.length));
  }

  #remember(id: string, make: () => PolicySet): PolicySet {
    const known = this.#sets.get(id);
    if (known !== undefined) return known;
    const made = make();
    const lists = [made.policies, ...(made.apart ?? [])].map(namesOf);
    const content = [made.missing.join(' '), ...lists].join('|');
    const set = this.#interned.get(content) ?? made;
    this.#interned.set(content, set);
    if (this.#sets.size >= POLICY_SETS_MAX) this.#sets.clear();
    this.#sets.set(id, set);
    return set;
  }
}

function isAllow({ action, dryRun }: CompiledPolicy): boolean {
  return action === 'ALLOW' && !dryRun;
}

function namesOf(policies: readonly CompiledPolicy[]): string {
  return policies.map(({ namespace, name }) => `${namespace}/${name}`).join(' ');
}
