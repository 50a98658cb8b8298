/**
 * Requests over HTTP/2 sessions to endpoints, by node:http2 on any byte stream.
 *
 * A session takes as many streams as the peer and the cluster allow; beyond, another one is opened. One
 * that got GOAWAY takes no more and ends with its last stream.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';
import { Readable } from 'node:stream';
import type { Clock } from '@ambit/core';
import { duplexFromConn } from '@ambit/proxy';
import { HeaderList } from '../headers.ts';
import { brokenOff, connectFailure, overflow, streamReset } from './failure.ts';
import type { UpstreamLink, UpstreamRequest, UpstreamResponse } from './message.ts';

/** Until the peer's SETTINGS say otherwise. */
const STREAMS_ASSUMED = 100;
const WINDOW_BYTES = 1024 * 1024;
const NO_LIMIT = 2 ** 31 - 1;
const SWEEP_MS = 10_000;
const IDLE_TIMEOUT_MS = 3_600_000;

interface Session {
  readonly h2: ClientHttp2Session;
  readonly link: UpstreamLink;
  streams: number;
  uses: number;
  isRetired: boolean;
  failure: Error | undefined;
  /** When it last had a stream. */
  idleSinceMs: number;
}

export class Http2Sessions {
  readonly #clock: Clock;
  readonly #sessionsMax: number;
  readonly #sessions = new Map<string, Set<Session>>();
  readonly #opening = new Map<string, Promise<Session>>();
  readonly #stop = new AbortController();

  constructor(options: { readonly clock: Clock; readonly sessionsMax: number }) {
    this.#clock = options.clock;
    this.#sessionsMax = options.sessionsMax;
  }

  /** Begins to close sessions that stay without a stream. Ends with `destroy`. */
  async run(): Promise<void> {
    try {
      for (;;) {
        await this.#clock.sleep(SWEEP_MS, this.#stop.signal);
        this.#sweep();
      }
    } catch {
      // Only `destroy` ends the sleep early.
    }
  }

  get size(): number {
    let size = 0;
    for (const sessions of this.#sessions.values()) {
      size += sessions.size;
    }
    return size;
  }

  /** Resolves with the head of the response. Rejects with an HttpError. */
  async request(link: UpstreamLink, request: UpstreamRequest): Promise<UpstreamResponse> {
    const session = await this.#session(link, request.signal);
    return await send(session, request);
  }

  destroy(): void {
    this.#stop.abort();
    for (const sessions of this.#sessions.values()) {
      for (const { h2 } of sessions) {
        h2.destroy();
      }
    }
  }

  async #session(link: UpstreamLink, signal: AbortSignal): Promise<Session> {
    for (;;) {
      for (const session of [...(this.#sessions.get(link.key) ?? [])]) {
        // Opened under other settings of the cluster, it counts in no limit of these.
        if (session.link.cluster !== link.cluster) {
          this.#retire(session);
        } else if (reserve(session)) {
          return session;
        }
      }
      let opening = this.#opening.get(link.key);
      if (opening === undefined) {
        opening = this.#open(link).finally(() => this.#opening.delete(link.key));
        opening.catch(() => undefined);
        this.#opening.set(link.key, opening);
      }
      const session = await raceAbort(opening, signal);
      if (session.link.cluster === link.cluster && reserve(session)) {
        return session;
      }
    }
  }

  /** Not bound to one caller's signal: others may wait for it too. The dial has its own timeout. */
  async #open(link: UpstreamLink): Promise<Session> {
    const { breaker } = link.cluster;
    if (this.size >= this.#sessionsMax && !this.#evictIdle()) {
      throw overflow('upstream sessions');
    }
    if (!breaker.hold('connections')) {
      throw overflow('connections');
    }
    try {
      const conn = await link.dial(new AbortController().signal);
      const h2 = connect('http://upstream.invalid', {
        createConnection: () => duplexFromConn(conn),
        settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
        maxHeaderListPairs: 256,
        maxSettings: 32,
      });
      return this.#adopt(h2, link);
    } catch (error) {
      breaker.release('connections');
      throw connectFailure(error);
    }
  }

  #adopt(h2: ClientHttp2Session, link: UpstreamLink): Session {
    const session: Session = {
      h2,
      link,
      streams: 0,
      uses: 0,
      isRetired: false,
      failure: undefined,
      idleSinceMs: this.#clock.now(),
    };
    const sessions = this.#sessions.get(link.key) ?? new Set<Session>();
    sessions.add(session);
    this.#sessions.set(link.key, sessions);
    h2.once('connect', () => h2.setLocalWindowSize(4 * WINDOW_BYTES));
    h2.on('error', (error) => {
      session.failure ??= error;
    });
    h2.on('goaway', () => this.#retire(session));
    h2.once('close', () => {
      this.#retire(session);
      link.cluster.breaker.release('connections');
    });
    return session;
  }

