/**
 * The other replicas: who they are now, a stream to each, and what they say, for the book and the captures.
 *
 * A replica that is listed and cannot be asked is unknown, however long. One that is listed no more is forgotten a
 * while after its stream has ended: by then its proxies have a stream elsewhere, or are away by their pods.
 */
import type { ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';
import type { Logger } from '@ambit/telemetry';
import type { ReplicaStream, ReplicaUpdate } from '@ambit/xds';

import type { CaptureChange, Captures } from '../index/captures.ts';
import { PeerWatch } from './peer-watch.ts';
import type { RemoteBook } from './remote-book.ts';
import { RemoteClaims } from './remote-claims.ts';
import type { RemoteState } from './remote-state.ts';

export interface Peer {
  /** Of its pod. */
  readonly name: string;
  /** `host:port` of its control plane; empty: not known yet. */
  readonly address: string;
  /** Proxies may connect to it. */
  readonly isReady: boolean;
}

/** Replicas of one controller; those over it count as ones that cannot be asked. */
const PEERS_MAX = 32;
/** Agents find another replica within seconds. */
export const GONE_MS = 10_000;

export interface ReplicaPeersOptions {
  /** Name of the pod that this is; the peer of this name is left out. */
  readonly self: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
  readonly peers: () => readonly Peer[];
  readonly open: (peer: Peer, signal: AbortSignal) => Promise<ReplicaStream>;
  readonly book: RemoteBook;
  readonly captures: Captures;
  /** Pods that agents of other replicas have captured, or hold no longer. */
  readonly onCaptured: (change: CaptureChange) => void;
  /** What others say has changed: of some objects, or who is there. */
  readonly onChange: (keys: ReadonlySet<ObjectKey> | 'all') => void;
}

interface Entry {
  peer: Peer;
  isListed: boolean;
  watch: PeerWatch | undefined;
  state: RemoteState | undefined;
  lostAtMs: number | undefined;
  /** Why there is no stream; said once. */
  reason: string | undefined;
  readonly claims: RemoteClaims;
  /** Set while it is about to be forgotten. */
  forgetting: AbortController | undefined;
}

export class ReplicaPeers {
  readonly #options: ReplicaPeersOptions;
  readonly #entries = new Map<string, Entry>();
  /** Streams that are being ended. */
  readonly #ending = new Set<Promise<void>>();
  #isRunning = false;
  #changed = Promise.withResolvers<void>();

  constructor(options: ReplicaPeersOptions) {
    this.#options = options;
  }

  start(): void {
    this.#isRunning = true;
    this.touch();
  }

  /** The list of peers may have changed. */
  touch(): void {
    if (!this.#isRunning) return;
    const { self, peers } = this.#options;
    const listed = new Map(
      peers()
        .filter(({ name }) => name !== self)
        .map((peer) => [peer.name, peer]),
    );
    for (const peer of listed.values()) this.#list(peer);
    for (const entry of this.#entries.values()) {
      if (!listed.has(entry.peer.name)) this.#unlist(entry);
    }
    this.#tell();
  }

  /** Whether every replica that serves has been heard; false when that took too long. Rejects when aborted. */
  async settled(limit: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  }): Promise<boolean> {
    const { timeoutMs, signal } = limit;
    const done = new AbortController();
    let isLate = false;
    const late = this.#options.clock.sleep(timeoutMs, AbortSignal.any([signal, done.signal])).then(
      () => {
        isLate = true;
      },
      () => signal.throwIfAborted(),
    );
    while (!isLate && !this.#isSettled()) await Promise.race([this.#changed.promise, late]);
    done.abort();
    return this.#isSettled();
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#isRunning = false;
    for (const entry of this.#entries.values()) {
      entry.forgetting?.abort();
      this.#end(entry);
    }
    await Promise.all(this.#ending);
  }

  /** For people. */
  describe(): unknown {
    return [...this.#entries.values()].map(({ peer, isListed, state, lostAtMs, reason }) => ({
      ...peer,
      isListed,
      isHeard: state !== undefined && lostAtMs === undefined,
      lostAtMs,
      reason,
      proxies: state?.proxies.size ?? 0,
      answers: state?.answers.size ?? 0,
    }));
  }

  #isSettled(): boolean {
    return [...this.#entries.values()].every(
      ({ peer, isListed, state, lostAtMs }) =>
        !isListed || !peer.isReady || (state !== undefined && lostAtMs === undefined),
    );
  }

  #list(peer: Peer): void {
    const { captures } = this.#options;
    const { name } = peer;
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      entry = {
        peer,
        isListed: true,
        watch: undefined,
        state: undefined,
        lostAtMs: undefined,
        reason: undefined,
        claims: new RemoteClaims(name, captures),
        forgetting: undefined,
      };
      this.#entries.set(name, entry);
    }
    const before = entry.peer;
    entry.peer = peer;
    entry.isListed = true;
    entry.forgetting?.abort();
    entry.forgetting = undefined;
    if (before.address !== peer.address) {
      this.#lose(entry, 'its address has changed');
      this.#end(entry);
    }
    if (peer.isReady && !before.isReady) entry.watch?.retry();
    const streams = [...this.#entries.values()].filter(({ watch }) => watch !== undefined).length;
    if (entry.watch === undefined && peer.address !== '' && streams < PEERS_MAX) this.#begin(entry);
    this.#book(entry);
  }

  /** A pod that is about to go serves its proxies to the end, so its stream is read to the end. */
  #unlist(entry: Entry): void {
    const isHeard = entry.state !== undefined && entry.lostAtMs === undefined;
    entry.isListed = false;
    this.#book(entry);
    if (!isHeard && entry.forgetting === undefined) this.#forgetLater(entry);
  }

  #begin(entry: Entry): void {
    const { clock, random, open, log } = this.#options;
    const { peer } = entry;
    const watch: PeerWatch = new PeerWatch({
      clock,
      ...(random === undefined ? {} : { random }),
      open: (signal) => open(peer, signal),
      onBatch: (state, batch) => {
        const isKnown = entry.state === state && entry.lostAtMs === undefined;
        if (entry.state !== state) log.info('another replica is heard', { replica: peer.name });
        entry.state = state;
        entry.lostAtMs = undefined;
        entry.reason = undefined;
        this.#book(entry);
        this.#captured(entry.claims.apply(batch));
        this.#tell(isKnown ? keysOf(batch) : 'all');
      },
      onLost: (reason) => {
        this.#lose(entry, reason);
        this.#book(entry);
        if (!entry.isListed) this.#forgetLater(entry);
        this.#tell();
      },
    });
    entry.watch = watch;
    watch.start();
  }

  #lose(entry: Entry, reason: string): void {
    const { clock, log } = this.#options;
    if (entry.state !== undefined) entry.lostAtMs ??= clock.wallNow();
    this.#captured(entry.claims.release());
    if (entry.reason === undefined) {
      log.warn('another replica cannot be asked', { replica: entry.peer.name, reason });
    }
    entry.reason = reason;
  }

  #end(entry: Entry): void {
    if (entry.watch === undefined) return;
    const ending = entry.watch.stop();
    entry.watch = undefined;
    this.#ending.add(ending);
    void ending.then(() => this.#ending.delete(ending));
  }

  #forgetLater(entry: Entry): void {
    const { clock, book } = this.#options;
    this.#end(entry);
    const forgetting = new AbortController();
    entry.forgetting = forgetting;
    clock.sleep(entry.state === undefined ? 0 : GONE_MS, forgetting.signal).then(
      () => {
        this.#entries.delete(entry.peer.name);
        book.delete(entry.peer.name);
        this.#tell();
      },
      () => undefined, // it is back, or this one stops
    );
  }

  #book({ peer, isListed, state, lostAtMs }: Entry): void {
    const isServing = isListed && peer.isReady;
    this.#options.book.set({ name: peer.name, state, lostAtMs, isServing });
  }

  #captured(change: CaptureChange): void {
    const { add, remove, awaited = [] } = change;
    if (add.length + remove.length + awaited.length > 0) this.#options.onCaptured(change);
  }

  #tell(keys: ReadonlySet<ObjectKey> | 'all' = 'all'): void {
    const told = this.#changed;
    this.#changed = Promise.withResolvers();
    told.resolve();
    this.#options.onChange(keys);
  }
}

/** The objects that a batch speaks of; all, where it speaks of proxies. */
function keysOf(batch: readonly ReplicaUpdate[]): ReadonlySet<ObjectKey> | 'all' {
  if (batch.some(({ proxies, goneProxies }) => proxies.length + goneProxies.length > 0))
    return 'all';
  return new Set(
    batch.flatMap(({ answers, goneKeys }) => [...answers.map(({ key }) => key), ...goneKeys]),
  );
}
