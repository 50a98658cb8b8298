/** A session of the pool: how many requests it still takes, when it had the last one, and whether the server is there. */
import type { Clock } from '@ambit/core';
import { ClientSession, type H2Counters, type H2Limits } from '@ambit/h2';
import type { ByteConn } from '@ambit/proxy';
import type { Http2Try } from './http2-try.ts';
import type { UpstreamLink } from './message.ts';
import { Silence } from './silence.ts';

const NO_LIMIT = Number.POSITIVE_INFINITY;

/** Requests that began within a time, as far as they are under way. */
interface Begun {
  count: number;
  readonly onClosed: () => void;
}

export interface PooledSessionOptions {
  readonly conn: ByteConn;
  readonly link: UpstreamLink;
  readonly clock: Clock;
  readonly limits: H2Limits;
  readonly counters: H2Counters;
  /** A stream is over, or the peer allows more. */
  readonly onRoom: (session: PooledSession) => void;
  /** The peer takes no more streams. */
  readonly onGoaway: (session: PooledSession) => void;
  readonly onClosed: (session: PooledSession) => void;
}

export class PooledSession {
  readonly link: UpstreamLink;
  readonly #session: ClientSession;
  readonly #streamsMax: number;
  readonly #silence: Silence;
  readonly #options: PooledSessionOptions;
  #begun: Begun;
  /** Those that did not end when it took no others. */
  #lasting: Begun | undefined;
  #restsUntilMs = Number.NEGATIVE_INFINITY;
  /** Requests that it may still take. */
  #usesLeft: number;
  #idleSinceMs: number;

  constructor(options: PooledSessionOptions) {
    const { conn: transport, link, clock, limits, counters } = options;
    const http = link.cluster.cluster.connectionPool.http;
    this.link = link;
    this.#streamsMax = http?.maxConcurrentStreams ?? NO_LIMIT;
    this.#usesLeft = http?.maxRequestsPerConnection || NO_LIMIT;
    this.#idleSinceMs = clock.now();
    this.#options = options;
    this.#begun = this.#newBegun();
    this.#session = new ClientSession({
      transport,
      clock,
      limits,
      counters,
      onSettings: () => options.onRoom(this),
      onGoaway: () => options.onGoaway(this),
      onClose: () => options.onClosed(this),
    });
    this.#silence = new Silence(this.#session, () => {
      counters.pingTimeouts += 1;
    });
  }

  get hasRoom(): boolean {
    const session = this.#session;
    return this.#usesLeft > 0 && session.room > 0 && session.openStreams < this.#streamsMax;
  }

  /** It takes requests, if not now. */
  get isOpen(): boolean {
    return this.#usesLeft > 0 && !this.#session.isDraining;
  }

  /** It takes none, and no stream will end that makes room. */
  get isUseless(): boolean {
    return !this.isOpen || (this.isIdle && !this.hasRoom);
  }

  get isIdle(): boolean {
    return this.#session.openStreams === 0;
  }

  /** Without a stream for so long; 0 with one. */
  idleMs(nowMs: number): number {
    return this.isIdle ? nowMs - this.#idleSinceMs : 0;
  }

  /** Ends it some time after a server has fallen silent. */
  look(nowMs: number): void {
    this.#silence.look(nowMs);
  }

  /** False: it takes no more. */
  begin(attempt: Http2Try): boolean {
    const stream = attempt.begin(this.#session);
    if (stream === undefined) {
      return attempt.phase !== 'waiting';
    }
    this.#usesLeft -= 1;
    this.#begun.count += 1;
    stream.whenClosed(this.#begun.onClosed);
    return true;
  }

  /** It may be kept from requests for a while, so that it becomes idle. */
  mayPause(nowMs: number): boolean {
    return this.isOpen && nowMs >= this.#restsUntilMs && (this.#lasting?.count ?? 0) === 0;
  }

  /** Kept from requests it did not become idle: that is not tried again before the time, and while it has one of those that it has. */
  rest(untilMs: number): void {
    this.#restsUntilMs = untilMs;
    this.#lasting = this.#begun;
    this.#begun = this.#newBegun();
  }

  /** No new streams; ends with the last one. Idempotent. */
  drain(): void {
    this.#session.drain();
  }

  destroy(): void {
    this.#session.destroy();
  }

  #newBegun(): Begun {
    const begun: Begun = {
      count: 0,
      onClosed: () => {
        begun.count -= 1;
        this.#idleSinceMs = this.#options.clock.now();
        this.#options.onRoom(this);
      },
    };
    return begun;
  }
}
