/** One request on its way through the phases: what is known of it so far. */
import { randomUUID } from 'node:crypto';
import type { Clock } from '@ambit/core';
import type { WaypointAuthorization } from '@ambit/model';
import type { Verdict } from '@ambit/policy';
import type { HttpRequestView, RouteDecision, WeightedCluster } from '@ambit/routing';
import type { HttpError, ResponseFlag } from './errors.ts';
import type { HeaderList } from './headers.ts';
import type { HttpLimits } from './limits.ts';
import { type Exchange, isGrpc } from './message.ts';
import type { MeshPlane } from './plane.ts';
import type { HttpObserver, RequestRecord } from './record.ts';
import { RequestBody } from './request-body.ts';
import type { ClusterStates, MeshEndpoint } from './upstream/cluster-state.ts';
import type { Http2Sessions } from './upstream/http2.ts';
import type { SocketPool } from './upstream/socket-pool.ts';

/** What all requests of one engine share. */
export interface EngineContext {
  readonly clock: Clock;
  /** In [0, 1). */
  readonly random: () => number;
  readonly limits: HttpLimits;
  readonly clusters: ClusterStates;
  readonly sockets: SocketPool;
  readonly sessions: Http2Sessions;
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
  readonly flags = new Set<ResponseFlag>();
  /** Aborts with the reason when the request is over for any cause. */
  readonly #over = new AbortController();
  readonly #startedAt: number;
  readonly #clock: Clock;
  readonly #cleanups: (() => void)[] = [];
  /** After normalisation, without query. */
  path = '';
  query = '';
  requestId = '';
  authorization: WaypointAuthorization | undefined;
  verdict: Verdict | undefined;
  decision: RoutedDecision | undefined;
  share: WeightedCluster | undefined;
  endpoint: MeshEndpoint | undefined;
  clusterName: string | undefined;
  attempts = 0;
  status = 0;
  grpcStatus: number | undefined;
  bytesSent = 0;
  error: HttpError | undefined;

  constructor(exchange: Exchange, plane: MeshPlane, context: EngineContext) {
    this.exchange = exchange;
    this.plane = plane;
    this.#clock = context.clock;
    this.#startedAt = context.clock.now();
    this.startedAtMs = context.clock.wallNow();
    this.headers = exchange.head.headers.clone();
    this.isGrpc = isGrpc(this.headers);
    this.body =
      exchange.body === undefined
        ? undefined
        : new RequestBody(exchange.body, {
            trailers: exchange.requestTrailers,
            replayBytesMax: context.limits.replayBytesMax,
          });
    this.requestId = randomUUID();
  }

  /** Everything done for this request ends with it. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  abort(reason: HttpError): void {
    this.#over.abort(reason);
  }

  get view(): HttpRequestView {
    const { caller, destination } = this.plane;
    const { head } = this.exchange;
    return {
      method: head.method,
      scheme: head.scheme,
      authority: head.authority,
      path: this.path,
      query: this.query.slice(1),
      header: (name) => this.headers.get(name),
      port: destination.port,
      source: {
        namespace: caller.namespace,
        ip: caller.ip,
        ...(caller.workload === undefined ? {} : { labels: caller.workload.labels }),
      },
    };
  }

  /** Runs when the request is over, last first. */
  onOver(cleanup: () => void): void {
    this.#cleanups.push(cleanup);
  }

  finish(): void {
    for (const cleanup of this.#cleanups.splice(0).reverse()) {
      cleanup();
    }
  }

  record(): RequestRecord {
    const { head } = this.exchange;
    const { caller, destination } = this.plane;
    return {
      kind: 'request',
      caller,
      destination,
      startedAtMs: this.startedAtMs,
      durationMs: this.#clock.now() - this.#startedAt,
      bytesReceived: this.body?.bytes ?? 0,
      bytesSent: this.bytesSent,
      flags: this.flags.size === 0 ? ['-'] : [...this.flags],
      protocol: head.version,
      isGrpc: this.isGrpc,
      method: head.method,
      authority: head.authority,
      path: head.target.split('?', 1)[0] ?? '',
      requestId: this.requestId,
      status: this.status,
      attempts: this.attempts,
      ...(this.grpcStatus === undefined ? {} : { grpcStatus: this.grpcStatus }),
      ...(this.verdict === undefined ? {} : { verdict: this.verdict }),
      ...(this.decision === undefined ? {} : { routeName: this.decision.routeName }),
      ...(this.endpoint === undefined ? {} : { endpoint: this.endpoint }),
      ...(this.clusterName === undefined ? {} : { clusterName: this.clusterName }),
      ...(this.error === undefined ? {} : { error: this.error }),
    };
  }
}
