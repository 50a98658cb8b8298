/**
 * Tunnels in use, by who asks and whom they expect.
 *
 * Rule: a tunnel is shared only by callers with the same identity, the same expectations of the server,
 * the same address and the same pod. One connect is in flight per key; its outcome is everybody's who
 * waits for that key, and nobody else waits. Nothing new goes to a server whose certificate has ended or is revoked, or to an endpoint
 * that has left, however far the way there was.
 */

import type { Cancellation, MeshError } from '@ambit/core';
import { Deadlines } from '@ambit/proxy';
import type { SecuredClient } from './client-handshake.ts';
import { ClientSession, type ConnectOptions, type HboneStream } from './client-session.ts';
import { DialBackoff } from './dial-backoff.ts';
import { endpointLeft, HboneError, poolClosed, poolLimit, refusedPeer } from './errors.ts';
import { endedWith } from './outlived.ts';
import { PoolDial } from './pool-dial.ts';
import {
  HBONE_POOL_LIMITS,
  type HbonePoolCounters,
  type HbonePoolLimits,
  type HbonePoolOptions,
  newPoolCounters,
} from './pool-options.ts';
import { raceAbort } from './race-abort.ts';
import { settled } from './session.ts';
import type { TlsIdentity } from './tls.ts';
import { endOf, type KnownPeer } from './trust.ts';
import { keyText, type TunnelKey } from './tunnel-key.ts';

/** A session, and what it was made with. */
interface Tunnel {
  readonly session: ClientSession;
  readonly own: TlsIdentity;
  readonly peer: KnownPeer;
  /** For a stream, last. */
  askedAtMs: number;
  /** One of its callers has heard that it is lost. */
  isLost: boolean;
}

/** One key's tunnels, until its endpoint leaves. Whoever asks for the key afterwards gets another slot. */
interface Slot {
  readonly key: TunnelKey;
  readonly text: string;
  /** Those that take new streams. */
  readonly tunnels: Set<Tunnel>;
  connecting: Promise<Tunnel> | undefined;
  /** Those that wait for `connecting`. */
  waiting: number;
  /** Those that have no answer yet. */
  callers: number;
  /** Aborted when the endpoint leaves: nothing is made or taken here any more. */
  readonly left: AbortController;
}

/** How full a session is when the next is made. */
const AHEAD_SHARE = 0.75;
/** A stream refused by one tunnel (GOAWAY on the way) is tried again, on another. */
const ATTEMPTS_MAX = 3;

export class HbonePool {
  readonly #options: HbonePoolOptions;
  readonly #limits: HbonePoolLimits;
  readonly #slots = new Map<string, Slot>();
  readonly #live = new Set<Tunnel>();
  readonly #closed = new AbortController();
  readonly #responseDeadlines: Deadlines;
  readonly #doubts: Deadlines;
  readonly #backoff: DialBackoff;
  readonly #dial: PoolDial;
  /** What was asked for last, and answered. */
  #own: TlsIdentity | undefined;
  readonly counters: HbonePoolCounters = newPoolCounters();

