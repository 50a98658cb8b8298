/**
 * What one worker knows of the mesh, with what is derived from it kept until the next change.
 *
 * Everything kept is forgotten at a change (`changed`), so no answer outlives the configuration it was made from.
 */
import type { Caller, MeshEndpoint } from '@ambit/http';
import { type MeshIndex, PolicyPlans, type ResolvedCluster, type WaypointView } from '@ambit/model';
import type { ByteConn } from '@ambit/proxy';
import type { Cluster } from '@ambit/routing';

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
    this.#endpoints = new WeakMap();
    this.policyPlans.clear();
  }

  /** The same array until the next change. */
  endpoints(resolved: ResolvedCluster): readonly MeshEndpoint[] {
    const known = this.#endpoints.get(resolved.cluster);
    if (known !== undefined) {
      return known;
    }
    const endpoints = this.view.endpoints(resolved);
    this.#endpoints.set(resolved.cluster, endpoints);
    return endpoints;
  }
}
