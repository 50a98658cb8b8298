/**
 * One accepted tunnel session: CONNECT requests in, answers and byte streams out.
 *
 * Rule: 200 is sent only after the handler accepted; every refusal is HEADERS with END_STREAM. A peer
 * that opens and resets streams faster than the budget is a flood and loses the session.
 */
import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';

import type { Clock } from '@ambit/core';
import { type ByteConn, type ConnAddresses, canonicalAddress, ProxyError } from '@ambit/proxy';
import { type ConnectTarget, parseConnectTarget } from './connect-target.ts';
import { HboneError } from './errors.ts';
import type { HboneServerCounters, HboneServerLimits } from './server.ts';
import {
  CONNECTION_WINDOW_BYTES,
  connFromStream,
  FRAME_BYTES_MAX,
  keepAlive,
  SERVER_HEADER_LIST_BYTES_MAX,
  SESSION_MEMORY_MB_MAX,
  STREAM_WINDOW_BYTES,
  settled,
} from './session.ts';
import type { PeerIdentity } from './tls.ts';

export interface ConnectRequest extends ConnAddresses {
  /** As sent. */
  readonly authority: string;
  readonly target: ConnectTarget;
  /** Lower-case names; repeated ones joined by `,`. Without pseudo headers. */
  readonly headers: Readonly<Record<string, string>>;
  readonly peer: PeerIdentity;
  /** Aborts when the peer goes before it was answered. */
  readonly signal: AbortSignal;
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
  /** When the certificate that named the peer ends. */
  readonly peerNotAfterMs: number;
  readonly clock: Clock;
  readonly limits: HboneServerLimits;
  readonly counters: HboneServerCounters;
  readonly onConnect: OnConnect;
  readonly onClose: () => void;
}

const STREAMS_MAX = 200;
/** A CONNECT has a handful of headers; the list counts entries, not bytes. */
const HEADER_PAIRS_MAX = 48;
const GOAWAY_ANY_STREAM = 2 ** 31 - 1;
/** How long a draining session waits for the PING that proves the peer has seen the first GOAWAY. */
const DRAIN_PING_MS = 1_000;

/** No `date` header: the reference sends none. Node has the option, its types do not. */
const ACCEPTANCE = { endStream: false, sendDate: false };
const REFUSAL = { endStream: true, sendDate: false };

/** One for all: a reason of its own would cost every stream an error with a stack. */
const STREAM_GONE = new HboneError('HBONE_ABORTED', 'the stream is over', { side: 'downstream' });

export class ServerSession {
  readonly #options: ServerSessionOptions;
  readonly #session: ServerHttp2Session;
  readonly #addresses: ConnAddresses;
  readonly #over = new AbortController();
  readonly #closed = Promise.withResolvers<void>();
  #streams = 0;
  #idleSince: number;
  #isDraining = false;
  #resetBudget: number;
  #resetAt: number;

