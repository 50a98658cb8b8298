/**
 * The waypoint's HTTP engine: connections in, requests through the phases, answers out.
 *
 * Rule: a request passes the phases in their order (`phases/table.ts`) or ends with an answer from the one table of errors.
 */
import { type Clock, type MeshError, Roster } from '@ambit/core';
import { type H2Counters, type H2Limits, newH2Counters, Probation } from '@ambit/h2';
import type { ByteConn } from '@ambit/proxy';
import type { ClientConnection, ClientConnectionHost } from './downstream/client-connection.ts';
import { serveHttp1 } from './downstream/http1.ts';
import { serveHttp2, sessionLimits } from './downstream/http2.ts';
import { mayBeHttp1, sniff } from './downstream/sniff.ts';
import { HttpError, toHttpError } from './errors.ts';
import { Sweeper } from './h1/connection/sweeper.ts';
import { H1Refusals } from './h1/errors.ts';
import { HTTP_LIMITS, type HttpLimits } from './limits.ts';
import type { Exchange } from './message.ts';
import type { MeshPlane } from './plane.ts';
import type { HttpObserver } from './record.ts';
import { RequestRun, type RunHost } from './request-run.ts';
import { openTcp, type TcpTunnels } from './tcp.ts';
import { Timers } from './timers.ts';
import type { EngineContext, EngineCounters } from './transaction.ts';
import { ClusterStates } from './upstream/cluster-state.ts';
import { Http1Pool } from './upstream/http1-pool.ts';
import { Http2Pool } from './upstream/http2-pool.ts';
import { type UpstreamCounters, upstreamCounters } from './upstream/upstream-counters.ts';

export interface HttpEngineOptions {
  readonly clock: Clock;
  readonly observer: HttpObserver;
  /** Our own SPIFFE id. */
  readonly identity: () => string;
  readonly random?: () => number;
  readonly limits?: Partial<HttpLimits>;
  /** A caller (identity and address) was ended for a flood of HTTP/2, for the first time in a while. */
  readonly onProbation?: (caller: string) => void;
  /** Housekeeping threw, an error of ours; told of once a minute at most. */
  readonly onSweepError?: (error: unknown) => void;
}

/** Who throws is asked again each second. */
const SWEEP_ERROR_EVERY_MS = 60_000;

export class HttpEngine implements RunHost {
  /** What was wrong with the bytes of HTTP/1 clients. */
  readonly http1Refusals = new H1Refusals();
  /** What happened on the sessions of HTTP/2 clients. */
  readonly http2Counters: H2Counters = newH2Counters();
  /** Callers that come back after a flood. */
  readonly probation: Probation;
  readonly #context: EngineContext;
  readonly #http1: Http1Pool;
  readonly #http2: Http2Pool;
  readonly #sweeper: Sweeper;
  readonly #sessionLimits: H2Limits;
  readonly #clients = new Roster<ClientConnection>();
  readonly #tunnels: TcpTunnels = new Set();
  readonly #runs = new Roster<RequestRun>();
  /** Of those, whose connection became something else. */
  readonly #switched = new Set<RequestRun>();
  readonly #idle = new Set<() => void>();
  readonly #onSweepError: HttpEngineOptions['onSweepError'];
  #sweepErrorToldAt = Number.NEGATIVE_INFINITY;
  #isLeaving = false;
  #isDraining = false;

