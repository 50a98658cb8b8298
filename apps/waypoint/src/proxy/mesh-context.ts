/**
 * What one worker knows of the mesh, with what is derived from it kept until the next change.
 *
 * Everything kept is forgotten at a change (`changed`), so no answer outlives the configuration it was made from.
 */
import type { Caller, MeshEndpoint, ResolvedCluster } from '@ambit/http';
import { type MeshIndex, PolicyPlans, type WaypointView } from '@ambit/model';
import type { ByteConn } from '@ambit/proxy';
import type { Cluster, ClusterRef } from '@ambit/routing';

/** A connection that somebody wants: to whom, for whom. */
export interface UpstreamCall {
  readonly endpoint: MeshEndpoint;
  readonly caller: Caller;
  /** Of the service that was meant. Undefined: the workload itself. */
  readonly host?: string;
  /** Whom the connection could go to at this moment, that endpoint included while it is one. */
  readonly endpoints: () => readonly MeshEndpoint[];
}

export class MeshContext {
  readonly index: MeshIndex;
  readonly view: WaypointView;
  readonly dial: (call: UpstreamCall, signal: AbortSignal) => Promise<ByteConn>;
  /** Another number after every change. */
  version = 0;
  #clusters = new WeakMap<ClusterRef, ResolvedCluster>();
  #endpoints = new WeakMap<Cluster, readonly MeshEndpoint[]>();
  readonly policyPlans = new PolicyPlans();

  constructor(options: Pick<MeshContext, 'index' | 'view' | 'dial'>) {
    this.index = options.index;
    this.view = options.view;
    this.dial = options.dial;
  }

  /** Call after every change of addresses or objects. */
  changed(): void {
    this.version += 1;
    this.#clusters = new WeakMap();
    this.#endpoints = new WeakMap();
    this.policyPlans.clear();
  }

  /** The same object for the same reference until the next change. Undefined: no such host, subset or port. */
  cluster(ref: ClusterRef): ResolvedCluster | undefined {
    const known = this.#clusters.get(ref);
    if (known !== undefined) {
      return known;
    }
    const resolved = this.view.cluster(ref);
    const mapping = resolved?.service.ports.find(({ servicePort }) => servicePort === ref.port);
    if (resolved === undefined || mapping === undefined) {
      return undefined;
    }
    const { cluster, service } = resolved;
    // One array for all references to a cluster, which is how a change of endpoints is seen.
    const endpoints = this.#endpoints.get(cluster) ?? this.view.endpoints(resolved);
    this.#endpoints.set(cluster, endpoints);
    const made = { cluster, service, endpoints, protocol: mapping.appProtocol };
    this.#clusters.set(ref, made);
    return made;
  }
}