  constructor(options: ServerSessionOptions) {
    this.#options = options;
    const { socket, clock } = options;
    this.#resetBudget = options.limits.unansweredResetsBurst;
    this.#resetAt = clock.now();
    this.#idleSince = this.#resetAt;
    this.#addresses = {
      remoteAddress: canonicalAddress(socket.remoteAddress),
      remotePort: socket.remotePort ?? 0,
      localAddress: canonicalAddress(socket.localAddress),
      localPort: socket.localPort ?? 0,
    };
    this.#session = performServerHandshake(socket, {
      settings: {
        maxConcurrentStreams: STREAMS_MAX,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxFrameSize: FRAME_BYTES_MAX,
        maxHeaderListSize: SERVER_HEADER_LIST_BYTES_MAX,
      },
      maxHeaderListPairs: HEADER_PAIRS_MAX,
      maxSettings: 32,
      maxOutstandingPings: 10,
      maxSessionInvalidFrames: 32,
      maxSessionRejectedStreams: 100,
      maxSessionMemory: SESSION_MEMORY_MB_MAX,
      // Ends of tunnels may be resets, so nghttp2's own limit is far above the one kept here.
      streamResetBurst: 2_000,
      streamResetRate: 500,
    });
    this.#listen();
  }

  /** Two GOAWAYs with a PING between, so that no stream in flight is lost; resolves at the end. */
  async drain(): Promise<void> {
    if (!this.#isDraining) {
      this.#isDraining = true;
      const { clock } = this.#options;
      const seen = new AbortController();
      if (!this.#session.destroyed && !this.#session.closed) {
        this.#session.goaway(constants.NGHTTP2_NO_ERROR, GOAWAY_ANY_STREAM);
        this.#session.ping(() => seen.abort());
        await settled(
          clock.sleep(DRAIN_PING_MS, AbortSignal.any([seen.signal, this.#over.signal])),
        );
      }
      if (!this.#session.destroyed) {
        this.#session.close();
      }
    }
    await this.#closed.promise;
  }

  destroy(): void {
    this.#session.destroy();
  }

  #listen(): void {
    const session = this.#session;
    const { clock } = this.#options;
    session.on('error', () => {
      // The streams have their own errors, and `close` follows.
    });
    session.once('close', () => {
      this.#over.abort();
      this.#closed.resolve();
      this.#options.onClose();
    });
    // HTTP/2 has no half-open connections, and node:http2 does not look at the FIN of a socket that may be.
    this.#options.socket.once('end', () =>
      session.destroy(
        new ProxyError('PROXY_PEER_GONE', 'the peer closed the tunnel', { side: 'downstream' }),
      ),
    );
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    session.on('stream', (stream, headers) => {
      this.#onStream(stream, headers).catch(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
    });
    const side = 'downstream';
    this.#background(keepAlive(session, { clock, side, signal: this.#over.signal }));
    this.#background(this.#awaitPreface());
    this.#background(this.#watchIdle());
  }

  /** None of these can reject: they end by `#over`. */
  #background(work: Promise<void>): void {
    work.catch(() => this.#session.destroy());
  }

  async #awaitPreface(): Promise<void> {
    const { clock, limits, counters } = this.#options;
    const arrived = new AbortController();
    this.#session.once('remoteSettings', () => arrived.abort());
    const signal = AbortSignal.any([arrived.signal, this.#over.signal]);
    if (await settled(clock.sleep(limits.prefaceTimeoutMs, signal))) {
      counters.prefaceTimeouts += 1;
      this.#session.destroy();
    }
  }

  /** One timer a session, not one a stream: it looks when the time could be up. */
  async #watchIdle(): Promise<void> {
    const { clock, limits, counters } = this.#options;
    for (;;) {
      const isIdle = this.#streams === 0;
      const leftMs = limits.idleTimeoutMs - (isIdle ? clock.now() - this.#idleSince : 0);
      if (leftMs <= 0) {
        counters.idleTimeouts += 1;
        await this.drain();
        return;
      }
      if (!(await settled(clock.sleep(leftMs, this.#over.signal)))) {
        return;
      }
    }
  }

  async #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> {
    stream.on('error', ignoreAfterClose);
    if (this.#options.clock.wallNow() >= this.#options.peerNotAfterMs) {
      this.#refuseExpired(stream);
      return;
    }
    this.#streams += 1;
    const gone = new AbortController();
    let isAnswered = false;
    stream.once('close', () => {
      this.#streams -= 1;
      gone.abort(STREAM_GONE);
      this.#idleSince = this.#options.clock.now();
      if (!isAnswered) {
        this.#countReset();
      }
    });
    const answer = await this.#decide(headers, gone.signal);
    isAnswered = true;
    this.#respond(stream, answer);
  }

  /** Whom the session is of was true until then. The peer may come back with a new certificate, so it is told to. */
  #refuseExpired(stream: ServerHttp2Stream): void {
    this.#options.counters.refusals += 1;
    stream.close(constants.NGHTTP2_REFUSED_STREAM);
    this.#background(this.drain());
  }

  async #decide(headers: IncomingHttpHeaders, signal: AbortSignal): Promise<ConnectAnswer> {
    const { counters, onConnect, peer } = this.#options;
    const authority = headers[':authority'] ?? '';
    if (headers[':method'] !== 'CONNECT') {
      counters.badRequests += 1;
      return { status: 400, reason: 'the method is not CONNECT' };
    }
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
        headers: plainHeaders(headers),
        peer,
        signal,
      });
    } catch (error) {
      return { status: 503, reason: error instanceof Error ? error.message : String(error) };
    }
  }

  #respond(stream: ServerHttp2Stream, answer: ConnectAnswer): void {
    const { counters } = this.#options;
    const isGone = stream.destroyed || stream.closed;
    if (answer.status !== 200) {
      counters.refusals += 1;
      if (!isGone) {
        stream.respond({ ':status': answer.status }, REFUSAL);
      }
      return;
    }
    counters.tunnels += 1;
    if (!isGone) {
      stream.respond({ ...answer.headers, ':status': 200 }, ACCEPTANCE);
    }
    answer.serve(connFromStream(stream, this.#addresses, 'downstream'));
  }

  /** A token bucket over streams that the peer took back before they were answered (rapid reset). */
  #countReset(): void {
    const { clock, limits, counters } = this.#options;
    const now = clock.now();
    const earned = ((now - this.#resetAt) / 1000) * limits.unansweredResetsPerSecond;
    this.#resetAt = now;
    this.#resetBudget = Math.min(limits.unansweredResetsBurst, this.#resetBudget + earned) - 1;
    if (this.#resetBudget < 0 && !this.#session.destroyed) {
      counters.floods += 1;
      this.#session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM);
      this.#session.destroy();
    }
  }
}

function plainHeaders(headers: IncomingHttpHeaders): Readonly<Record<string, string>> {
  const plain: Record<string, string> = Object.create(null) as Record<string, string>;
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !name.startsWith(':')) {
      plain[name] = Array.isArray(value) ? value.join(',') : value;
    }
  }
  return plain;
}

/** `close` follows and is what counts. */
function ignoreAfterClose(): void {}
