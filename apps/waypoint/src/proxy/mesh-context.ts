/**
 * What one worker knows of the mesh, with what is derived from it kept until the next change.
 *
 * Everything kept is forgotten at a change (`changed`), so no answer outlives the configuration it was made from.
 */
import type { Caller, MeshEndpoint } from '@ambit/http';
import type { MeshIndex, ResolvedCluster, WaypointView, Workload } from '@ambit/model';
import type { ByteConn } from '@ambit/proxy';
import type { Cluster } from '@ambit/routing';

/** One workload as an endpoint, for policy. */
export interface Place {
  readonly workload: Workload;
  readonly targetPort: number;
}

export interface PlacePlan {
  /** Every place whose decision may differ from the others'. */
  readonly places: readonly Place[];
  /** More places than are looked at before the route. */
  readonly isCut: boolean;
}

export class MeshContext {
  readonly index: MeshIndex;
  readonly view: WaypointView;
  readonly dial: (endpoint: MeshEndpoint, caller: Caller, signal: AbortSignal) => Promise<ByteConn>;
  #endpoints = new WeakMap<Cluster, readonly MeshEndpoint[]>();
  readonly #plans = new Map<string, PlacePlan>();

  constructor(options: Pick<MeshContext, 'index' | 'view' | 'dial'>) {
    this.index = options.index;
    this.view = options.view;
    this.dial = options.dial;
  }

  /** Call after every change of addresses or objects. */
  changed(): void {
    this.#endpoints = new WeakMap();
    this.#plans.clear();
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

  /** Made once a destination and change. */
  plan(key: string, make: () => PlacePlan): PlacePlan {
    const known = this.#plans.get(key);
    if (known !== undefined) {
      return known;
    }
    const plan = make();
    this.#plans.set(key, plan);
    return plan;
  }
}
