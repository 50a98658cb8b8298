/**
 * Tunnels in use, by who asks and whom they expect.
 *
 * Rule: a tunnel is shared only by callers with the same identity, the same expectations of the server,
 * the same address and the same pod. One connect is in flight per key; its outcome is everybody's who
 * waits for that key, and nobody else waits. Nothing new goes to a server whose certificate has ended or is revoked.
 */

import { type Cancellation, MeshError } from '@ambit/core';
import { Deadlines, FINISHED, fromIoError } from '@ambit/proxy';
import { type SecuredClient, secureClient } from './client-handshake.ts';
import { ClientSession, type ConnectOptions, type HboneStream } from './client-session.ts';
import { isUnreached } from './connect-effort.ts';
import { DialBackoff } from './dial-backoff.ts';
import { HboneError, poolClosed, poolLimit, refusedPeer } from './errors.ts';
import {
  HBONE_POOL_LIMITS,
  type HbonePoolCounters,
  type HbonePoolLimits,
  type HbonePoolOptions,
  newPoolCounters,
} from './pool-options.ts';
import { disposeLate, raceAbort } from './race-abort.ts';
import { settled } from './session.ts';
import { requireValid, type TlsIdentity } from './tls.ts';
import { endOf, type KnownPeer, trustOf } from './trust.ts';
import { keyText, type TunnelKey } from './tunnel-key.ts';

/** One key's tunnels. */
interface Slot {
  readonly key: TunnelKey;
  readonly sessions: Set<ClientSession>;
  connecting: Promise<ClientSession> | undefined;
  waiting: number;
}

/** How full a session is when the next is made. */
const AHEAD_SHARE = 0.75;
/** A stream refused by one tunnel (GOAWAY on the way) is tried again, on another. */
const ATTEMPTS_MAX = 3;

export class HbonePool {
  readonly #options: HbonePoolOptions;
  readonly #limits: HbonePoolLimits;
  readonly #slots = new Map<string, Slot>();
  readonly #live = new Set<ClientSession>();
  readonly #askedAt = new WeakMap<ClientSession, number>();
  readonly #identities = new WeakMap<ClientSession, TlsIdentity>();
  readonly #peers = new WeakMap<ClientSession, KnownPeer>();
  readonly #closed = new AbortController();
  readonly #responseDeadlines: Deadlines;
  readonly #doubts: Deadlines;
  readonly #backoff: DialBackoff;
  readonly counters: HbonePoolCounters = newPoolCounters();

  constructor(options: HbonePoolOptions) {
    this.#options = options;
    this.#limits = { ...HBONE_POOL_LIMITS, ...options.limits };
    this.#responseDeadlines = new Deadlines(options.clock, this.#limits.responseTimeoutMs);
    this.#doubts = new Deadlines(options.clock, this.#limits.doubtMs);
    this.#backoff = new DialBackoff(options.clock, options.random ?? Math.random);
  }

  /** Sessions that are open, retired ones included. */
  get size(): number {
    return this.#live.size;
  }

  /** Opens a tunnel to `authority` through a session of `key`. Rejects with a MeshError. */
  async connect(key: TunnelKey, request: ConnectOptions): Promise<HboneStream> {
    try {
      const stream = await this.#attempt(key, request, 1);
      this.counters.streams += 1;
      if (!this.#backoff.isEmpty) {
        this.#backoff.succeeded(keyText(key));
      }
      return stream;
    } catch (error) {
      this.counters.streamFailures += 1;
      throw error;
    }
  }

  /** Whether the last dial, not long ago, reached nobody. */
  isAway(key: TunnelKey): boolean {
    return this.#backoff.has(keyText(key));
  }

