/**
 * The certificates of a node: one for each identity, fetched, renewed, and given up in time.
 *
 * The one rule: nobody ever gets a certificate that has expired. While the CA is away the old one
 * serves to its last second, and from then on every caller is refused at once.
 */
import { Backoff, type Clock } from '@ambit/core';

import {
  type CertificateSigner,
  fetchCertificate,
  type WorkloadCertificate,
} from './certificate-fetch.ts';
import { type CertificateDump, describeCertificates } from './dump.ts';
import { IdentityError, reasonOf } from './errors.ts';
import { type FetchPriority, FetchSlots, type FetchTicket } from './fetch-slots.ts';
import { parseSpiffeId } from './spiffe.ts';
import { raceSignal, sleepUntil } from './waiting.ts';

const IN_FLIGHT_MAX = 8;
/** A node has some hundred pods; this is the bound of a mistake. */
const IDENTITIES_MAX = 10_000;
const FETCH_TIMEOUT_MS = 15_000;
const BACKOFF = { initialMs: 1_000, maxMs: 150_000, jitter: 0.2 } as const;
/** Renewal at half life, spread so that a cluster does not renew at once. */
const REFRESH_SHARE = { min: 0.4, max: 0.6 } as const;
const REFRESH_AFTER_MS_MIN = 1_000;

export type CertificateEvent =
  | { readonly kind: 'issued'; readonly certificate: WorkloadCertificate }
  /** One attempt failed. `isServing`: an older certificate is still good. */
  | {
      readonly kind: 'failed';
      readonly identity: string;
      readonly reason: string;
      readonly retryInMs: number;
      readonly isServing: boolean;
    }
  /** From now on there is none; callers are refused. Once per outage. */
  | { readonly kind: 'unavailable'; readonly identity: string; readonly reason: string }
  | { readonly kind: 'evicted'; readonly identity: string };

export interface CertificateManagerOptions {
  readonly clock: Clock;
  readonly sign: CertificateSigner;
  readonly ttlSeconds: number;
  readonly onEvent?: (event: CertificateEvent) => void;
  readonly inFlightMax?: number;
  readonly identitiesMax?: number;
  /** In 0..1; a test gives its own. */
  readonly random?: () => number;
}

export interface CertificateCounters {
  requests: number;
  issued: number;
  failed: number;
  refusedAtLimit: number;
}

type State =
  | { readonly kind: 'initializing' }
  | { readonly kind: 'available'; readonly certificate: WorkloadCertificate }
  | { readonly kind: 'unavailable'; readonly reason: string };

interface Entry {
  readonly identity: string;
  readonly stop: AbortController;
  /** Ends the wait for the next fetch; replaced by each fetch. */
  renew: AbortController;
  readonly backoff: Backoff;
  /** Settled with the first result; later callers look at `state`. */
  readonly first: PromiseWithResolvers<void>;
  state: State;
  priority: FetchPriority;
  ticket: FetchTicket | undefined;
}

export class CertificateManager {
  readonly counters: CertificateCounters = { requests: 0, issued: 0, failed: 0, refusedAtLimit: 0 };
  readonly #options: CertificateManagerOptions;
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #slots: FetchSlots;
  readonly #identitiesMax: number;
  readonly #entries = new Map<string, Entry>();
  #isStopped = false;

  constructor(options: CertificateManagerOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.#random = options.random ?? Math.random;
    this.#slots = new FetchSlots({ max: options.inFlightMax ?? IN_FLIGHT_MAX });
    this.#identitiesMax = options.identitiesMax ?? IDENTITIES_MAX;
  }

  /** Number of identities kept. */
  get size(): number {
    return this.#entries.size;
  }

  /** The certificate of an identity if there is one now; fetches nothing. */
  current(identity: string): WorkloadCertificate | undefined {
    const entry = this.#entries.get(identity);
    return entry === undefined ? undefined : this.#serving(entry);
  }

