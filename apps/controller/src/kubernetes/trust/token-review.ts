/**
 * Who is calling, by the word of the API server (TokenReview).
 *
 * The one rule: what could not be asked is not believed. A token is good only when the server says so for one of our
 * audiences, and says which pod it is bound to. Good answers are kept for a minute, never longer than the token
 * itself; others are not kept.
 */
import { createHash } from 'node:crypto';

import type { Clock } from '@ambit/core';
import {
  IdentityError,
  TOKEN_AUDIENCE,
  type TokenCaller,
  type TokenVerifier,
} from '@ambit/identity';
import type { KubeClient } from '@ambit/kube';

import { FairQueue } from '../../fair-queue.ts';
import { claimsOf, type TokenClaims } from './token-claims.ts';
import { callerOfReview } from './token-review-answer.ts';

const TOKEN_REVIEWS = { group: 'authentication.k8s.io', version: 'v1', resource: 'tokenreviews' };
const CACHE_MS = 60_000;
/** A cluster of 5,000 nodes has as many agents, and some waypoints. */
const CACHED_MAX = 10_000;
const TIMEOUT_MS = 5_000;
const IN_FLIGHT_MAX = 16;
/** Callers that wait for their turn; and those that call from one address. */
const WAITING_MAX = 1_000;
const WAITING_FROM_ONE_MAX = 32;

export interface TokenReviewOptions {
  readonly client: Pick<KubeClient, 'review'>;
  readonly clock: Clock;
  /** One of them has to be the token's. Default `istio-ca`. */
  readonly audiences?: readonly string[];
  readonly cacheMs?: number;
  readonly cachedMax?: number;
  /** Of one question, from its turn on. */
  readonly timeoutMs?: number;
  readonly inFlightMax?: number;
  readonly waitingMax?: number;
}

interface Cached {
  readonly caller: TokenCaller;
  /** Monotonic. */
  readonly until: number;
}

export interface TokenReviewCounters {
  /** Questions that were asked. */
  asked: number;
  cached: number;
  refused: number;
  /** Nobody could say. */
  unavailable: number;
}

/** Refusals have distinct messages for the log; the caller reads none of them. */
export class TokenReviewVerifier implements TokenVerifier {
  readonly counters: TokenReviewCounters = { asked: 0, cached: 0, refused: 0, unavailable: 0 };
  readonly #options: TokenReviewOptions;
  readonly #audiences: readonly string[];
  /** By digest: tokens themselves are not kept. In the order of use. */
  readonly #cache = new Map<string, Cached>();
  readonly #inFlight = new Map<string, Promise<TokenCaller>>();
  /** Callers take turns by where they call from. */
  readonly #waiting: FairQueue<() => void>;
  #active = 0;

  constructor(options: TokenReviewOptions) {
    this.#options = options;
    const { waitingMax = WAITING_MAX } = options;
    this.#waiting = new FairQueue({ total: waitingMax, perLane: WAITING_FROM_ONE_MAX });
    this.#audiences = options.audiences ?? [TOKEN_AUDIENCE];
  }

  /**
   * Throws IDENTITY_TOKEN_INVALID, or IDENTITY_TOKEN_REVIEW_UNAVAILABLE (retryable) when the API server did not
   * answer in time or too many callers wait.
   */
  async verify(token: string, from?: string): Promise<TokenCaller> {
    try {
      const claims = claimsOf(token, { wallNowMs: this.#options.clock.wallNow() });
      const digest = createHash('sha256').update(token).digest('base64');
      const cached = this.#cached(digest);
      if (cached !== undefined) return cached;
      // Many connections of one agent come at once.
      const running = this.#inFlight.get(digest) ?? this.#begin(token, { digest, claims, from });
      return await running;
    } catch (error) {
      if (error instanceof IdentityError && error.retryable) this.counters.unavailable += 1;
      else this.counters.refused += 1;
      throw error;
    }
  }

  #cached(digest: string): TokenCaller | undefined {
    const { clock } = this.#options;
    const cached = this.#cache.get(digest);
    if (cached === undefined) return undefined;
    this.#cache.delete(digest);
    // The wall clock can jump, so the token's own end is looked at as well.
    if (clock.now() >= cached.until || clock.wallNow() >= cached.caller.expiresAtMs) {
      return undefined;
    }
    this.#cache.set(digest, cached);
    this.counters.cached += 1;
    return cached.caller;
  }

  #begin(
    token: string,
    about: {
      readonly digest: string;
      readonly claims: TokenClaims;
      readonly from: string | undefined;
    },
  ): Promise<TokenCaller> {
    const { digest, claims, from = digest } = about;
    const running = this.#review(token, claims, from).finally(() => this.#inFlight.delete(digest));
    this.#inFlight.set(digest, running);
    return running.then((caller) => {
      this.#keep(digest, caller);
      return caller;
    });
  }

  #keep(digest: string, caller: TokenCaller): void {
    const { clock, cacheMs = CACHE_MS, cachedMax = CACHED_MAX } = this.#options;
    const leftMs = Math.min(cacheMs, caller.expiresAtMs - clock.wallNow());
    if (leftMs <= 0) return;
    this.#cache.set(digest, { caller, until: clock.now() + leftMs });
    const oldest = this.#cache.keys().next();
    if (this.#cache.size > cachedMax && oldest.done !== true) this.#cache.delete(oldest.value);
  }

  async #review(token: string, claims: TokenClaims, from: string): Promise<TokenCaller> {
    const { promise, resolve } = Promise.withResolvers<void>();
    if (!this.#waiting.push(from, resolve)) {
      throw unavailable(`too many callers wait for the API server (${this.#waiting.size})`);
    }
    this.#next();
    await promise;
    try {
      return callerOfReview(await this.#ask(token), { claims, audiences: this.#audiences });
    } finally {
      this.#active -= 1;
      this.#waiting.release(from);
      this.#next();
    }
  }

  /** One question at a time from one place, and so many at once from all. */
  #next(): void {
    const { inFlightMax = IN_FLIGHT_MAX } = this.#options;
    while (this.#active < inFlightMax) {
      const taken = this.#waiting.take(() => true);
      if (taken === undefined) return;
      this.#active += 1;
      taken.item();
    }
  }

  async #ask(token: string): Promise<unknown> {
    const { client, clock, timeoutMs = TIMEOUT_MS } = this.#options;
    const late = new AbortController();
    const done = new AbortController();
    const error = unavailable(`the API server did not answer within ${timeoutMs} ms`);
    const timeout = clock.sleep(timeoutMs, done.signal).then(
      () => {
        late.abort(error);
        throw error;
      },
      // Ended by `done`: the answer came first, and this is never looked at.
      () => undefined,
    );
    this.counters.asked += 1;
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, audiences: this.#audiences },
    };
    try {
      // A client that ignores the signal must not hold its turn.
      return await Promise.race([
        client.review(TOKEN_REVIEWS, body, { signal: late.signal }),
        timeout,
      ]);
    } catch (cause) {
      if (late.signal.aborted) throw error;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw unavailable(`the API server could not be asked about the token: ${why}`, cause);
    } finally {
      done.abort();
    }
  }
}

function unavailable(why: string, cause?: unknown): IdentityError {
  return new IdentityError('IDENTITY_TOKEN_REVIEW_UNAVAILABLE', why, {
    side: 'control-plane',
    retryable: true,
    cause,
  });
}