  /** Nothing new goes to endpoints that have left; what is open there goes on until it ends. */
  retire(isGone: (key: TunnelKey) => boolean): void {
    for (const { key, sessions } of [...this.#slots.values()]) {
      if (isGone(key)) {
        for (const session of [...sessions]) {
          session.retire();
        }
      }
    }
  }

  /** The lists of revocations changed: sessions with servers that they name are ended, with all that they carry. */
  recheck(): void {
    const revocations = this.#options.revocations?.();
    for (const session of [...this.#live]) {
      const peer = this.#peers.get(session);
      const problem = peer && endOf(peer, revocations, this.#options.clock.wallNow());
      if (problem !== undefined) {
        this.counters.endedByRecheck += 1;
        this.counters.refusedPeers[problem.kind] += 1;
        const why = `the certificate of ${session.peer.uri}: ${problem.reason}`;
        session.destroy(refusedPeer('server', problem.kind, why));
      }
    }
  }

  /** No new tunnels; open ones go on until their streams end. */
  close(): void {
    this.#closed.abort(poolClosed());
    for (const session of [...this.#live]) {
      session.retire();
    }
  }

  destroy(reason?: MeshError): void {
    this.#closed.abort(reason ?? poolClosed());
    for (const session of [...this.#live]) {
      session.destroy(reason);
    }
  }

  /** For the admin dump. */
  *rows(): Generator<TunnelKey & { readonly streams: number; readonly isRetired: boolean }> {
    for (const { key, sessions } of this.#slots.values()) {
      for (const session of sessions) {
        yield { ...key, streams: session.streams, isRetired: session.isRetired };
      }
    }
  }

  async #attempt(key: TunnelKey, request: ConnectOptions, attempt: number): Promise<HboneStream> {
    const session = await this.#session(key, request.signal);
    try {
      return await session.connect(request);
    } catch (error) {
      const isRefused = error instanceof HboneError && error.code === 'HBONE_REFUSED_STREAM';
      const isLost = error instanceof HboneError && error.code === 'HBONE_TUNNEL_LOST';
      if (isLost && this.#identities.delete(session)) {
        // The first of its callers that hears of it.
        this.#backoff.lost(keyText(key));
      }
      if (!isRefused || attempt >= ATTEMPTS_MAX || request.signal?.aborted) {
        throw error;
      }
      session.retire();
      return await this.#attempt(key, request, attempt + 1);
    }
  }

  async #session(key: TunnelKey, signal: Cancellation | undefined): Promise<ClientSession> {
    for (;;) {
      if (this.#closed.signal.aborted) {
        throw poolClosed();
      }
      // Asked also when a tunnel stands: without a certificate of ours nothing new goes through it.
      const own = await this.#identity(key);
      const slot = this.#slot(key);
      const ready = firstOf(slot.sessions);
      if (ready !== undefined && !this.#isCurrent(ready, own)) {
        ready.retire();
      } else if (ready?.reserve()) {
        this.#askedAt.set(ready, this.#options.clock.now());
        this.#openAhead(slot, ready);
        return ready;
      }
      const session = await this.#waitIn(slot, signal);
      if (session.reserve()) {
        this.#openAhead(slot, session);
        return session;
      }
      if (!session.wasUsed) {
        throw new HboneError('HBONE_TUNNEL_LOST', 'the tunnel was lost before its first use', {
          side: 'upstream',
          retryable: true,
        });
      }
      // The burst that waited was more than one tunnel carries; the rest asks again.
    }
  }

  /** A tunnel does not outlive the trust it was made under for long: until our certificate is renewed, or the server's ends. */
  #isCurrent(session: ClientSession, own: TlsIdentity): boolean {
    const endsMs = this.#peers.get(session)?.notAfterMs ?? 0;
    return this.#identities.get(session) === own && this.#options.clock.wallNow() < endsMs;
  }

  /** For the connect of a key that is under way, or begins. Whoever waits is counted once. */
  async #waitIn(slot: Slot, signal: Cancellation | undefined): Promise<ClientSession> {
    if (slot.waiting >= this.#limits.waitingPerKeyMax) {
      this.counters.refusedAtBound += 1;
      throw poolLimit(`${slot.waiting} connections wait for this tunnel`);
    }
    slot.waiting += 1;
    try {
      return await raceAbort(this.#connecting(slot), signal);
    } finally {
      slot.waiting -= 1;
      this.#sweep(slot);
    }
  }

  async #identity(key: TunnelKey): Promise<TlsIdentity> {
    const { identity, clock } = this.#options;
    return requireValid(await identity(key.sourceIdentity), clock);
  }

  /** The next session is made while this one fills, so that nobody waits for a handshake when it is full. */
  #openAhead(slot: Slot, { streams, streamsMax, isRetired }: ClientSession): void {
    const isFilling = !isRetired && streams >= streamsMax * AHEAD_SHARE;
    const isAlone = slot.sessions.size <= 1 && slot.connecting === undefined;
    if (isFilling && isAlone && this.#live.size < this.#limits.sessionsMax) {
      // Whoever needs it joins in, and hears why it failed.
      void this.#connecting(slot);
    }
  }

