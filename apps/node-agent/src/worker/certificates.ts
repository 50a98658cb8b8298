/**
 * Certificates of the pods here, as the main thread last told.
 *
 * Rule: unavailable is refused at once, expired is refused, and one that was never told is waited for. What no pod needs any more is not
 * kept, neither a key nor who waits. The end of each is told, also where another took its place before, unless it was forgotten; whatever
 * who is told of one throws, the next is told too.
 */

import type { Clock } from '@ambit/core';
import { HboneError, type TlsIdentity } from '@ambit/hbone';
import type { Revocations } from '@ambit/identity';
import { FINISHED } from '@ambit/proxy';

import type { CertificateMaterial } from './messages.ts';

type Entry =
  | { readonly kind: 'available'; readonly identity: TlsIdentity }
  | { readonly kind: 'unavailable'; readonly reason: string };

/** The wall clock can jump, so who waits for a date looks at it so often. */
const LOOK_MS = 3_600_000;

export interface CertificateStoreOptions {
  readonly clock: Clock;
  readonly waitMs: number;
  /** One has ended; maybe not the one in use. */
  readonly onEnded?: () => void;
  /** What `onEnded` threw: an error of ours. */
  readonly onError?: (error: unknown) => void;
}

export class CertificateStore {
  readonly #clock: Clock;
  readonly #onEnded: CertificateStoreOptions['onEnded'];
  readonly #onError: CertificateStoreOptions['onError'];
  readonly #waitMs: number;
  readonly #entries = new Map<string, Entry>();
  readonly #waiters = new Map<string, PromiseWithResolvers<void>>();
  /** Of each identity, those that have not been told. */
  readonly #ends = new Map<string, Set<number>>();
  /** What the timer waits for: none of them comes before. */
  #nextEndMs = Number.POSITIVE_INFINITY;
  #timer: AbortController | undefined;
  #isStopped = false;
  /** What is asked of peers' certificates. */
  revocations: Revocations | undefined;

  constructor(options: CertificateStoreOptions) {
    this.#clock = options.clock;
    this.#onEnded = options.onEnded;
    this.#onError = options.onError;
    this.#waitMs = options.waitMs;
  }

  get size(): number {
    return this.#entries.size;
  }

  set(material: CertificateMaterial): void {
    this.#entries.set(material.identity, { kind: 'available', identity: material });
    this.#wake(material.identity);
    this.#awaitEnd(material.identity, material.notAfterMs);
  }

  /** Waits for nothing any more. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    this.#timer?.abort(FINISHED);
  }

  /** The old certificate, if any, is no longer used either: the main thread says so only when it has expired. */
  setUnavailable(identity: string, reason: string): void {
    this.#entries.set(identity, { kind: 'unavailable', reason });
    this.#wake(identity);
  }

  /** The last pod of the identity has left, and its key is kept no longer. Who still waits for it is refused. */
  forget(identity: string): void {
    this.#entries.delete(identity);
    this.#ends.delete(identity);
    this.#wake(identity);
  }

  /** Throws HBONE_NO_CERTIFICATE. */
  require(identity: string): TlsIdentity {
    const entry = this.#entries.get(identity);
    if (entry === undefined) {
      throw refused(identity, 'it has not been issued yet');
    }
    if (entry.kind === 'unavailable') {
      throw refused(identity, entry.reason);
    }
    if (this.#clock.wallNow() >= entry.identity.notAfterMs) {
      throw refused(identity, `it expired at ${new Date(entry.identity.notAfterMs).toISOString()}`);
    }
    return entry.identity;
  }

  /** As `require`, but waits (bounded) for the first word about this identity. */
  async ready(identity: string): Promise<TlsIdentity> {
    if (!this.#entries.has(identity)) {
      let waiter = this.#waiters.get(identity);
      if (waiter === undefined) {
        waiter = Promise.withResolvers<void>();
        this.#waiters.set(identity, waiter);
      }
      const stop = new AbortController();
      const timeout = this.#clock.sleep(this.#waitMs, stop.signal).catch(() => undefined);
      await Promise.race([waiter.promise, timeout]);
      stop.abort(FINISHED);
    }
    return this.require(identity);
  }

  #awaitEnd(identity: string, notAfterMs: number): void {
    const ends = this.#ends.get(identity) ?? new Set();
    this.#ends.set(identity, ends.add(notAfterMs));
    if (notAfterMs < this.#nextEndMs && !this.#isStopped) {
      this.#timer?.abort(FINISHED);
      this.#timer = new AbortController();
      this.#nextEndMs = notAfterMs;
      // It ends early only for another, or by `stop`.
      this.#tellEnds(this.#timer.signal).catch(() => undefined);
    }
  }

  async #tellEnds(signal: AbortSignal): Promise<void> {
    while (this.#nextEndMs < Number.POSITIVE_INFINITY) {
      const leftMs = this.#nextEndMs - this.#clock.wallNow();
      if (leftMs > 0) {
        await this.#clock.sleep(Math.min(leftMs, LOOK_MS), signal, { ref: false });
      } else if (this.#takeEnded()) {
        this.#tellEnded();
      }
    }
  }

  #tellEnded(): void {
    try {
      this.#onEnded?.();
    } catch (error) {
      this.#onError?.(error);
    }
  }

  /** Finds the next, too. False: nothing has ended that was not forgotten. */
  #takeEnded(): boolean {
    const nowMs = this.#clock.wallNow();
    let isAny = false;
    this.#nextEndMs = Number.POSITIVE_INFINITY;
    for (const [identity, ends] of this.#ends) {
      for (const endMs of ends) {
        if (endMs > nowMs) {
          this.#nextEndMs = Math.min(this.#nextEndMs, endMs);
        } else {
          isAny = true;
          ends.delete(endMs);
        }
      }
      if (ends.size === 0) {
        this.#ends.delete(identity);
      }
    }
    return isAny;
  }

  #wake(identity: string): void {
    this.#waiters.get(identity)?.resolve();
    this.#waiters.delete(identity);
  }
}

function refused(identity: string, why: string): HboneError {
  return new HboneError(
    'HBONE_NO_CERTIFICATE',
    `identity error: no certificate of ${identity}: ${why}`,
    {
      side: 'control-plane',
    },
  );
}
