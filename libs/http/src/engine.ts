/**
 * The waypoint's HTTP engine: connections in, requests through the phases, answers out.
 *
 * Rule: a request passes the phases in their order or ends with an answer from the one table of errors. Nothing is
 * sent upstream before every policy was evaluated for the real caller.
 */
import type { Server } from 'node:http';
import { constants, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { Clock } from '@ambit/core';
import { type ByteConn, duplexFromConn } from '@ambit/proxy';
import { applyHeaderOperations } from '@ambit/routing';
import { createHttp1Server, serveHttp1, type UpgradeRequest } from './downstream/http1.ts';
import { serveHttp2 } from './downstream/http2.ts';
import { sniff } from './downstream/sniff.ts';
import { UpgradeExchange } from './downstream/upgrade-exchange.ts';
import { HttpError, toHttpError } from './errors.ts';
import { HTTP_LIMITS, type HttpLimits } from './limits.ts';
import { errorReply, type Reply } from './local-reply.ts';
import type { Exchange } from './message.ts';
import { authorise, isForbiddenNow } from './phases/authorise.ts';
import { forward } from './phases/forward.ts';
import { normalise } from './phases/normalise.ts';
import { answerLocally, injectFault, matchRoute, refuseCors } from './phases/route.ts';
import { forwardUpgrade } from './phases/upgrade.ts';
import { variablesOf } from './phases/variables.ts';
import type { MeshPlane } from './plane.ts';
import type { HttpObserver } from './record.ts';
import { openTcp, type TcpTunnels } from './tcp.ts';
import { type EngineContext, type EngineCounters, Transaction } from './transaction.ts';
import { ClusterStates } from './upstream/cluster-state.ts';
import { Http2Sessions } from './upstream/http2.ts';
import type { UpstreamResponse } from './upstream/message.ts';
import { SocketPool } from './upstream/socket-pool.ts';

export interface HttpEngineOptions {
  readonly clock: Clock;
  readonly observer: HttpObserver;
  /** Our own SPIFFE id. */
  readonly identity: () => string;
  readonly random?: () => number;
  readonly limits?: Partial<HttpLimits>;
}

/** The phases before the upstream, in order. One that returns a reply ends the request with it. */
const PHASES: readonly {
  readonly name: string;
  readonly run: (
    tx: Transaction,
    context: EngineContext,
  ) => Reply | undefined | Promise<Reply | undefined>;
}[] = [
  { name: 'normalise', run: normalise },
  { name: 'authorise', run: authorise },
  { name: 'route', run: matchRoute },
  { name: 'cors', run: refuseCors },
  { name: 'fault', run: injectFault },
  { name: 'answer', run: answerLocally },
];

/** The last stream of a GOAWAY that forbids none yet (RFC 9113 §6.8). */
const ANY_STREAM = 2 ** 31 - 1;

export class HttpEngine {
  readonly #context: EngineContext;
  readonly #http1: Server;
  readonly #planes = new WeakMap<Duplex, MeshPlane>();
  readonly #sockets = new Set<Duplex>();
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #tunnels: TcpTunnels = new Set();
  readonly #requests = new Set<{ readonly recheck: () => boolean }>();
  readonly #idle = new Set<() => void>();
  #isLeaving = false;
  #isDraining = false;

  constructor(options: HttpEngineOptions) {
    const { clock, observer, identity, random = Math.random } = options;
    const limits = { ...HTTP_LIMITS, ...options.limits };
    this.#context = {
      clock,
      random,
      limits,
      observer,
      identity,
      clusters: new ClusterStates({ clock, random }),
      sockets: new SocketPool({ clock, idleMax: limits.idleUpstreamMax }),
      sessions: new Http2Sessions({ clock, sessionsMax: limits.upstreamSessionsMax }),
      counters: { requests: 0, active: 0, overloaded: 0, mirrorsActive: 0, mirrorsDropped: 0 },
    };
    this.#http1 = createHttp1Server({
      limits,
      onExchange: (exchange, socket) => this.#onExchange(exchange, socket),
      onUpgrade: (request) => this.#onUpgrade(request),
      onRefused: () => undefined,
      isDraining: () => this.#isLeaving,
    });
  }

  get counters(): Readonly<EngineCounters> {
    return this.#context.counters;
  }

  /** What every cluster of this process remembers, for the admin dump. */
  get clusters(): ClusterStates {
    return this.#context.clusters;
  }

  /** Open client connections and tunnels. */
  get live(): number {
    return this.#sockets.size + this.#tunnels.size;
  }

  /** Begins housekeeping. Ends with `destroy`. */
  start(): void {
    // A server that listens nowhere begins to watch slow and idle clients when it is told that it listens.
    this.#http1.emit('listening');
    this.#context.sockets.run().catch(() => undefined);
    this.#context.sessions.run().catch(() => undefined);
  }

  /** Takes over a tunnel to an HTTP port, or to one whose protocol nobody declared. */
  async serve(conn: ByteConn, plane: MeshPlane): Promise<void> {
    const { clock, limits } = this.#context;
    const isDeclared = plane.destination.protocol !== 'UNKNOWN';
    const sniffed = await sniff(conn, { clock, timeoutMs: limits.sniffTimeoutMs });
    if (sniffed.protocol === 'tcp' && !isDeclared) {
      await this.#serveTcp(sniffed.conn, plane);
      return;
    }
    const socket = duplexFromConn(sniffed.conn);
    this.#sockets.add(socket);
    this.#planes.set(socket, plane);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#settle();
    });
    if (sniffed.protocol === 'http2') {
      this.#serveHttp2(socket, plane);
    } else {
      serveHttp1(this.#http1, socket);
    }
  }

  /**
   * Decides about a TCP connection and dials for it. Resolves with what serves the client's side; rejects
   * with an HttpError, and the connection must then be refused.
   */
  async openTcp(plane: MeshPlane, signal: AbortSignal): Promise<(conn: ByteConn) => Promise<void>> {
    const serve = await openTcp(plane, this.#context, { signal, tunnels: this.#tunnels });
    return async (conn) => {
      await serve(conn);
      this.#settle();
    };
  }

  /**
   * Looks again at everything that is open: TCP tunnels, upgraded connections, requests whose answer still
   * flows. Cuts what policy forbids now. Returns how many.
   */
  recheck(): number {
    let cut = 0;
    for (const open of [...this.#tunnels, ...this.#requests]) {
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
    if (this.#isLeaving) {
      return;
    }
    this.#isLeaving = true;
    for (const session of this.#sessions) {
      session.goaway(constants.NGHTTP2_NO_ERROR, ANY_STREAM);
    }
  }

  /** No new requests on kept connections; resolves when the last one has ended. */
  async drain(): Promise<void> {
    this.#isLeaving = true;
    this.#isDraining = true;
    this.#http1.closeIdleConnections();
    for (const session of this.#sessions) {
      session.close();
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
    for (const socket of this.#sockets) {
      socket.destroy();
    }
    for (const tunnel of this.#tunnels) {
      tunnel.cut(new HttpError('HTTP_CLIENT_GONE', 'the proxy stops', { side: 'local' }));
    }
    this.#http1.close(() => undefined);
    this.#context.sockets.destroy();
    this.#context.sessions.destroy();
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

  #serveHttp2(socket: Duplex, plane: MeshPlane): void {
    const session = serveHttp2(socket, {
      limits: this.#context.limits,
      onExchange: (exchange) => this.#run(exchange, plane),
    });
    this.#sessions.add(session);
    session.once('close', () => {
      this.#sessions.delete(session);
      socket.destroy();
    });
    if (this.#isDraining) {
      session.close();
    }
  }

  #onExchange(exchange: Exchange, socket: Duplex): void {
    const plane = this.#planes.get(socket);
    if (plane === undefined) {
      exchange.reset();
      return;
    }
    this.#run(exchange, plane);
  }

  #onUpgrade(request: UpgradeRequest): void {
    const plane = this.#planes.get(request.socket);
    if (plane === undefined) {
      request.socket.destroy();
      return;
    }
    this.#run(new UpgradeExchange(request), plane, request);
  }

  #run(exchange: Exchange, plane: MeshPlane, upgrade?: UpgradeRequest): void {
    const context = this.#context;
    const tx = new Transaction(exchange, plane, context);
    context.counters.requests += 1;
    context.counters.active += 1;
    const open = { recheck: () => isForbiddenNow(tx) };
    this.#requests.add(open);
    const onGone = (): void =>
      tx.abort(new HttpError('HTTP_CLIENT_GONE', 'the client went away', { side: 'downstream' }));
    exchange.gone.addEventListener('abort', onGone, { once: true });
    this.#answer(tx, upgrade)
      .catch((error: unknown) => {
        tx.error ??= toHttpError(error);
        exchange.reset();
      })
      .finally(() => {
        exchange.gone.removeEventListener('abort', onGone);
        context.counters.active -= 1;
        this.#requests.delete(open);
        tx.finish();
        context.observer.onRequest(tx.record());
      });
  }

  async #answer(tx: Transaction, upgrade: UpgradeRequest | undefined): Promise<void> {
    try {
      this.#admit();
      for (const phase of PHASES) {
        const reply = await phase.run(tx, this.#context);
        if (reply !== undefined) {
          await this.#reply(tx, withRuleHeaders(tx, reply));
          return;
        }
      }
      if (upgrade !== undefined) {
        await forwardUpgrade(tx, upgrade, this.#context);
        return;
      }
      await respondFromUpstream(tx, await forward(tx, this.#context));
    } catch (error) {
      await this.#refuse(tx, tx.signal.aborted ? tx.signal.reason : error);
    }
  }

  #admit(): void {
    const { counters, limits } = this.#context;
    if (counters.active > limits.requestsMax) {
      counters.overloaded += 1;
      throw new HttpError('HTTP_OVERLOADED', `${limits.requestsMax} requests are in work`, {
        side: 'local',
      });
    }
  }

  async #refuse(tx: Transaction, caught: unknown): Promise<void> {
    const error = toHttpError(caught);
    tx.error = error;
    if (error.answer.flag !== '-') {
      tx.flags.add(error.answer.flag);
    }
    if (error.code === 'HTTP_CLIENT_GONE') {
      tx.exchange.reset();
      return;
    }
    await this.#reply(tx, errorReply(error.answer, tx.isGrpc));
  }

  async #reply(tx: Transaction, reply: Reply): Promise<void> {
    tx.status = reply.head.status;
    tx.grpcStatus = reply.grpcStatus;
    if (reply.body.kind === 'bytes') {
      tx.bytesSent = reply.body.bytes.length;
    }
    tx.body?.discard();
    const sent = await tx.exchange.respond(reply.head, reply.body);
    if (sent === 'client-gone') {
      tx.flags.add('DC');
    }
  }
}