  #connecting(slot: Slot): Promise<ClientSession> {
    if (slot.connecting === undefined) {
      slot.connecting = this.#open(slot).finally(() => {
        slot.connecting = undefined;
        this.#sweep(slot);
      });
      // Every waiter has its own handler; this one is for the case that all of them have gone.
      slot.connecting.catch(() => undefined);
    }
    return slot.connecting;
  }

  async #open(slot: Slot): Promise<ClientSession> {
    if (this.#live.size >= this.#limits.sessionsMax) {
      this.counters.refusedAtBound += 1;
      throw poolLimit(`${this.#live.size} tunnels are open`);
    }
    const over = new AbortController();
    const deadline = this.#deadline(over);
    try {
      await this.#awaitTurn(slot, over.signal);
      this.counters.dials += 1;
      const session = await this.#establish(slot, over.signal);
      if (this.#closed.signal.aborted) {
        session.destroy();
        throw poolClosed();
      }
      return session;
    } catch (error) {
      this.counters.dialFailures += 1;
      const failure = error instanceof MeshError ? error : fromIoError(error, 'upstream');
      this.#noteFailure(slot, failure);
      throw failure;
    } finally {
      deadline.abort(FINISHED);
    }
  }

  #noteFailure({ key }: Slot, failure: MeshError): void {
    if (failure instanceof HboneError && failure.refusal !== undefined) {
      this.counters.refusedPeers[failure.refusal] += 1;
    }
    if (isUnreached(failure)) {
      this.#backoff.failed(keyText(key));
    }
  }

  /** Who was away a moment ago is not asked at once again. */
  async #awaitTurn({ key }: Slot, signal: AbortSignal): Promise<void> {
    const text = keyText(key);
    const isAgain = this.#backoff.has(text);
    const waitMs = this.#backoff.waitMs(text);
    if (waitMs > 0) {
      await raceAbort(this.#options.clock.sleep(waitMs, signal), signal);
    }
    this.counters.dialsAgain += isAgain ? 1 : 0;
  }

  async #establish(slot: Slot, signal: AbortSignal): Promise<ClientSession> {
    const { clock, dial, revocations } = this.#options;
    const { key } = slot;
    const own = await this.#identity(key);
    const raw = await raceAbort(disposeLate(dial(key, signal), signal), signal);
    let socket = raw;
    try {
      raw.setNoDelay(true);
      const secured = await secureClient(raw, {
        trust: trustOf(own, revocations?.()),
        expectedIdentities: key.expectedIdentities,
        ticketKey: keyText(key),
        nowMs: () => clock.wallNow(),
        signal,
      });
      socket = secured.socket;
      // The lists may have changed in the handshake. From here on, in the same turn, `recheck` sees the session.
      trustOf(own, revocations?.()).check(secured.peer, 'server', clock.wallNow());
      return this.#begin(slot, own, secured);
    } catch (error) {
      socket.destroy();
      raw.destroy();
      throw error;
    }
  }

  #begin(slot: Slot, own: TlsIdentity, { socket, peer, isResumed }: SecuredClient): ClientSession {
    const { clock } = this.#options;
    this.counters.resumed += isResumed ? 1 : 0;
    const session = new ClientSession({
      socket,
      peer: peer.identity,
      isResumed,
      clock,
      counters: this.counters.h2,
      responseDeadlines: this.#responseDeadlines,
      doubts: this.#doubts,
      onRetired: () => slot.sessions.delete(session),
      onClose: () => {
        this.#live.delete(session);
        this.#sweep(slot);
      },
    });
    this.#live.add(session);
    this.#identities.set(session, own);
    this.#peers.set(session, peer);
    slot.sessions.add(session);
    this.#askedAt.set(session, clock.now());
    this.#releaseUnused(session).catch(() => session.retire());
    return session;
  }

  /** Ends `over` at the connect timeout; abort the result when the connect is decided. */
  #deadline(over: AbortController): AbortController {
    const decided = new AbortController();
    const { connectTimeoutMs } = this.#limits;
    const sleep = this.#options.clock.sleep(connectTimeoutMs, decided.signal);
    const onClosed = (): void => over.abort(this.#closed.signal.reason);
    this.#closed.signal.addEventListener('abort', onClosed, { once: true });
    settled(sleep)
      .then((expired) => {
        this.#closed.signal.removeEventListener('abort', onClosed);
        if (expired) {
          over.abort(
            new HboneError(
              'HBONE_CONNECT_TIMEOUT',
              `connection timed out, maybe a NetworkPolicy is blocking HBONE port 15008: no answer within ${connectTimeoutMs} ms`,
              { side: 'upstream', retryable: true },
            ),
          );
        }
      })
      .catch(() => undefined);
    return decided;
  }

  async #releaseUnused(session: ClientSession): Promise<void> {
    const { clock } = this.#options;
    while (!session.isRetired) {
      const unusedMs = clock.now() - (this.#askedAt.get(session) ?? 0);
      const leftMs = this.#limits.unusedReleaseMs - unusedMs;
      if (leftMs <= 0) {
        this.counters.released += 1;
        session.retire();
        return;
      }
      if (!(await settled(clock.sleep(leftMs, session.retiredSignal)))) {
        return;
      }
    }
  }

  #slot(key: TunnelKey): Slot {
    const text = keyText(key);
    let slot = this.#slots.get(text);
    if (slot === undefined) {
      slot = { key, sessions: new Set(), connecting: undefined, waiting: 0 };
      this.#slots.set(text, slot);
    }
    return slot;
  }

  #sweep(slot: Slot): void {
    const isEmpty = slot.sessions.size === 0 && slot.waiting === 0;
    const text = keyText(slot.key);
    if (isEmpty && slot.connecting === undefined && this.#slots.get(text) === slot) {
      this.#slots.delete(text);
    }
  }
}

function firstOf(sessions: ReadonlySet<ClientSession>): ClientSession | undefined {
  for (const session of sessions) {
    return session;
  }
  return undefined;
}
