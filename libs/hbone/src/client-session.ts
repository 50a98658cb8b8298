/**
 * The dialling end of a tunnel session: TLS, the check of who answered, HTTP/2, CONNECT.
 *
 * Rule: nothing of a caller is sent before the server's SPIFFE id matched an expected one.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
} from 'node:http2';
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { type Clock, MeshError } from '@ambit/core';
import {
  type ByteConn,
  type ConnAddresses,
  canonicalAddress,
  type Deadlines,
  isPeerGone,
  ProxyError,
} from '@ambit/proxy';
import { fromH2Error, fromTlsError, HboneError } from './errors.ts';
import {
  CLIENT_HEADER_LIST_BYTES_MAX,
  CONNECTION_WINDOW_BYTES,
  connFromStream,
  doesAnswer,
  FRAME_BYTES_MAX,
  keepAlive,
  SESSION_MEMORY_MB_MAX,
  STREAM_WINDOW_BYTES,
} from './session.ts';
import {
  ALPN,
  identifyServer,
  type PeerIdentity,
  secureContextOf,
  type TlsIdentity,
} from './tls.ts';

export interface HboneStream {
  readonly conn: ByteConn;
  /** The peer's, lower case, without `:status`. Telemetry only (`baggage`). */
  readonly responseHeaders: Readonly<Record<string, string>>;
  readonly peer: PeerIdentity;
}

export interface ClientSessionOptions {
  readonly socket: TLSSocket;
  readonly peer: PeerIdentity;
  readonly clock: Clock;
  /** Of CONNECTs that wait for their answer; shared by the sessions of a pool. */
  readonly responseDeadlines: Deadlines;
  /** When one has waited so long that the peer is asked whether it is there at all. */
  readonly doubts: Deadlines;
  /** The session takes no new streams any more (GOAWAY, lost, closed). */
  readonly onRetired: () => void;
  readonly onClose: () => void;
}

export interface ConnectOptions {
  readonly authority: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** TLS over a connected socket, then the check of the server. Destroys the socket when it fails. */
export async function secureClient(
  raw: Socket,
  options: {
    readonly identity: TlsIdentity;
    readonly expectedIdentities: readonly string[];
    readonly signal: AbortSignal;
  },
): Promise<{ socket: TLSSocket; peer: PeerIdentity }> {
  const done = Promise.withResolvers<void>();
  // An abort before the wait leaves a promise that nobody awaits.
  done.promise.catch(() => undefined);
  const socket = connectTls({
    socket: raw,
    secureContext: secureContextOf(options.identity),
    ALPNProtocols: [ALPN],
    rejectUnauthorized: true,
    // There is no host name; `identifyServer` below is the check.
    checkServerIdentity: () => undefined,
  });
  const abort = (): void => done.reject(options.signal.reason);
  socket.once('secureConnect', () => done.resolve());
  socket.on('error', (error) => done.reject(fromTlsError(error, 'upstream')));
  socket.once('close', () => done.reject(lost('the peer closed during the handshake')));
  options.signal.addEventListener('abort', abort, { once: true });
  try {
    options.signal.throwIfAborted();
    await done.promise;
    if (!socket.authorized || socket.alpnProtocol !== ALPN) {
      throw new HboneError('HBONE_TLS', 'the server does not speak h2', { side: 'upstream' });
    }
    return { socket, peer: identifyServer(socket, options.expectedIdentities) };
  } catch (error) {
    socket.destroy();
    raw.destroy();
    throw error;
  } finally {
    options.signal.removeEventListener('abort', abort);
  }
}

const STREAMS_MAX = 100;

export class ClientSession {
  readonly peer: PeerIdentity;
  readonly addresses: ConnAddresses;
  readonly #options: ClientSessionOptions;
  readonly #session: ClientHttp2Session;
  readonly #over = new AbortController();
  #streams = 0;
  #wasUsed = false;
  #hasSettings = false;
  readonly #retired = new AbortController();
  /** Aborts when the peer answers neither CONNECT nor PING. */
  readonly #silent = new AbortController();
  #isAsking = false;
  #failure: Error | undefined;