function withRuleHeaders(tx: Transaction, reply: Reply): Reply {
  const { decision } = tx;
  if (decision !== undefined && decision.kind !== 'route') {
    const lookup = variablesOf(tx, reply.head.status);
    applyHeaderOperations(decision.headers.response, reply.head.headers, lookup);
  }
  return reply;
}

/** The last phase: response headers as the rule wants them, then the body as it comes. */
async function respondFromUpstream(tx: Transaction, response: UpstreamResponse): Promise<void> {
  const { headers, status, stream } = response;
  headers.removeHopByHop();
  headers.remove('te');
  const lookup = variablesOf(tx, status);
  applyHeaderOperations(tx.share?.headers.response ?? [], headers, lookup);
  applyHeaderOperations(tx.decision?.headers.response ?? [], headers, lookup);
  tx.status = status;
  stream.on('data', (chunk: Uint8Array) => {
    tx.bytesSent += chunk.length;
  });
  const sent = await tx.exchange.respond(
    { status, headers },
    { kind: 'stream', stream, trailers: response.trailers },
  );
  const grpcStatus = response.trailers()?.get('grpc-status') ?? headers.get('grpc-status');
  if (tx.isGrpc && grpcStatus !== undefined) {
    tx.grpcStatus = Number(grpcStatus);
  }
  if (sent === 'complete') {
    return;
  }
  stream.destroy();
  tx.exchange.reset();
  const cause: unknown = tx.signal.reason;
  const isOurs = cause instanceof HttpError && cause.code !== 'HTTP_CLIENT_GONE';
  tx.flags.add(sent === 'client-gone' && !isOurs ? 'DC' : isOurs ? cause.answer.flag : 'UC');
}
