/**
 * One accepted tunnel session: CONNECT requests in, answers and byte streams out.
 *
 * Rule: 200 is sent only after the handler accepted; every refusal of a CONNECT is HEADERS with END_STREAM. Nothing new is taken on a
 * session once the certificate that named its peer has ended, or no root of now vouches for it.
 */
import type { TLSSocket } from 'node:tls';

import { type Cancellation, Canceller, type Clock, type MeshError } from '@ambit/core';
import {
  ERROR,
  type H2Limits,
  ServerSession as H2ServerSession,
  type PeerConduct,
  type RequestHead,
  type ServerStream,
} from '@ambit/h2';
import { type ByteConn, type ConnAddresses, type Deadlines, FINISHED } from '@ambit/proxy';
import { type ConnectTarget, parseConnectTarget } from './connect-target.ts';
import { HboneError } from './errors.ts';
import type { HboneServerLimits } from './server.ts';
import type { HboneServerCounters } from './server-counters.ts';
import { fieldsOf, headersOf, KEEP_ALIVE, SERVER_LIMITS, settled, transportOf } from './session.ts';
import type { PeerIdentity } from './tls.ts';

export interface ConnectRequest extends ConnAddresses {
  /** As sent. */
  readonly authority: string;
  readonly target: ConnectTarget;
  /** Lower-case names; repeated ones joined by `,`. Without pseudo headers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly peer: PeerIdentity;
  /** Aborts when the peer goes before it was answered. */
  readonly signal: Cancellation;
}

export type ConnectAnswer =
  | {
      readonly status: 200;
      readonly headers?: Readonly<Record<string, string>>;
      /** Called once after 200 went out; the peer may be gone already, `onClose` then says so. */
      readonly serve: (conn: ByteConn) => void;
    }
  | { readonly status: 400 | 401 | 403 | 500 | 502 | 503; readonly reason: string };

/** Decides about one CONNECT. What it throws is answered with 503. */
export type OnConnect = (request: ConnectRequest) => ConnectAnswer | Promise<ConnectAnswer>;

export interface ServerSessionOptions {
  readonly socket: TLSSocket;
  readonly peer: PeerIdentity;
  readonly conduct: PeerConduct;
  /** When the certificate that named the peer ends. */
  readonly peerNotAfterMs: number;
  readonly clock: Clock;
  readonly limits: HboneServerLimits;
  readonly counters: HboneServerCounters;
  /** Of answers to what is no CONNECT; shared by the sessions of a server. */
  readonly refusalDeadlines: Deadlines;
  readonly onConnect: OnConnect;
  readonly onClose: () => void;
}

/** Agents and waypoints ask for nothing but CONNECT. Who does is a person with curl, or a probe, and is told. */
const NOT_CONNECT = Buffer.from(
  'only CONNECT is served here: this is the port for tunnels of the mesh (HBONE)\n',
);
const NOT_CONNECT_FIELDS = [
  'content-type',
  'text/plain; charset=utf-8',
  'content-length',
  String(NOT_CONNECT.length),
];

/** One for all: a reason of its own would cost every stream an error with a stack. */
const STREAM_GONE = new HboneError('HBONE_ABORTED', 'the stream is over', { side: 'downstream' });

export class ServerSession {
  readonly #options: ServerSessionOptions;
  readonly #session: H2ServerSession;
  readonly #addresses: ConnAddresses;
  readonly #over = new AbortController();
  readonly #closed = Promise.withResolvers<void>();
  /** While no root vouches for the peer: aborted when one does again, or all is over. */
  #distrust: AbortController | undefined;
  #idleSince: number;

