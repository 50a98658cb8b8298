/**
 * A waypoint's view of its scope: what an authority means, which policies decide, where requests may go.
 *
 * Pure: the same resources and objects give the same answers, at the waypoint and in `meshctl why`.
 * Whatever policy should be here and is not makes `missing`, and with it everything is refused.
 */
import type {
  DestinationRule,
  GRPCRoute,
  HTTPRoute,
  MeshObject,
  ObjectKey,
  TCPRoute,
  VirtualService,
} from '@ambit/api';
import {
  type Cluster,
  type ClusterRef,
  compileHttpRoutes,
  compileTcpRoutes,
  type Endpoint,
  type HttpRouteTable,
  isServiceMeant,
  parseAuthority,
  resolveCluster,
  resolveEndpoints,
  serviceKey,
  type TcpRouteTable,
} from '@ambit/routing';

import { keyOf } from '../objects/keys.ts';
import type { MeshService, Workload } from '../types.ts';
import { mayRoute } from '../waypoint/routes.ts';
import type { MeshIndex } from './mesh-index.ts';
import { type PolicyQuery, PolicySets, type WaypointViewOptions } from './policy-sets.ts';
import { type PolicySet, ScopedPolicies } from './scoped-policies.ts';

export type WaypointTarget =
  | { readonly kind: 'service'; readonly service: MeshService; readonly port: number }
  | { readonly kind: 'workload'; readonly workload: Workload; readonly port: number }
  | { readonly kind: 'unknown'; readonly text: string };

export interface ServiceRoutes {
  readonly http: HttpRouteTable;
  readonly tcp: TcpRouteTable;
}

export interface ResolvedCluster {
  readonly cluster: Cluster;
  readonly service: MeshService;
}

export class WaypointView {
  readonly #index: MeshIndex;
  readonly #options: WaypointViewOptions;
  readonly #policies: ScopedPolicies;
  readonly #virtualServices = new Map<ObjectKey, VirtualService>();
  readonly #destinationRules = new Map<ObjectKey, DestinationRule>();
  readonly #httpRoutes = new Map<ObjectKey, HTTPRoute>();
  readonly #grpcRoutes = new Map<ObjectKey, GRPCRoute>();
  readonly #tcpRoutes = new Map<ObjectKey, TCPRoute>();
  readonly #routes = new Map<string, ServiceRoutes>();
  readonly #clusters = new Map<string, Cluster | undefined>();
  readonly #sets: PolicySets;
  #indexVersion = -1;

  constructor(index: MeshIndex, options: WaypointViewOptions) {
    this.#index = index;
    this.#options = options;
    this.#policies = new ScopedPolicies(options);
    this.#sets = new PolicySets(index, this.#policies, options);
  }

  /** Answers which objects were refused, and why; kinds that a waypoint has no use for are refused too. */
  apply(delta: {
    readonly changed: Iterable<MeshObject>;
    readonly removed: Iterable<ObjectKey>;
  }): readonly { readonly key: ObjectKey; readonly error: string }[] {
    const refused: { key: ObjectKey; error: string }[] = [];
    for (const key of delta.removed) this.#remove(key);
    for (const object of delta.changed) {
      const error = this.#set(object);
      if (error !== undefined) refused.push({ key: keyOf(object), error });
    }
    this.#forget();
    return refused;
  }

  /** What a client meant by `ip:port`, `[v6]:port` or `hostname:port`. Services go before workloads, as agents see it. */
  target(authority: string, clientNamespace: string): WaypointTarget {
    const parsed = parseAuthority(authority);
    if (parsed?.port === undefined)
      return unknown(`authority "${authority.slice(0, 80)}" has no host and port`);
    const { host, port } = parsed;
    const ip = parsed.kind === 'ip' ? host : undefined;
    const service =
      ip === undefined
        ? this.#index.serviceByHostname(host, clientNamespace)
        : this.#index.serviceByAddress(this.#index.network, ip, clientNamespace);
    const workload =
      ip === undefined ? undefined : this.#index.workloadByAddress(this.#index.network, ip);
    if (service !== undefined && isServiceMeant(service, workload, { clientNamespace })) {
      return { kind: 'service', service, port };
    }
    if (workload !== undefined) return { kind: 'workload', workload, port };
    return unknown(`"${host}" is neither a service nor a workload of the mesh`);
  }

  /** The set for one endpoint of a service, or for a workload addressed by itself. See `PolicySets`. */
  policies(to: PolicyQuery): PolicySet {
    this.#refresh();
    return this.#sets.of(to);
  }

  /** Of a service without a workload behind it (its name is resolved elsewhere). */
  servicePolicies(service: MeshService): PolicySet {
    this.#refresh();
    return this.#sets.ofService(service);
  }