  /**
   * Waits for the first result of a new identity, then answers at once: the certificate, or
   * IDENTITY_CERTIFICATE_UNAVAILABLE with the last reason. Rejects with the signal's reason.
   */
  async get(
    identity: string,
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<WorkloadCertificate> {
    const entry = this.#ensure(identity, 'now');
    if (entry.state.kind === 'initializing') {
      await raceSignal(entry.first.promise, options.signal);
    }
    const certificate = this.#serving(entry);
    if (certificate === undefined) {
      const reason = entry.state.kind === 'unavailable' ? entry.state.reason : 'it has expired';
      throw new IdentityError(
        'IDENTITY_CERTIFICATE_UNAVAILABLE',
        `no certificate for ${identity}: ${reason}`,
        { side: 'control-plane', retryable: true },
      );
    }
    return certificate;
  }

  /** Begins to keep a certificate of this identity. Throws IDENTITY_LIMIT at the bound. */
  prefetch(identity: string): void {
    this.#ensure(identity, 'warmup');
  }

  /** Forgets an identity: no renewal, callers that wait are refused. */
  evict(identity: string): void {
    const entry = this.#entries.get(identity);
    if (entry === undefined) {
      return;
    }
    this.#entries.delete(identity);
    this.#end(entry, 'it was evicted');
    this.#emit({ kind: 'evicted', identity });
  }

  /** Those that serve now. */
  certificates(): readonly WorkloadCertificate[] {
    return [...this.#entries.values()].flatMap((entry) => this.#serving(entry) ?? []);
  }

  /** Asks for every certificate again, each at a time of its own within `withinMs`. The old ones serve meanwhile. */
  renewAll({ withinMs }: { readonly withinMs: number }): void {
    for (const entry of this.#entries.values()) {
      const at = this.#clock.wallNow() + this.#random() * withinMs;
      sleepUntil(this.#clock, at, entry.stop.signal).then(
        () => entry.renew.abort(),
        // Evicted or stopped.
        () => undefined,
      );
    }
  }

  /** The control plane can be reached again: asks now for what it last failed to give. */
  retryFailed(): void {
    for (const entry of this.#entries.values()) {
      if (entry.backoff.failures === 0) continue;
      entry.backoff.reset();
      entry.renew.abort();
    }
  }

  /** Ends all renewals. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    for (const entry of this.#entries.values()) {
      this.#end(entry, 'the certificate manager has stopped');
    }
    this.#entries.clear();
  }

  /** For config_dump and /certs, sorted by identity. Holds no private key. */
  describe(): CertificateDump[] {
    const entries = [...this.#entries.values()].sort((a, b) => (a.identity < b.identity ? -1 : 1));
    return entries.map((entry) => {
      const certificate = this.#serving(entry);
      return {
        identity: entry.identity,
        state: certificate === undefined ? describeState(entry.state) : 'Available',
        certChain: certificate === undefined ? [] : describeCertificates(certificate.chainPem),
        rootCerts: certificate === undefined ? [] : describeCertificates(certificate.rootsPem),
      };
    });
  }

  #ensure(identity: string, priority: FetchPriority): Entry {
    if (this.#isStopped) {
      throw new IdentityError('IDENTITY_STOPPED', 'the certificate manager has stopped');
    }
    const known = this.#entries.get(identity);
    if (known !== undefined) {
      // A caller waits for what was only being warmed up.
      if (known.state.kind === 'initializing') {
        known.ticket?.raise(priority);
      }
      return known;
    }
    parseSpiffeId(identity);
    if (this.#entries.size >= this.#identitiesMax) {
      this.counters.refusedAtLimit += 1;
      throw new IdentityError('IDENTITY_LIMIT', `more than ${this.#identitiesMax} identities`);
    }
    const entry: Entry = {
      identity,
      stop: new AbortController(),
      renew: new AbortController(),
      backoff: new Backoff({ ...BACKOFF, random: this.#random }),
      first: Promise.withResolvers<void>(),
      state: { kind: 'initializing' },
      priority,
      ticket: undefined,
    };
    this.#entries.set(identity, entry);
    void this.#keep(entry);
    return entry;
  }

  /** Fetch, wait, fetch again, for as long as the entry lives. Never rejects. */
  async #keep(entry: Entry): Promise<void> {
    const { signal } = entry.stop;
    while (!signal.aborted) {
      const waitMs = await this.#attempt(entry);
      try {
        const early = AbortSignal.any([signal, entry.renew.signal]);
        await sleepUntil(this.#clock, this.#clock.wallNow() + waitMs, early);
      } catch {
        // Stopped, at which the loop looks, or to be renewed now.
      }
      entry.renew = new AbortController();
    }
  }

  /** One fetch; resolves with how long to wait until the next. */
  async #attempt(entry: Entry): Promise<number> {
    const { signal } = entry.stop;
    const ticket = this.#slots.request(entry.priority);
    entry.ticket = ticket;
    try {
      await raceSignal(ticket.granted, signal);
      this.counters.requests += 1;
      const certificate = await this.#fetch(entry.identity, signal);
      return signal.aborted ? 0 : this.#accept(entry, certificate);
    } catch (error) {
      return signal.aborted ? 0 : this.#refuse(entry, reasonOf(error));
    } finally {
      ticket.release();
      entry.ticket = undefined;
      entry.priority = 'background';
    }
  }

  async #fetch(identity: string, stopped: AbortSignal): Promise<WorkloadCertificate> {
    const timeout = new AbortController();
    const signal = AbortSignal.any([stopped, timeout.signal]);
    const done = new AbortController();
    void this.#clock.sleep(FETCH_TIMEOUT_MS, done.signal).then(
      () => timeout.abort(new Error(`the CA did not answer within ${FETCH_TIMEOUT_MS} ms`)),
      // Ended by `done`: the fetch was faster.
      () => undefined,
    );
    const { ttlSeconds, sign } = this.#options;
    try {
      // A signer that ignores the signal must not hold its slot.
      return await raceSignal(
        fetchCertificate({ identity, ttlSeconds, clock: this.#clock, sign, signal }),
        signal,
      );
    } finally {
      done.abort();
    }
  }

  #accept(entry: Entry, certificate: WorkloadCertificate): number {
    entry.backoff.reset();
    entry.state = { kind: 'available', certificate };
    this.counters.issued += 1;
    entry.first.resolve();
    this.#emit({ kind: 'issued', certificate });
    void this.#expire(entry, certificate);
    // Half of what is left, not of the whole: a certificate of seconds starts two minutes back.
    const leftMs = certificate.notAfterMs - this.#clock.wallNow();
    const share = REFRESH_SHARE.min + this.#random() * (REFRESH_SHARE.max - REFRESH_SHARE.min);
    return Math.max(REFRESH_AFTER_MS_MIN, leftMs * share);
  }

  #refuse(entry: Entry, reason: string): number {
    this.counters.failed += 1;
    const retryInMs = entry.backoff.next();
    const isServing = this.#serving(entry) !== undefined;
    this.#emit({ kind: 'failed', identity: entry.identity, reason, retryInMs, isServing });
    if (!isServing) {
      this.#unavailable(entry, reason);
    }
    return retryInMs;
  }

  /** Gives up a certificate the moment it expires, whatever the fetching is doing then. */
  async #expire(entry: Entry, certificate: WorkloadCertificate): Promise<void> {
    try {
      await sleepUntil(this.#clock, certificate.notAfterMs, entry.stop.signal);
    } catch {
      return; // evicted or stopped
    }
    if (entry.state.kind === 'available' && entry.state.certificate === certificate) {
      this.#unavailable(entry, 'the certificate expired and could not be renewed');
    }
  }

  #unavailable(entry: Entry, reason: string): void {
    const isNew = entry.state.kind !== 'unavailable';
    entry.state = { kind: 'unavailable', reason };
    entry.first.resolve();
    if (isNew) {
      this.#emit({ kind: 'unavailable', identity: entry.identity, reason });
    }
  }

  #serving(entry: Entry): WorkloadCertificate | undefined {
    const { state } = entry;
    return state.kind === 'available' && this.#clock.wallNow() < state.certificate.notAfterMs
      ? state.certificate
      : undefined;
  }

  #end(entry: Entry, reason: string): void {
    entry.state = { kind: 'unavailable', reason };
    entry.stop.abort(new IdentityError('IDENTITY_STOPPED', reason));
    entry.first.resolve();
  }

  #emit(event: CertificateEvent): void {
    this.#options.onEvent?.(event);
  }
}

function describeState(state: State): string {
  switch (state.kind) {
    case 'initializing':
      return 'Initializing';
    case 'available':
      return 'Unavailable: it has expired';
    case 'unavailable':
      return `Unavailable: ${state.reason}`;
  }
}