  constructor(options: ServerSessionOptions) {
    this.#options = options;
    const { socket, clock, limits, counters, conduct, onClose } = options;
    const transport = transportOf(socket, 'downstream');
    const { remoteAddress, remotePort, localAddress, localPort } = transport;
    this.#addresses = { remoteAddress, remotePort, localAddress, localPort };
    this.#idleSince = clock.now();
    this.#session = new H2ServerSession({
      transport,
      clock,
      limits: h2Limits(limits),
      counters: counters.h2,
      conduct,
      keepAlive: KEEP_ALIVE,
      onStream: (stream) => this.#onStream(stream),
      onClose: () => {
        this.#over.abort();
        this.trust();
        this.#closed.resolve();
        onClose();
      },
    });
    this.#watchIdle().catch(() => this.#session.destroy());
  }

  /** Streams that are not over. */
  get openStreams(): number {
    return this.#session.openStreams;
  }

  /** Of the clock: when its last stream ended, if it has none. */
  get idleSinceMs(): number {
    return this.#idleSince;
  }

  /** Two GOAWAYs with a PING between, so that no stream in flight is lost; resolves at the end. */
  async drain(): Promise<void> {
    this.#session.drain();
    await this.#closed.promise;
  }

  destroy(reason?: MeshError): void {
    this.#session.destroy(reason);
  }

  /** No root of now vouches for the peer: nothing new is taken, and what is open has `distrustedMs` to end. False: as before. */
  distrust(reason: MeshError): boolean {
    if (this.#distrust !== undefined) {
      return false;
    }
    this.#distrust = new AbortController();
    this.#session.drain();
    this.#endLater(reason, this.#distrust.signal).catch(() => this.#session.destroy(reason));
    return true;
  }

  /** One does again: what is open stays. */
  trust(): void {
    this.#distrust?.abort(FINISHED);
    this.#distrust = undefined;
  }

  async #endLater(reason: MeshError, signal: AbortSignal): Promise<void> {
    const { clock, limits } = this.#options;
    if (await settled(clock.sleep(limits.distrustedMs, signal))) {
      this.#session.destroy(reason);
    }
  }

  /** One timer a session, not one a stream: it looks when the time could be up. */
  async #watchIdle(): Promise<void> {
    const { clock, limits, counters } = this.#options;
    for (;;) {
      const isIdle = this.#session.openStreams === 0;
      const leftMs = limits.idleTimeoutMs - (isIdle ? clock.now() - this.#idleSince : 0);
      if (leftMs <= 0) {
        counters.idleTimeouts += 1;
        this.#session.drain();
        return;
      }
      if (!(await settled(clock.sleep(leftMs, this.#over.signal)))) {
        return;
      }
    }
  }

  #onStream(stream: ServerStream): void {
    const { clock, peerNotAfterMs, counters } = this.#options;
    if (clock.wallNow() >= peerNotAfterMs || this.#distrust !== undefined) {
      // Whom the session is of was true until then. The peer may come back with a new certificate, so it is told to.
      counters.refusals += 1;
      stream.reset(ERROR.REFUSED_STREAM);
      this.#session.drain();
      return;
    }
    const gone = new Canceller();
    stream.whenClosed(() => {
      gone.abort(STREAM_GONE);
      this.#idleSince = clock.now();
    });
    this.#answer(stream, gone).catch(() => stream.reset(ERROR.INTERNAL_ERROR));
  }

  async #answer(stream: ServerStream, signal: Cancellation): Promise<void> {
    if (stream.request.method !== 'CONNECT') {
      this.#refuseMethod(stream, signal);
      return;
    }
    this.#respond(stream, await this.#decide(stream.request, signal));
  }

  async #decide(request: RequestHead, signal: Cancellation): Promise<ConnectAnswer> {
    const { counters, onConnect, peer } = this.#options;
    const { authority } = request;
    let target: ConnectTarget;
    try {
      target = parseConnectTarget(authority);
    } catch (error) {
      counters.badRequests += 1;
      return { status: 400, reason: error instanceof HboneError ? error.message : 'bad request' };
    }
    try {
      return await onConnect({
        ...this.#addresses,
        authority,
        target,
        headers: headersOf(request.fields),
        peer,
        signal,
      });
    } catch (error) {
      return { status: 503, reason: error instanceof Error ? error.message : String(error) };
    }
  }

  /** Who leaves no window for the text has until the deadline. */
  #refuseMethod(stream: ServerStream, signal: Cancellation): void {
    const { counters, refusalDeadlines } = this.#options;
    counters.badRequests += 1;
    counters.refusals += 1;
    const head = { status: 400, fields: NOT_CONNECT_FIELDS };
    const hasText = stream.request.method !== 'HEAD';
    if (!stream.respond(head, { end: !hasText })) {
      return;
    }
    if (hasText) {
      stream.write(NOT_CONNECT);
    }
    stream.endEarly();
    if (!stream.isClosed) {
      const deadline = refusalDeadlines.add(() => stream.reset(ERROR.NO_ERROR));
      signal.addEventListener('abort', () => refusalDeadlines.cancel(deadline), { once: true });
    }
  }

  #respond(stream: ServerStream, answer: ConnectAnswer): void {
    const { counters } = this.#options;
    if (answer.status !== 200) {
      counters.refusals += 1;
      if (stream.respond({ status: answer.status, fields: [] }, { end: true })) {
        stream.endEarly();
      }
      return;
    }
    counters.tunnels += 1;
    try {
      stream.respond({ status: 200, fields: fieldsOf(answer.headers) });
    } catch {
      // A header that may not be sent. Whoever serves has an application waiting, and is told by the end of the stream.
      stream.reset(ERROR.INTERNAL_ERROR);
    }
    answer.serve(stream);
  }
}

function h2Limits(limits: HboneServerLimits): H2Limits {
  const { unansweredResetsBurst: burst, unansweredResetsPerSecond: perSecond } = limits;
  return {
    ...SERVER_LIMITS,
    handshakeTimeoutMs: limits.prefaceTimeoutMs,
    rates: { ...SERVER_LIMITS.rates, unansweredResets: { burst, perSecond } },
  };
}
