/**
 * The workers: one complete proxy a thread, told everything by this thread, replaced when they die.
 *
 * Rule: what counts as applied is what every worker has applied. A worker that is silent for too long is
 * replaced, and its replacement is told the whole state.
 */
import { Backoff, type Clock } from '@ambit/core';
import { describeError, type Logger, type ThreadHeaps } from '@ambit/telemetry';
import { WaypointError } from '../errors.ts';
import type { FromWorker, ListenAt, ToWorker } from '../proxy/messages.ts';
import type { SpawnWorker, WorkerPort } from './worker-port.ts';

const SILENCE_MS = 15_000;
const REPORT_TIMEOUT_MS = 5_000;
/** More than a drain's deadline, for the thread to say so. */
const DRAIN_GRACE_MS = 2_000;
const RESTART = { initialMs: 100, maxMs: 10_000, jitter: 0.2 } as const;
/** A worker that lived this long was not broken from the start. */
const STABLE_MS = 30_000;

export type Rejections = Extract<FromWorker, { kind: 'applied' }>['rejected'];
/** A change without its number. */
export type Change =
  | Omit<Extract<ToWorker, { kind: 'addresses' }>, 'sequence'>
  | Omit<Extract<ToWorker, { kind: 'objects' }>, 'sequence'>;

export interface WorkerPoolOptions {
  readonly count: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly spawn: SpawnWorker;
  /** A worker's heap has given memory back. */
  readonly onCollected?: () => void;
  /** Everything held now, in the order in which a new worker must be told. */
  readonly state: () => readonly (Change | Exclude<ToWorker, { sequence: number }>)[];
}

interface Slot {
  readonly index: number;
  readonly backoff: Backoff;
  port: WorkerPort | undefined;
  isReady: boolean;
  startedAt: number;
}

