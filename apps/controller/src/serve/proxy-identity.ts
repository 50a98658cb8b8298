/**
 * Which proxies are agents and waypoints of this mesh.
 *
 * Pods say which proxies should be there: agents by their account, waypoints by the Gateway's label and the account it names.
 *
 * Rule: anybody may write a label or ask for configuration; the account decides.
 */
import type { MeshObject, ObjectKey, Pod } from '@ambit/api';
import {
  type AdminProxyKind,
  classKey,
  isOwnedBy,
  onDemandAccount,
  waypointAccount,
} from '@ambit/model';
import type { StreamView, XdsNode } from '@ambit/xds';

import { accountOf } from '../index/pod-index.ts';

const GATEWAY_LABEL = 'gateway.networking.k8s.io/gateway-name';

export interface ProxyIdentityOptions {
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly waypointOf: (node: XdsNode) => string | undefined;
  /** Of this mesh. */
  readonly revision?: string | undefined;
}

/** A proxy that runs, by its pod. */
export interface ExpectedProxy {
  readonly pod: ObjectKey;
  readonly kind: 'node-agent' | 'waypoint';
  /** Node, or `namespace/name` of the Gateway. */
  readonly name: string;
}

export class ProxyIdentity {
  readonly #options: ProxyIdentityOptions;

  constructor(options: ProxyIdentityOptions) {
    this.#options = options;
  }

  /** Agents by the account that they proved, waypoints by that which their Gateway names. */
  kindOf({ caller }: StreamView, node: XdsNode): AdminProxyKind {
    if (node.type === 'waypoint') {
      const waypoint = this.#options.waypointOf(node);
      const isOne = waypoint !== undefined && this.#runsAs(waypoint, node.serviceAccount);
      return isOne ? 'waypoint' : 'other';
    }
    const account = `${caller.namespace}/${caller.serviceAccount}`;
    return this.#options.trustedNodeAccounts.has(account) ? 'node-agent' : 'other';
  }

  /** By a pod that runs; whether a waypoint is ours is asked apart, since its Gateway may come later. */
  expectedOf(key: ObjectKey, pod: Pod): ExpectedProxy | undefined {
    if (pod.status.phase !== 'Running' || pod.status.terminating) return undefined;
    const { namespace, labels } = pod.metadata;
    if (this.#options.trustedNodeAccounts.has(`${namespace}/${accountOf(pod)}`)) {
      return { pod: key, kind: 'node-agent', name: pod.spec.nodeName };
    }
    const gateway = labels[GATEWAY_LABEL];
    return gateway === undefined
      ? undefined
      : { pod: key, kind: 'waypoint', name: `${namespace}/${gateway}` };
  }

  /** Anybody may write the label, and other meshes do: a waypoint runs as the account that its Gateway says. */
  isOurs({ pod, kind, name }: ExpectedProxy): boolean {
    const { objects } = this.#options;
    const object = objects.get(pod);
    if (kind === 'node-agent' || object?.kind !== 'Pod') return true;
    return this.#runsAs(name, accountOf(object));
  }

  /** Whether the waypoint `name` (`namespace/name`) runs as that account of its namespace. */
  #runsAs(name: string, account: string): boolean {
    const gateway = this.#options.objects.get(`Gateway/${name}`);
    if (gateway !== undefined && !this.#isOfRevision(gateway.metadata)) return false;
    if (gateway?.kind !== 'Gateway') return account === onDemandAccount(name);
    const gatewayClass = this.#options.objects.get(classKey(gateway));
    const own = waypointAccount(
      gateway,
      gatewayClass?.kind === 'GatewayClass' ? gatewayClass : undefined,
    );
    return account === own;
  }

  /** Another mesh's waypoints run as accounts of the same names. */
  #isOfRevision({ labels, namespace }: MeshObject['metadata']): boolean {
    const { objects, revision } = this.#options;
    return isOwnedBy(
      revision,
      labels,
      objects.get(`Namespace/${namespace}`)?.metadata.labels ?? {},
    );
  }
}
