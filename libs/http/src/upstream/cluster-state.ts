/**
 * What this process remembers of each cluster: turn of the balancer, requests in flight, limits, ejections.
 *
 * State lives as long as the cluster's settings stay the same; new settings begin anew. Whoever is no longer an
 * endpoint is forgotten, which bounds it.
 */
import type { Clock } from '@ambit/core';
import type { Workload } from '@ambit/model';
import {
  type Balancer,
  CircuitBreaker,
  type Cluster,
  createBalancer,
  type Endpoint,
  OutlierState,
  type PickContext,
  pickEndpoint,
} from '@ambit/routing';
import { LateEndpoints } from './late-endpoints.ts';
import { Places } from './places.ts';

/** Clusters remembered; beyond, the oldest begins anew. */
const CLUSTERS_MAX = 50_000;

export type MeshEndpoint = Endpoint<Workload>;

export class ClusterState {
  readonly cluster: Cluster;
  readonly breaker: CircuitBreaker;
  /** Those of `breaker` for connections: held through here alone. */
  readonly places: Places;
  readonly late: LateEndpoints;
  readonly #balancer: Balancer;
  readonly #outlier: OutlierState | undefined;
  readonly #active = new Map<string, number>();
  readonly #clock: Clock;
  readonly #context: PickContext<MeshEndpoint>;
  readonly #isEjected = (endpoint: MeshEndpoint): boolean =>
    this.#outlier?.isEjected(endpoint.key) ?? false;
  #endpoints: readonly MeshEndpoint[] = [];
  #sweptAtMs: number;
  #successor: ClusterState | undefined;

  constructor(cluster: Cluster, options: { readonly clock: Clock; readonly random: () => number }) {
    this.cluster = cluster;
    this.breaker = new CircuitBreaker(cluster.connectionPool);
    this.places = new Places(this);
    this.#balancer = createBalancer(cluster.loadBalancer);
    this.#outlier =
      cluster.outlierDetection === undefined
        ? undefined
        : new OutlierState(cluster.outlierDetection);
    this.late = new LateEndpoints(options.clock);
    this.#clock = options.clock;
    this.#context = {
      random: options.random,
      active: ({ key }) => this.#active.get(key) ?? 0,
    };
    this.#sweptAtMs = options.clock.now();
  }

  /** Other settings hold. */
  get isReplaced(): boolean {
    return this.#successor !== undefined;
  }

  /** That of the settings that hold now. */
  get newest(): ClusterState {
    if (this.#successor === undefined) {
      return this;
    }
    this.#successor = this.#successor.newest;
    return this.#successor;
  }

  /** Other settings hold from now on: who waits for a place here may wait there. Once. */
  replaceWith(successor: ClusterState): void {
    this.#successor = successor;
    this.places.toSuccessor();
  }

  /** Undefined: nobody may serve. `endpoints` are those of now; the same array costs nothing. */
  pick(
    endpoints: readonly MeshEndpoint[],
    previous: ReadonlySet<string>,
  ): MeshEndpoint | undefined {
    this.#setEndpoints(endpoints);
    this.#sweep();
    if (endpoints.length === 1 && this.#outlier === undefined) {
      return endpoints[0];
    }
    return pickEndpoint({
      endpoints,
      balancer: this.#balancer,
      context: this.#context,
      isEjected: this.#isEjected,
      minHealthPercent: this.cluster.outlierDetection?.minHealthPercent ?? 0,
      previous: this.late.isEmpty ? previous : this.#lastOnes(endpoints, previous),
    });
  }

  /** Whom a request goes to only where nobody else is left. */
  #lastOnes(
    endpoints: readonly MeshEndpoint[],
    previous: ReadonlySet<string>,
  ): ReadonlySet<string> {
    const late = endpoints.filter(({ key }) => this.late.has(key)).map(({ key }) => key);
    return late.length === 0 ? previous : new Set([...previous, ...late]);
  }

  /** Counts a request in flight until disposed. */
  begin(key: string): Disposable {
    this.hold(key);
    return { [Symbol.dispose]: () => this.free(key) };
  }

  /** Counts a request in flight until as many calls of `free`. */
  hold(key: string): void {
    this.#active.set(key, (this.#active.get(key) ?? 0) + 1);
  }

  free(key: string): void {
    // The key stays until the endpoints change: a Map whose members come and go is collected late.
    this.#active.set(key, (this.#active.get(key) ?? 1) - 1);
  }

  /** `status` undefined: the endpoint gave no answer of its own. */
  record(key: string, status: number | undefined): void {
    if (this.#outlier === undefined) {
      return;
    }
    const outcome =
      status === undefined
        ? ({ kind: 'local-origin-failure' } as const)
        : ({ kind: 'response', status } as const);
    this.#outlier.record(key, outcome, this.#clock.now());
  }

  /** Requests in flight to all endpoints. */
  get active(): number {
    let sum = 0;
    for (const count of this.#active.values()) {
      sum += count;
    }
    return sum;
  }

  get ejected(): readonly string[] {
    return this.#endpoints
      .map((endpoint) => endpoint.key)
      .filter((key) => this.#outlier?.isEjected(key) ?? false);
  }

  #setEndpoints(endpoints: readonly MeshEndpoint[]): void {
    if (endpoints === this.#endpoints) {
      return;
    }
    this.#endpoints = endpoints;
    for (const [key, count] of this.#active) {
      if (count === 0) {
        this.#active.delete(key);
      }
    }
    this.#outlier?.setHosts(endpoints.map((endpoint) => endpoint.key));
    if (!this.late.isEmpty) {
      this.late.keep(new Set(endpoints.map(({ key }) => key)));
    }
  }

  /** Ejections end at an interval's boundary; nobody needs a timer to see that. */
  #sweep(): void {
    const intervalMs = this.cluster.outlierDetection?.intervalMs;
    if (intervalMs === undefined) {
      return;
    }
    const nowMs = this.#clock.now();
    if (nowMs - this.#sweptAtMs >= intervalMs) {
      this.#sweptAtMs = nowMs;
      this.#outlier?.sweep(nowMs);
    }
  }
}

interface KnownState {
  readonly state: ClusterState;
  readonly shape: string;
  /** The object that was asked for last. */
  cluster: Cluster;
}

/** States by cluster name. */
export class ClusterStates {
  readonly #states = new Map<string, KnownState>();
  readonly #options: { readonly clock: Clock; readonly random: () => number };

  constructor(options: { readonly clock: Clock; readonly random: () => number }) {
    this.#options = options;
  }

  get size(): number {
    return this.#states.size;
  }

  /** The state of this cluster; a new one when its settings changed. */
  of(cluster: Cluster): ClusterState {
    const known = this.#states.get(cluster.name);
    if (known?.cluster === cluster) {
      return known.state;
    }
    const shape = JSON.stringify(cluster);
    if (known !== undefined && known.shape === shape) {
      // A change elsewhere makes new objects of equal content; they are compared once each.
      known.cluster = cluster;
      return known.state;
    }
    const state = new ClusterState(cluster, this.#options);
    known?.state.replaceWith(state);
    this.#states.delete(cluster.name);
    this.#states.set(cluster.name, { state, shape, cluster });
    if (this.#states.size > CLUSTERS_MAX) {
      const [oldest] = this.#states.keys();
      this.#states.delete(oldest ?? '');
    }
    return state;
  }

  values(): readonly ClusterState[] {
    return [...this.#states.values()].map(({ state }) => state);
  }
}