type Listener = (slot: Slot, message: FromWorker) => void;

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #slots: readonly Slot[];
  readonly #listeners = new Set<Listener>();
  readonly #stopped = new AbortController();
  /** Where a worker listens, by its place; a fresh descriptor each time. Undefined while nobody does. */
  #listenAt: ((index: number) => ListenAt) | undefined;
  #isLeaving = false;
  #sequence = 0;
  #reportId = 0;
  replacements = 0;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#slots = Array.from({ length: options.count }, (_, index) => ({
      index,
      backoff: new Backoff(RESTART),
      port: undefined,
      isReady: false,
      startedAt: 0,
    }));
  }

  /** Of the workers that live. */
  get heaps(): ThreadHeaps {
    const ports = this.#slots.flatMap(({ port }) => port ?? []);
    return new Map(ports.map((port) => [port.name, async () => await port.heapSnapshot()]));
  }

  /** Resolves when every worker is ready. */
  async start(): Promise<void> {
    const ready = this.#every('ready', (message) => message.kind === 'ready');
    for (const slot of this.#slots) {
      this.#spawn(slot);
    }
    await ready;
  }

  /** Resolves when every worker has applied it, with what they refused. */
  async apply(change: Change): Promise<Rejections> {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const rejected = new Map<string, string>();
    const applied = this.#every('applied', (message) => {
      if (message.kind !== 'applied' || message.sequence < sequence) {
        return false;
      }
      for (const { key, error } of message.rejected) {
        rejected.set(key, error);
      }
      return true;
    });
    this.broadcast({ ...change, sequence } as ToWorker);
    await applied;
    return [...rejected].map(([key, error]) => ({ key, error }));
  }

  /** Resolves when every worker serves; a worker that starts later does at once. Throws WAYPOINT_LISTEN. */
  async serve(listenAt: (index: number) => ListenAt): Promise<void> {
    this.#listenAt = listenAt;
    let failure: string | undefined;
    const serving = this.#every('serving', (message) => {
      if (message.kind === 'serving') {
        failure ??= message.error;
      }
      return message.kind === 'serving';
    });
    for (const slot of this.#slots) {
      this.#tellToServe(slot);
    }
    await serving;
    if (failure !== undefined) {
      throw new WaypointError('WAYPOINT_LISTEN', failure);
    }
  }

  /** To every worker that lives; one that starts later is told the state. */
  broadcast(message: ToWorker): void {
    for (const slot of this.#slots) {
      if (slot.isReady) {
        slot.port?.post(message);
      }
    }
  }

  /** The end is near, for every worker, also for one that starts later. */
  leave(): void {
    this.#isLeaving = true;
    this.broadcast({ kind: 'leave' });
  }

  /** Values of the workers that answer in time. */
  async report(what: 'metrics' | 'clusters'): Promise<readonly unknown[]> {
    this.#reportId += 1;
    const id = this.#reportId;
    const values: unknown[] = [];
    const asked = this.#every(
      'report',
      (message) => {
        if (message.kind !== 'report' || message.id !== id) {
          return false;
        }
        values.push(message.value);
        return true;
      },
      { timeoutMs: REPORT_TIMEOUT_MS },
    );
    this.broadcast({ kind: 'report', id, what });
    await asked;
    return values;
  }

  /** Nobody begins to listen any more. Lets connections end; resolves with the number that the deadline cut off. */
  async drain(deadlineMs: number): Promise<number> {
    this.#listenAt = undefined;
    let cutOff = 0;
    const drained = this.#every(
      'drained',
      (message) => {
        if (message.kind === 'drained') {
          cutOff += message.cutOff;
        }
        return message.kind === 'drained';
      },
      { timeoutMs: deadlineMs + DRAIN_GRACE_MS },
    );
    this.broadcast({ kind: 'drain', deadlineMs });
    await drained;
    return cutOff;
  }

  stop(): void {
    this.#stopped.abort(new WaypointError('WAYPOINT_STOPPED', 'the waypoint is stopping'));
    for (const slot of this.#slots) {
      slot.port?.terminate();
    }
  }

  /**
   * Waits until every worker said what `accept` wants. With a timeout it then gives up waiting; without, it
   * replaces who keeps silent and waits for the replacement. Rejects when the pool stops.
   */
  async #every(
    what: string,
    accept: (message: FromWorker) => boolean,
    options: { readonly timeoutMs?: number } = {},
  ): Promise<void> {
    const missing = new Set<Slot>(this.#slots);
    const done = Promise.withResolvers<void>();
    const listener: Listener = (slot, message) => {
      if (missing.has(slot) && accept(message)) {
        missing.delete(slot);
        if (missing.size === 0) {
          done.resolve();
        }
      }
    };
    this.#listeners.add(listener);
    const over = new AbortController();
    const onStop = (): void => done.reject(this.#stopped.signal.reason);
    this.#stopped.signal.addEventListener('abort', onStop, { once: true });
    const watching =
      options.timeoutMs === undefined
        ? this.#replaceSilent(what, missing, over.signal)
        : this.#options.clock.sleep(options.timeoutMs, over.signal).then(() => done.resolve());
    watching.catch(() => undefined);
    try {
      await done.promise;
    } finally {
      over.abort();
      this.#listeners.delete(listener);
      this.#stopped.signal.removeEventListener('abort', onStop);
    }
  }

  async #replaceSilent(
    what: string,
    missing: ReadonlySet<Slot>,
    signal: AbortSignal,
  ): Promise<void> {
    for (;;) {
      const ports = [...missing].map((slot) => slot.port);
      await this.#options.clock.sleep(SILENCE_MS, signal);
      for (const slot of missing) {
        if (slot.port !== undefined && ports.includes(slot.port)) {
          this.#options.log.error('worker is silent, ending it', {
            worker: slot.index,
            waitingFor: what,
          });
          slot.port.terminate();
        }
      }
    }
  }

  #spawn(slot: Slot): void {
    if (this.#stopped.signal.aborted) {
      return;
    }
    slot.startedAt = this.#options.clock.now();
    const port = this.#options.spawn(slot.index, {
      onMessage: (message) => {
        if (slot.port === port) {
          this.#receive(slot, message);
        }
      },
      onExit: (reason) => {
        if (slot.port === port) {
          slot.port = undefined;
          slot.isReady = false;
          this.#replace(slot, reason).catch(() => undefined);
        }
      },
    });
    slot.port = port;
  }

  #receive(slot: Slot, message: FromWorker): void {
    if (message.kind === 'collected') {
      this.#options.onCollected?.();
      return;
    }
    if (message.kind === 'ready') {
      slot.isReady = true;
      for (const part of this.#options.state()) {
        const isChange = part.kind === 'addresses' || part.kind === 'objects';
        // The last of the state is the addresses; who waits for a change waits for them.
        const sequence = part.kind === 'addresses' ? this.#sequence : 0;
        slot.port?.post((isChange ? { ...part, sequence } : part) as ToWorker);
      }
      if (this.#isLeaving) {
        slot.port?.post({ kind: 'leave' });
      }
      this.#tellToServe(slot);
    }
    for (const listener of [...this.#listeners]) {
      listener(slot, message);
    }
  }

  /** A descriptor is only made for a worker that can take it. One that gets none is as good as dead. */
  #tellToServe(slot: Slot): void {
    if (this.#listenAt === undefined || slot.port === undefined || !slot.isReady) {
      return;
    }
    try {
      slot.port.post({ kind: 'serve', at: this.#listenAt(slot.index) });
    } catch (error) {
      const { log } = this.#options;
      log.error('worker cannot listen, ending it', {
        worker: slot.index,
        error: describeError(error),
      });
      slot.port.terminate();
    }
  }

  async #replace(slot: Slot, reason: string): Promise<void> {
    if (this.#stopped.signal.aborted) {
      return;
    }
    this.replacements += 1;
    if (this.#options.clock.now() - slot.startedAt > STABLE_MS) {
      slot.backoff.reset();
    }
    const waitMs = slot.backoff.next();
    this.#options.log.error('worker ended, replacing it', { worker: slot.index, reason, waitMs });
    await this.#options.clock.sleep(waitMs, this.#stopped.signal);
    this.#spawn(slot);
  }
}