  constructor(options: HbonePoolOptions) {
    this.#options = options;
    this.#limits = { ...HBONE_POOL_LIMITS, ...options.limits };
    this.#responseDeadlines = new Deadlines(options.clock, this.#limits.responseTimeoutMs);
    this.#doubts = new Deadlines(options.clock, this.#limits.doubtMs);
    this.#backoff = new DialBackoff(options.clock, options.random ?? Math.random);
    this.#dial = new PoolDial({
      options,
      connectTimeoutMs: this.#limits.connectTimeoutMs,
      backoff: this.#backoff,
      counters: this.counters,
      closed: this.#closed.signal,
    });
  }

  /** Sessions that are open, retired ones included. */
  get size(): number {
    return this.#live.size;
  }

  /** Opens a tunnel to `authority` through a session of `key`. Rejects with a MeshError. */
  async connect(key: TunnelKey, request: ConnectOptions): Promise<HboneStream> {
    const slot = this.#slot(key);
    slot.callers += 1;
    try {
      const stream = await this.#attempt(slot, request, 1);
      this.counters.streams += 1;
      if (!this.#backoff.isEmpty) {
        this.#backoff.succeeded(slot.text);
      }
      return stream;
    } catch (error) {
      this.counters.streamFailures += 1;
      throw error;
    } finally {
      slot.callers -= 1;
      this.#sweep(slot);
    }
  }

  /** Whether the last dial, not long ago, reached nobody. */
  isAway(key: TunnelKey): boolean {
    return this.#backoff.has(keyText(key));
  }

  /**
   * Nothing new goes to endpoints that have left: what connects to them is given up, for all who wait for it. What is open there goes
   * on until it ends.
   */
  retire(isGone: (key: TunnelKey) => boolean): void {
    for (const slot of [...this.#slots.values()]) {
      if (isGone(slot.key)) {
        this.#slots.delete(slot.text);
        slot.left.abort(endpointLeft());
        for (const { session } of [...slot.tunnels]) {
          session.retire();
        }
      }
    }
  }

  /** The lists of revocations changed: sessions with servers that they name are ended, with all that they carry. */
  recheck(): void {
    const revocations = this.#options.revocations?.();
    for (const { session, peer } of [...this.#live]) {
      const problem = endOf(peer, revocations, this.#options.clock.wallNow());
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
    for (const { session } of [...this.#live]) {
      session.retire();
    }
  }

  destroy(reason?: MeshError): void {
    this.#closed.abort(reason ?? poolClosed());
    for (const { session } of [...this.#live]) {
      session.destroy(reason);
    }
  }

  /** For the admin dump. */
  *rows(): Generator<TunnelKey & { readonly streams: number; readonly isRetired: boolean }> {
    for (const { key, tunnels } of this.#slots.values()) {
      for (const { session } of tunnels) {
        yield { ...key, streams: session.streams, isRetired: session.isRetired };
      }
    }
  }

  async #attempt(slot: Slot, request: ConnectOptions, attempt: number): Promise<HboneStream> {
    const tunnel = await this.#tunnel(slot, request.signal);
    try {
      return await tunnel.session.connect(request);
    } catch (error) {
      const isRefused = error instanceof HboneError && error.code === 'HBONE_REFUSED_STREAM';
      const isLost = error instanceof HboneError && error.code === 'HBONE_TUNNEL_LOST';
      if (isLost && !tunnel.isLost) {
        tunnel.isLost = true;
        this.#backoff.lost(slot.text);
      }
      if (!isRefused || attempt >= ATTEMPTS_MAX || request.signal?.aborted) {
        throw error;
      }
      tunnel.session.retire();
      return await this.#attempt(slot, request, attempt + 1);
    }
  }

  async #tunnel(slot: Slot, signal: Cancellation | undefined): Promise<Tunnel> {
    for (;;) {
      if (this.#closed.signal.aborted) {
        throw poolClosed();
      }
      // Asked also when a tunnel stands: without a certificate of ours nothing new goes through it.
      const own = await this.#dial.identity(slot.key);
      this.#own = own;
      slot.left.signal.throwIfAborted();
      const [ready] = slot.tunnels;
      if (ready !== undefined && !this.#isCurrent(ready, own)) {
        ready.session.retire();
      } else if (ready?.session.reserve()) {
        ready.askedAtMs = this.#options.clock.now();
        this.#openAhead(slot, ready);
        return ready;
      }
      const tunnel = await this.#waitIn(slot, signal);
      slot.left.signal.throwIfAborted();
      if (tunnel.session.reserve()) {
        this.#openAhead(slot, tunnel);
        return tunnel;
      }
      if (!tunnel.session.wasUsed) {
        throw new HboneError('HBONE_TUNNEL_LOST', 'the tunnel was lost before its first use', {
          side: 'upstream',
          retryable: true,
        });
      }
      // The burst that waited was more than one tunnel carries; the rest asks again.
    }
  }

  /** A tunnel does not outlive the trust it was made under for long: until our certificate is renewed, or the server's ends. */
  #isCurrent(tunnel: Tunnel, own: TlsIdentity): boolean {
    return tunnel.own === own && this.#options.clock.wallNow() < tunnel.peer.notAfterMs;
  }

  /** For the connect of a key that is under way, or begins. Whoever waits is counted once. */
  async #waitIn(slot: Slot, signal: Cancellation | undefined): Promise<Tunnel> {
    if (slot.waiting >= this.#limits.waitingPerKeyMax) {
      this.counters.refusedAtBound += 1;
      throw poolLimit(`${slot.waiting} connections wait for this tunnel`);
    }
    slot.waiting += 1;
    try {
      return await raceAbort(this.#connecting(slot), signal);
    } finally {
      slot.waiting -= 1;
    }
  }

  /** The next session is made while this one fills, so that nobody waits for a handshake when it is full. */
  #openAhead(slot: Slot, { session: { streams, streamsMax, isRetired } }: Tunnel): void {
    const isFilling = !isRetired && streams >= streamsMax * AHEAD_SHARE;
    const isAlone = slot.tunnels.size <= 1 && slot.connecting === undefined;
    if (isFilling && isAlone && this.#live.size < this.#limits.sessionsMax) {
      // Whoever needs it joins in, and hears why it failed.
      void this.#connecting(slot);
    }
  }

  #connecting(slot: Slot): Promise<Tunnel> {
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

  async #open(slot: Slot): Promise<Tunnel> {
    if (this.#live.size >= this.#limits.sessionsMax) {
      this.counters.refusedAtBound += 1;
      throw poolLimit(`${this.#live.size} tunnels are open`);
    }
    return await this.#dial.open(slot.key, {
      left: slot.left.signal,
      begin: (own, secured) => this.#begin(slot, own, secured),
    });
  }

  #begin(slot: Slot, own: TlsIdentity, { socket, peer, isResumed }: SecuredClient): Tunnel {
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
      abandoning: { counters: this.counters, abandonedMax: this.#limits.abandonedMax },
      onRetired: () => slot.tunnels.delete(tunnel),
      onClose: () => {
        this.#live.delete(tunnel);
        this.#sweep(slot);
        endedWith(own, this.#own, clock);
      },
    });
    const tunnel: Tunnel = { session, own, peer, askedAtMs: clock.now(), isLost: false };
    this.#live.add(tunnel);
    slot.tunnels.add(tunnel);
    this.#releaseUnused(tunnel).catch(() => session.retire());
    return tunnel;
  }

  async #releaseUnused(tunnel: Tunnel): Promise<void> {
    const { clock } = this.#options;
    const { session } = tunnel;
    while (!session.isRetired) {
      const unusedMs = clock.now() - tunnel.askedAtMs;
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
      slot = {
        key,
        text,
        tunnels: new Set(),
        connecting: undefined,
        waiting: 0,
        callers: 0,
        left: new AbortController(),
      };
      this.#slots.set(text, slot);
    }
    return slot;
  }

  #sweep(slot: Slot): void {
    const isEmpty = slot.tunnels.size === 0 && slot.callers === 0;
    if (isEmpty && slot.connecting === undefined && this.#slots.get(slot.text) === slot) {
      this.#slots.delete(slot.text);
    }
  }
}