  /**
   * The set that holds for every endpoint of a service, so that it can be decided before routing;
   * undefined where endpoints differ, and each decides for itself once chosen.
   */
  sharedPolicies(service: MeshService, servicePort: number): PolicySet | undefined {
    this.#refresh();
    return this.#sets.shared(service, servicePort);
  }

  routes(service: MeshService): ServiceRoutes {
    this.#refresh();
    const key = serviceKey(service);
    const known = this.#routes.get(key);
    if (known !== undefined) return known;
    const scope = {
      service: {
        namespace: service.namespace,
        name: service.name,
        hostname: service.hostname,
        ports: service.ports.map(({ servicePort }) => servicePort),
      },
      clusterDomain: this.#options.clusterDomain,
      portsOf: (hostname: string) =>
        this.#serviceOfHost(hostname)?.ports.map(({ servicePort }) => servicePort),
    };
    const owners: readonly string[] = [service.namespace, this.#options.namespace];
    const virtualServices = [...this.#virtualServices.values()].filter((object) =>
      mayRoute(object, owners),
    );
    const routes = {
      http: compileHttpRoutes({
        ...scope,
        virtualServices,
        httpRoutes: [...this.#httpRoutes.values()],
        grpcRoutes: [...this.#grpcRoutes.values()],
      }),
      tcp: compileTcpRoutes({
        ...scope,
        virtualServices,
        tcpRoutes: [...this.#tcpRoutes.values()],
      }),
    };
    this.#routes.set(key, routes);
    return routes;
  }

  /** `undefined`: no such service, or no such subset (503, flag NC). */
  cluster(ref: ClusterRef): ResolvedCluster | undefined {
    this.#refresh();
    const service = this.#serviceOfHost(ref.host);
    if (service === undefined) return undefined;
    const id = `${ref.host} ${ref.port} ${ref.subset ?? ''}`;
    let cluster = this.#clusters.get(id);
    if (cluster === undefined) {
      cluster = resolveCluster(ref, service, {
        destinationRules: [...this.#destinationRules.values()],
        clientNamespace: this.#options.namespace,
        rootNamespace: this.#options.rootNamespace,
        clusterDomain: this.#options.clusterDomain,
      });
      this.#clusters.set(id, cluster);
    }
    return cluster === undefined ? undefined : { cluster, service };
  }

  endpoints({ cluster, service }: ResolvedCluster): readonly Endpoint<Workload>[] {
    return resolveEndpoints({
      service,
      port: cluster.ref.port,
      labels: cluster.subsetLabels,
      workloads: this.#index.endpoints(serviceKey(service)),
    });
  }

  #serviceOfHost(hostname: string): MeshService | undefined {
    return this.#index.serviceByHostname(hostname, this.#options.namespace);
  }

  #set(object: MeshObject): string | undefined {
    switch (object.kind) {
      case 'AuthorizationPolicy':
        return this.#policies.set(object);
      case 'VirtualService':
        this.#virtualServices.set(keyOf(object), object);
        return undefined;
      case 'DestinationRule':
        this.#destinationRules.set(keyOf(object), object);
        return undefined;
      case 'HTTPRoute':
        this.#httpRoutes.set(keyOf(object), object);
        return undefined;
      case 'GRPCRoute':
        this.#grpcRoutes.set(keyOf(object), object);
        return undefined;
      case 'TCPRoute':
        this.#tcpRoutes.set(keyOf(object), object);
        return undefined;
      case 'RequestAuthentication':
        // Known and not enforced: rules on what it would have proved never allow, and always deny.
        return undefined;
      case 'Namespace':
      case 'Node':
      case 'Pod':
      case 'Deployment':
      case 'Service':
      case 'EndpointSlice':
      case 'ServiceAccount':
      case 'ServiceEntry':
      case 'WorkloadEntry':
      case 'PeerAuthentication':
      case 'Gateway':
      case 'GatewayClass':
      case 'ReferenceGrant':
        return `a waypoint has no use for kind "${object.kind}"`;
      default:
        // A newer controller may know kinds that this proxy does not; ignoring one could be a hole.
        return `a waypoint does not know kind "${(object as { kind: string }).kind}"`;
    }
  }

  #remove(key: ObjectKey): void {
    this.#policies.remove(key);
    this.#virtualServices.delete(key);
    this.#destinationRules.delete(key);
    this.#httpRoutes.delete(key);
    this.#grpcRoutes.delete(key);
    this.#tcpRoutes.delete(key);
  }

  #refresh(): void {
    if (this.#indexVersion === this.#index.version) return;
    this.#indexVersion = this.#index.version;
    this.#forget();
  }

  #forget(): void {
    this.#routes.clear();
    this.#clusters.clear();
    this.#sets.clear();
  }
}

function unknown(text: string): WaypointTarget {
  return { kind: 'unknown', text };
}