  *#idle(): Generator<Session> {
    const nowMs = this.#clock.now();
    for (const sessions of [...this.#sessions.values()]) {
      for (const session of [...sessions]) {
        if (session.streams > 0) {
          session.idleSinceMs = nowMs;
        } else {
          yield session;
        }
      }
    }
  }

  #sweep(): void {
    const nowMs = this.#clock.now();
    for (const session of this.#idle()) {
      const { http, tcp } = session.link.cluster.cluster.connectionPool;
      const limitMs = http?.idleTimeoutMs ?? tcp?.idleTimeoutMs ?? IDLE_TIMEOUT_MS;
      if (limitMs > 0 && nowMs - session.idleSinceMs >= limitMs) {
        this.#retire(session);
      }
    }
  }

  #evictIdle(): boolean {
    for (const session of this.#idle()) {
      this.#retire(session);
      return true;
    }
    return false;
  }

  #retire(session: Session): void {
    session.isRetired = true;
    const sessions = this.#sessions.get(session.link.key);
    sessions?.delete(session);
    if (sessions?.size === 0) {
      this.#sessions.delete(session.link.key);
    }
    closeWhenDone(session);
  }
}

function reserve(session: Session): boolean {
  const { h2, link } = session;
  const http = link.cluster.cluster.connectionPool.http;
  const peerMax = h2.remoteSettings?.maxConcurrentStreams ?? STREAMS_ASSUMED;
  const usesMax = http?.maxRequestsPerConnection || NO_LIMIT;
  const isFull = session.streams >= Math.min(peerMax, http?.maxConcurrentStreams ?? NO_LIMIT);
  if (session.isRetired || h2.closed || h2.destroyed || isFull) {
    return false;
  }
  session.streams += 1;
  session.uses += 1;
  if (session.uses >= usesMax) {
    session.isRetired = true;
  }
  return true;
}

function closeWhenDone(session: Session): void {
  const { h2 } = session;
  if (session.isRetired && session.streams === 0 && !h2.closed && !h2.destroyed) {
    h2.close();
  }
}

function send(session: Session, request: UpstreamRequest): Promise<UpstreamResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamResponse>();
  let stream: ClientHttp2Stream;
  try {
    stream = openStream(session.h2, request);
  } catch (error) {
    session.streams -= 1;
    return Promise.reject(brokenOff(error, false));
  }
  let failure: Error | undefined;
  const onAbort = (): void => {
    reject(request.signal.reason);
    stream.close(constants.NGHTTP2_CANCEL);
    stream.destroy();
  };
  request.signal.addEventListener('abort', onAbort, { once: true });
  stream.on('error', (error) => {
    failure ??= error;
  });
  stream.once('response', (headers, flags) => {
    const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    resolve(toResponse(stream, headers, isWhole));
  });
  stream.once('close', () => {
    request.signal.removeEventListener('abort', onAbort);
    session.streams -= 1;
    closeWhenDone(session);
    reject(whyClosed(session, stream, failure));
  });
  sendBody(stream, request);
  if (request.signal.aborted) {
    onAbort();
  }
  return promise;
}

function openStream(h2: ClientHttp2Session, request: UpstreamRequest): ClientHttp2Stream {
  const headers = {
    ...request.headers.toNode(),
    ':method': request.method,
    ':scheme': request.scheme,
    ':authority': request.authority,
    ':path': request.path,
  };
  const hasBody = request.body !== undefined;
  return h2.request(headers, { endStream: !hasBody, waitForTrailers: hasBody });
}

function sendBody(stream: ClientHttp2Stream, { body, trailers }: UpstreamRequest): void {
  if (body === undefined) {
    return;
  }
  stream.once('wantTrailers', () => stream.sendTrailers(trailers()?.toNode() ?? {}));
  body.once('close', () => {
    if (!body.readableEnded && !stream.closed) {
      stream.close(constants.NGHTTP2_CANCEL);
    }
  });
  body.pipe(stream);
}

/** `isWhole`: there is no body, and the stream may be closed before anybody reads it. */
function toResponse(
  stream: ClientHttp2Stream,
  headers: IncomingHttpHeaders,
  isWhole: boolean,
): UpstreamResponse {
  let trailers: HeaderList | undefined;
  stream.once('trailers', (fields) => {
    trailers = HeaderList.fromNode(fields);
  });
  return {
    status: Number(headers[':status'] ?? 502),
    headers: HeaderList.fromNode(headers),
    stream: isWhole ? Readable.from([]) : stream,
    trailers: () => trailers,
  };
}

function whyClosed(session: Session, stream: ClientHttp2Stream, failure: Error | undefined): Error {
  if (session.failure !== undefined) {
    return brokenOff(session.failure, true);
  }
  if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) {
    return streamReset(stream.rstCode, true);
  }
  return brokenOff(failure ?? new Error('the connection closed before the answer'), true);
}

async function raceAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