  constructor(options: HttpEngineOptions) {
    const { clock, observer, identity, random = Math.random } = options;
    const limits = { ...HTTP_LIMITS, ...options.limits };
    this.probation = new Probation({ clock, onBegin: options.onProbation });
    this.#onSweepError = options.onSweepError;
    const onSweepError = (error: unknown): void => this.#noteSweepError(error);
    this.#sweeper = new Sweeper(clock, { onError: onSweepError });
    this.#sessionLimits = sessionLimits(limits);
    this.#http1 = new Http1Pool({ clock, idleMax: limits.idleUpstreamMax, onSweepError });
    this.#http2 = new Http2Pool({ clock, sessionsMax: limits.upstreamSessionsMax, onSweepError });
    this.#context = {
      clock,
      timers: new Timers(clock),
      random,
      limits,
      observer,
      identity,
      clusters: new ClusterStates({ clock, random }),
      http1: this.#http1,
      http2: this.#http2,
      counters: {
        requests: 0,
        active: 0,
        overloaded: 0,
        mirrorsActive: 0,
        mirrorsDropped: 0,
        sweepErrors: 0,
      },
    };
  }

  get counters(): Readonly<EngineCounters> {
    return this.#context.counters;
  }

  /** What every cluster of this process remembers, for the admin dump. */
  get clusters(): ClusterStates {
    return this.#context.clusters;
  }

  /** What happened on connections to endpoints. */
  get upstream(): UpstreamCounters {
    return upstreamCounters(this.#http1, this.#http2);
  }

  /** Open client connections and tunnels. */
  get live(): number {
    return this.#clients.size + this.#switched.size + this.#tunnels.size;
  }

  /** Begins housekeeping. Ends with `destroy`. */
  start(): void {
    for (const running of [this.#http1.run(), this.#http2.run()]) {
      running.catch((error: unknown) => this.#noteSweepError(error));
    }
  }

  /** Takes over a tunnel to an HTTP port, or to one whose protocol nobody declared. */
  async serve(conn: ByteConn, plane: MeshPlane): Promise<void> {
    const { clock, limits } = this.#context;
    const entered = this.probation.enter(nameOf(plane));
    if (entered !== undefined && !(await entered)) {
      const message = 'too many connections of a caller that was ended for floods';
      conn.destroy(new HttpError('HTTP_OVERLOADED', message, { side: 'downstream' }));
      return;
    }
    const isDeclared = plane.destination.protocol !== 'UNKNOWN';
    const sniffed = await sniff(conn, { clock, timeoutMs: limits.sniffTimeoutMs });
    if (sniffed.protocol === 'tcp' && !isDeclared) {
      await this.#serveTcp(sniffed.conn, plane);
    } else {
      const { protocol } = plane.destination;
      // Where HTTP/2 was declared, what is neither is told so in HTTP/2.
      const isDeclared2 = protocol === 'HTTP2' || protocol === 'GRPC';
      const isHttp2 = sniffed.protocol === 'http2' || (isDeclared2 && !mayBeHttp1(sniffed.bytes));
      this.#serveHttp(sniffed.conn, plane, isHttp2);
    }
  }

  /**
   * Decides about a TCP connection and dials for it. Resolves with what serves the client's side; rejects
   * with an HttpError, and the connection must then be refused.
   */
  async openTcp(plane: MeshPlane, signal: AbortSignal): Promise<(conn: ByteConn) => Promise<void>> {
    try {
      const serve = await openTcp(plane, this.#context, { signal, tunnels: this.#tunnels });
      return async (conn) => {
        try {
          await serve(conn);
        } finally {
          this.#settle();
        }
      };
    } catch (error) {
      // It may have been the last that a drain waits for.
      this.#settle();
      throw error;
    }
  }

  /**
   * Looks again at everything that is open: TCP tunnels, upgraded connections, requests whose answer still
   * flows. Cuts what policy forbids now. Returns how many.
   */
  recheck(): number {
    let cut = 0;
    for (const open of [...this.#tunnels, ...this.#runs.all()]) {
      cut += open.recheck() ? 1 : 0;
    }
    return cut;
  }

  /**
   * Tells clients to come back on other connections, and serves everything until they have: each answer is the last one of its
   * connection, and HTTP/2 clients hear that there will be no more streams. A client that keeps a connection open is then in no
   * danger to ask on it in the moment in which it ends. Idempotent.
   */
  leave(): void {
    if (!this.#isLeaving) {
      this.#isLeaving = true;
      for (const client of this.#clients.all()) {
        client.leave();
      }
    }
  }

  /** No new requests on kept connections; resolves when the last one has ended. */
  async drain(): Promise<void> {
    this.#isLeaving = true;
    this.#isDraining = true;
    for (const client of this.#clients.all()) {
      client.drain();
    }
    if (this.live === 0) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#idle.add(resolve);
    await promise;
  }

  /** Now. Idempotent. */
  destroy(): void {
    this.#isDraining = true;
    const reason = new HttpError('HTTP_CLIENT_GONE', 'the proxy stops', { side: 'local' });
    for (const client of this.#clients.all()) {
      client.destroy();
    }
    for (const run of this.#runs.all()) {
      run.abort(reason);
    }
    for (const tunnel of this.#tunnels) {
      tunnel.cut(reason);
    }
    this.#context.http1.destroy();
    this.#context.http2.destroy();
  }

  onSwitched(run: RequestRun): void {
    this.#switched.add(run);
  }

  onOver(run: RequestRun): void {
    this.#runs.delete(run);
    if (this.#switched.delete(run)) {
      this.#settle();
    }
  }

  #noteSweepError(error: unknown): void {
    const { clock, counters } = this.#context;
    counters.sweepErrors += 1;
    const now = clock.now();
    if (now - this.#sweepErrorToldAt >= SWEEP_ERROR_EVERY_MS) {
      this.#sweepErrorToldAt = now;
      this.#onSweepError?.(error);
    }
  }

  #settle(): void {
    if (this.live === 0) {
      for (const wake of this.#idle) {
        wake();
      }
      this.#idle.clear();
    }
  }

  async #serveTcp(conn: ByteConn, plane: MeshPlane): Promise<void> {
    try {
      const serve = await this.openTcp(plane, new AbortController().signal);
      await serve(conn);
    } catch (error) {
      conn.destroy(toHttpError(error));
    }
  }

  #serveHttp(conn: ByteConn, plane: MeshPlane, isHttp2: boolean): void {
    let isClosed = false;
    const host: ClientConnectionHost = {
      onExchange: (exchange) => this.#onExchange(exchange, plane),
      onRefused: (error) => this.#onRefused(error, plane),
      onClosed: () => {
        isClosed = true;
        this.#clients.delete(client);
        // What it became is counted in the same turn.
        queueMicrotask(() => this.#settle());
      },
    };
    const client = isHttp2 ? this.#serveHttp2(conn, plane, host) : this.#serveHttp1(conn, host);
    if (isClosed) {
      return;
    }
    this.#clients.add(client);
    if (this.#isDraining) {
      client.drain();
    } else if (this.#isLeaving && !isHttp2) {
      client.leave();
    }
  }

  #serveHttp1(conn: ByteConn, host: ClientConnectionHost): ClientConnection {
    const { limits } = this.#context;
    return serveHttp1(conn, {
      sweeper: this.#sweeper,
      limits,
      refusals: this.http1Refusals,
      host,
    });
  }

  #serveHttp2(conn: ByteConn, plane: MeshPlane, host: ClientConnectionHost): ClientConnection {
    const { limits } = this.#context;
    return serveHttp2(conn, {
      sweeper: this.#sweeper,
      limits,
      session: this.#sessionLimits,
      counters: this.http2Counters,
      conduct: this.probation.conductOf(nameOf(plane)),
      host,
    });
  }

  #onExchange(exchange: Exchange, plane: MeshPlane): void {
    const run = new RequestRun(exchange, plane, { context: this.#context, host: this });
    this.#runs.add(run);
    run.start();
  }

  #onRefused(error: MeshError, { caller, destination }: MeshPlane): void {
    this.#context.observer.onRefused?.({ caller, destination, phase: 'decode', error });
  }
}

/** Under which its conduct is remembered: of what a tunnel says, only what its handshake proved, and the address. */
function nameOf({ caller }: MeshPlane): string {
  return `${caller.identity} ${caller.ip}`;
}