  constructor(options: ClientSessionOptions) {
    this.#options = options;
    this.peer = options.peer;
    const { socket, clock } = options;
    this.addresses = {
      remoteAddress: canonicalAddress(socket.remoteAddress),
      remotePort: socket.remotePort ?? 0,
      localAddress: canonicalAddress(socket.localAddress),
      localPort: socket.localPort ?? 0,
    };
    this.#session = connectHttp2('https://hbone.invalid', {
      createConnection: () => socket,
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxFrameSize: FRAME_BYTES_MAX,
        maxHeaderListSize: CLIENT_HEADER_LIST_BYTES_MAX,
      },
      peerMaxConcurrentStreams: STREAMS_MAX,
      maxHeaderListPairs: 48,
      maxSettings: 32,
      maxSessionMemory: SESSION_MEMORY_MB_MAX,
    });
    const session = this.#session;
    session.on('error', (error) => {
      this.#failure ??= error;
      this.retire();
    });
    session.on('goaway', () => this.retire());
    session.once('remoteSettings', () => {
      this.#hasSettings = true;
    });
    // HTTP/2 has no half-open connections, and node:http2 does not look at the FIN of a socket that may be.
    socket.once('end', () => session.destroy(peerClosed()));
    session.once('connect', () => session.setLocalWindowSize(CONNECTION_WINDOW_BYTES));
    session.once('close', () => {
      this.#over.abort();
      this.retire();
      options.onClose();
    });
    keepAlive(session, { clock, side: 'upstream', signal: this.#over.signal }).catch(() =>
      session.destroy(),
    );
  }

  get streams(): number {
    return this.#streams;
  }

  get isRetired(): boolean {
    return this.#retired.signal.aborted;
  }

  get retiredSignal(): AbortSignal {
    return this.#retired.signal;
  }

  /** True once a stream was reserved here. */
  get wasUsed(): boolean {
    return this.#wasUsed;
  }

  /** No new streams; closes when the last one ends. Idempotent. */
  retire(): void {
    if (this.isRetired) {
      return;
    }
    this.#retired.abort();
    this.#options.onRetired();
    this.#closeIfDone();
  }

  /**
   * Counts one stream ahead, so that a burst never asks for more than the peer takes. False: retired.
   * Each success is followed by one `connect`. The last one that fits retires the session for good.
   */
  reserve(): boolean {
    if (this.isRetired) {
      return false;
    }
    this.#wasUsed = true;
    this.#streams += 1;
    const peerMax = this.#session.remoteSettings?.maxConcurrentStreams ?? STREAMS_MAX;
    if (this.#streams >= Math.min(STREAMS_MAX, peerMax)) {
      this.retire();
    }
    return true;
  }

  destroy(reason?: Error): void {
    if (!this.#session.destroyed) {
      this.#session.destroy(reason);
    }
  }

  /** Opens one tunnel; takes one reservation. Resolves when the peer answered 200. */
  async connect(options: ConnectOptions): Promise<HboneStream> {
    const stream = this.#open(options);
    const responded = Promise.withResolvers<IncomingHttpHeaders>();
    let failure: Error | undefined;
    stream.on('error', (error) => {
      failure ??= error;
    });
    stream.once('response', (headers) => responded.resolve(headers));
    stream.once('close', () => {
      this.#release();
      responded.reject(this.#whyClosed(failure));
    });
    const abort = (): void => responded.reject(abortReason(options.signal));
    options.signal?.addEventListener('abort', abort, { once: true });
    const onSilent = (): void => responded.reject(silent());
    this.#silent.signal.addEventListener('abort', onSilent, { once: true });
    const { responseDeadlines, doubts } = this.#options;
    const deadline = responseDeadlines.add(() => responded.reject(noAnswer()));
    const doubt = doubts.add(() => void this.#ask());
    try {
      const headers = await responded.promise;
      requireOk(headers);
      return {
        conn: connFromStream(stream, this.addresses, 'upstream'),
        responseHeaders: plainHeaders(headers),
        peer: this.peer,
      };
    } catch (error) {
      stream.close(constants.NGHTTP2_CANCEL);
      throw error;
    } finally {
      options.signal?.removeEventListener('abort', abort);
      this.#silent.signal.removeEventListener('abort', onSilent);
      responseDeadlines.cancel(deadline);
      doubts.cancel(doubt);
    }
  }

  /**
   * The keepalive takes 30 s to end a session whose peer has vanished, and with it what is under way there. Nobody new has to wait
   * for that: they are sent elsewhere as soon as a PING stays unanswered too.
   */
  async #ask(): Promise<void> {
    // Also where it is retired: those that wait on a full tunnel are as new.
    if (this.#isAsking || this.#silent.signal.aborted) {
      return;
    }
    this.#isAsking = true;
    const { clock } = this.#options;
    if (!(await doesAnswer(this.#session, { clock, signal: this.#over.signal }))) {
      this.retire();
      this.#silent.abort();
    }
    this.#isAsking = false;
  }

  #open(options: ConnectOptions): ClientHttp2Stream {
    try {
      if (options.signal?.aborted) {
        throw abortReason(options.signal);
      }
      const headers: OutgoingHttpHeaders = {
        ...options.headers,
        ':method': 'CONNECT',
        ':authority': options.authority,
      };
      return this.#session.request(headers, { endStream: false });
    } catch (error) {
      this.#release();
      if (error instanceof MeshError) {
        throw error;
      }
      throw new HboneError('HBONE_REFUSED_STREAM', 'the tunnel takes no more streams', {
        side: 'upstream',
        retryable: true,
        cause: error,
      });
    }
  }

  #release(): void {
    this.#streams -= 1;
    this.#closeIfDone();
  }

  #closeIfDone(): void {
    const session = this.#session;
    if (this.isRetired && this.#streams === 0 && !session.closed && !session.destroyed) {
      session.close();
    }
  }

  #whyClosed(failure: Error | undefined): Error {
    const error = this.#failure ?? failure;
    const mapped = error === undefined ? undefined : fromH2Error(error, 'upstream');
    if (mapped !== undefined && !isPeerGone(mapped)) {
      return mapped;
    }
    if (!this.#hasSettings) {
      // In TLS 1.3 a server refuses the client's certificate after the client's handshake is done.
      return new HboneError(
        'HBONE_TLS',
        'tls error: the peer closed after the handshake, maybe it does not accept our certificate',
        { side: 'upstream', cause: error },
      );
    }
    return lost('the tunnel was lost before the peer answered');
  }
}

