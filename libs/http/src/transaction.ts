/** One request on its way through the phases: what is known of it so far, and what ends it. */
import type { Clock } from '@ambit/core';
import type { WaypointAuthorization } from '@ambit/model';
import type { Verdict } from '@ambit/policy';
import type { PhaseName, RouteDecision, WeightedCluster } from '@ambit/routing';
import type { HttpError, ResponseFlag } from './errors.ts';
import { HeaderList } from './headers.ts';
import type { HttpLimits } from './limits.ts';
import { type Exchange, isGrpc } from './message.ts';
import type { MeshPlane } from './plane.ts';
import type { HttpObserver, RequestRecord } from './record.ts';
import { RequestBody } from './request-body.ts';
import { newRequestId } from './request-id.ts';
import { RequestView } from './request-view.ts';
import type { Timers } from './timers.ts';
import type { ClusterState, ClusterStates, MeshEndpoint } from './upstream/cluster-state.ts';
import type { TryPool, UpgradePool } from './upstream/try.ts';

/** What all requests of one engine share. */
export interface EngineContext {
  readonly clock: Clock;
  readonly timers: Timers;
  /** In [0, 1). */
  readonly random: () => number;
  readonly limits: HttpLimits;
  readonly clusters: ClusterStates;
  readonly http1: UpgradePool;
  readonly http2: TryPool;
  readonly observer: HttpObserver;
  /** Our own SPIFFE id, for `x-forwarded-client-cert`. */
  readonly identity: () => string;
  readonly counters: EngineCounters;
}

export interface EngineCounters {
  requests: number;
  active: number;
  overloaded: number;
  mirrorsActive: number;
  mirrorsDropped: number;
  /** What housekeeping threw. */
  sweepErrors: number;
}

/** Who works on a request. */
export interface AbortListener {
  onAbort(reason: HttpError): void;
}

export type RoutedDecision = Exclude<RouteDecision, { readonly kind: 'no-route' }>;

export class Transaction {
  readonly exchange: Exchange;
  readonly plane: MeshPlane;
  /** What policies, routes and the upstream see: without what the client must not say. */
  readonly headers: HeaderList;
  readonly body: RequestBody | undefined;
  readonly isGrpc: boolean;
  readonly startedAtMs: number;
  readonly #startedAt: number;
  readonly #clock: Clock;
  #flags: ResponseFlag[] | undefined;
  #abort: AbortController | undefined;
  #cleanups: (() => void)[] | undefined;
  #requestId = '';
  #view: RequestView | undefined;
  #holder: ClusterState | undefined;
  #heldKey = '';
  /** Where the request is, and in the end which phase answered it. */
  phase: PhaseName = 'admit';
  /** After normalisation, without query. */
  path = '';
  /** With its `?`, or empty. */
  query = '';
  authorization: WaypointAuthorization | undefined;
  verdict: Verdict | undefined;
  decision: RoutedDecision | undefined;
  share: WeightedCluster | undefined;
  /** What its route makes of it. Made when policies of others than whose route it is are asked. */
  rewritten: RequestView | undefined;
  endpoint: MeshEndpoint | undefined;
  clusterName: string | undefined;
  attempts = 0;
  status = 0;
  grpcStatus: number | undefined;
  bytesSent = 0;
  /** Behind an upgrade. */
  bytesReceived = 0;
  error: HttpError | undefined;
  /** Why everything that is done for this request ends. Whoever works on it hears of it. */
  abortReason: HttpError | undefined;
  worker: AbortListener | undefined;

  constructor(exchange: Exchange, plane: MeshPlane, context: EngineContext) {
    const { head, body } = exchange;
    this.exchange = exchange;
    this.plane = plane;
    this.#clock = context.clock;
    this.#startedAt = context.clock.now();
    this.startedAtMs = context.clock.wallNow();
    this.headers = HeaderList.of(head.fields, head.neverIndexed);
    this.isGrpc = isGrpc(this.headers);
    this.body =
      body === undefined ? undefined : new RequestBody(body, context.limits.replayBytesMax);
  }

  /** Made when it is asked for first. */
  get requestId(): string {
    if (this.#requestId === '') {
      this.#requestId = newRequestId();
    }
    return this.#requestId;
  }

  set requestId(id: string) {
    this.#requestId = id;
  }

  get isAborted(): boolean {
    return this.abortReason !== undefined;
  }

  /** For what takes nothing cheaper than a signal. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.abortReason !== undefined) {
        this.#abort.abort(this.abortReason);
      }
    }
    return this.#abort.signal;
  }

  /** The first reason counts. */
  abort(reason: HttpError): void {
    if (this.abortReason === undefined) {
      this.abortReason = reason;
      this.#abort?.abort(reason);
      this.worker?.onAbort(reason);
    }
  }

  flag(flag: ResponseFlag): void {
    if (flag !== '-' && this.#flags?.includes(flag) !== true) {
      this.#flags ??= [];
      this.#flags.push(flag);
    }
  }

  /** What policies and routes see. Once its path has its one spelling. */
  get view(): RequestView {
    this.#view ??= new RequestView(this);
    return this.#view;
  }

  /** Counts it among the requests of the cluster until it is over. False: there are as many as may be. */
  holdPlace(cluster: ClusterState): boolean {
    const isHeld = cluster.breaker.hold('requests');
    this.#holder = isHeld ? cluster : undefined;
    return isHeld;
  }

  /** Counts it among the requests of an endpoint of that cluster until it is over. */
  holdEndpoint(cluster: ClusterState, key: string): void {
    cluster.hold(key);
    if (this.#heldKey === '') {
      this.#heldKey = key;
    } else {
      // Of a try before: rare.
      this.onOver(() => cluster.free(key));
    }
  }

  /** Runs when the request is over, last first. */
  onOver(cleanup: () => void): void {
    this.#cleanups ??= [];
    this.#cleanups.push(cleanup);
  }

  finish(): void {
    const cleanups = this.#cleanups;
    this.#cleanups = undefined;
    for (let index = (cleanups?.length ?? 0) - 1; index >= 0; index -= 1) {
      cleanups?.[index]?.();
    }
    const holder = this.#holder;
    this.#holder = undefined;
    if (holder !== undefined) {
      if (this.#heldKey !== '') {
        holder.free(this.#heldKey);
      }
      holder.breaker.release('requests');
    }
  }

  record(): RequestRecord {
    const { head } = this.exchange;
    const { caller, destination } = this.plane;
    const question = head.target.indexOf('?');
    return {
      kind: 'request',
      caller,
      destination,
      startedAtMs: this.startedAtMs,
      durationMs: this.#clock.now() - this.#startedAt,
      bytesReceived: this.body?.bytes ?? this.bytesReceived,
      bytesSent: this.bytesSent,
      flags: this.#flags ?? NO_FLAGS,
      protocol: head.version,
      isGrpc: this.isGrpc,
      method: head.method,
      authority: head.authority,
      path: question === -1 ? head.target : head.target.slice(0, question),
      requestId: this.requestId,
      status: this.status,
      attempts: this.attempts,
      phase: this.phase,
      grpcStatus: this.grpcStatus,
      verdict: this.verdict,
      routeName: this.decision?.routeName,
      endpoint: this.endpoint,
      clusterName: this.clusterName,
      error: this.error,
    };
  }
}

const NO_FLAGS: readonly ResponseFlag[] = Object.freeze(['-' as const]);