function noAnswer(): HboneError {
  return new HboneError('HBONE_RESPONSE_TIMEOUT', 'the peer did not answer CONNECT in time', {
    side: 'upstream',
  });
}

function silent(): HboneError {
  return new HboneError('HBONE_TUNNEL_LOST', 'the peer answers neither CONNECT nor PING', {
    side: 'upstream',
    retryable: true,
  });
}

function peerClosed(): ProxyError {
  return new ProxyError('PROXY_PEER_GONE', 'the peer closed the tunnel', { side: 'upstream' });
}

/** What the statuses mean for the person who reads the log of the side that dialled. */
const HINTS: ReadonlyMap<number, string> = new Map([
  [400, ', the peer does not serve this address'],
  [401, ', refused by the policy of the destination'],
  [503, ', the peer could not reach the destination'],
]);

function requireOk(headers: IncomingHttpHeaders): void {
  const status = Number(headers[':status']);
  if (status !== 200) {
    const hint = HINTS.get(status) ?? '';
    throw new HboneError('HBONE_STATUS', `http status: ${status}${hint}`, {
      side: 'upstream',
      status,
    });
  }
}

function lost(message: string): HboneError {
  return new HboneError('HBONE_TUNNEL_LOST', message, { side: 'upstream' });
}

function abortReason(signal: AbortSignal | undefined): Error {
  const reason: unknown = signal?.reason;
  return reason instanceof MeshError
    ? reason
    : new HboneError('HBONE_ABORTED', 'the caller went away', { side: 'downstream' });
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
