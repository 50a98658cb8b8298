/**
 * One place in the pool: the worker that fills it now, and what is being waited for from it.
 *
 * A wait belongs to the place, not to the thread: when the thread dies, its replacement is told the whole state
 * and satisfies the same waits.
 */
import { Backoff, type Clock } from '@ambit/core';
import type { Logger } from '@ambit/telemetry';
import { AgentError } from '../errors.ts';
import type { FromWorker, ToWorker } from '../worker/messages.ts';
import type { SpawnWorker, WorkerPort } from './worker-port.ts';

/** A thread that says nothing for this long after it was started, or told something, is replaced. */
export const SILENCE_MS = 30_000;
/**
 * A thread that was told to end, or threw, is left behind after this long: Node runs native clean-up in it that can
 * go on for ever, and its place must not wait for that. Its listeners are closed by then.
 */
export const ENDING_MS = 5_000;
const RESTART = { initialMs: 100, maxMs: 10_000, jitter: 0.2 } as const;
/** A worker that lived this long was not broken from the start. */
const STABLE_MS = 30_000;

export interface WorkerSlotOptions {
  readonly index: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly spawn: SpawnWorker;
  /** Everything that a new worker must know, in order; the last of it has `sequence`. */
  readonly fullState: (index: number) => Iterable<ToWorker>;
  readonly onReplaced: () => void;
  readonly onLeftBehind: () => void;
}

interface Waiter {
  readonly settle: (message: FromWorker) => boolean;
  readonly reject: (error: Error) => void;
  /** Ends when the thread does: the replacement knows nothing of it. */
  readonly isOfThread: boolean;
}

export class WorkerSlot {
  readonly #options: WorkerSlotOptions;
  readonly #backoff = new Backoff(RESTART);
  readonly #waiters = new Set<Waiter>();
  readonly #stopped = new AbortController();
  #port: WorkerPort | undefined;
  #isReady = false;
  #startedAt = 0;

  constructor(options: WorkerSlotOptions) {
    this.#options = options;
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Undefined while nobody fills the place. */
  get port(): WorkerPort | undefined {
    return this.#port;
  }

  /** Resolves when the first worker is ready and was told everything. */
  async start(): Promise<void> {
    const ready = this.waitFor('ready', (message) => message.kind === 'ready');
    this.#spawn();
    await ready;
  }

  /** Dropped while there is no worker: the next one is told the whole state. */
  post(message: ToWorker): boolean {
    if (!this.#isReady || this.#port === undefined) {
      return false;
    }
    this.#port.post(message);
    return true;
  }

  /**
   * Resolves when a message satisfies `accept`. A worker that keeps silent for too long is killed and the wait goes
   * on with its replacement. Rejects when the pool stops.
   */
  async waitFor(what: string, accept: (message: FromWorker) => boolean): Promise<void> {
    const done = new AbortController();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = {
      settle: (message) => {
        const isIt = accept(message);
        if (isIt) {
          resolve();
        }
        return isIt;
      },
      reject,
      isOfThread: false,
    };
    this.#waiters.add(waiter);
    void this.#watch(what, done.signal);
    try {
      await promise;
    } finally {
      done.abort();
      this.#waiters.delete(waiter);
    }
  }

  /** One question to the thread that lives now; rejects when it dies or keeps silent, and replaces nothing. */
  async ask<T>(
    question: ToWorker,
    pick: (message: FromWorker) => T | undefined,
    timeoutMs: number,
  ): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const waiter: Waiter = {
      settle: (message) => {
        const answer = pick(message);
        if (answer !== undefined) {
          resolve(answer);
        }
        return answer !== undefined;
      },
      reject,
      isOfThread: true,
    };
    this.#waiters.add(waiter);
    const done = new AbortController();
    this.#options.clock.sleep(timeoutMs, done.signal).then(
      () => reject(this.#silent(question.kind)),
      // Ended by `done`: the answer came first.
      () => undefined,
    );
    try {
      if (!this.post(question)) {
        throw new AgentError(
          'AGENT_WORKER_FAILED',
          `worker ${this.#options.index} is being replaced`,
        );
      }
      return await promise;
    } finally {
      // The loser of the race must not become an unhandled rejection.
      promise.catch(() => undefined);
      done.abort();
      this.#waiters.delete(waiter);
    }
  }

  stop(): void {
    this.#stopped.abort();
    this.#port?.terminate();
    this.#fail(new AgentError('AGENT_STOPPED', 'the agent is stopping'), () => true);
  }

  #spawn(): void {
    if (this.#stopped.signal.aborted) {
      return;
    }
    const { index, spawn, clock } = this.#options;
    this.#isReady = false;
    this.#startedAt = clock.now();
    const port = spawn(index, {
      onMessage: (message) => {
        if (this.#port === port) {
          this.#receive(message);
        }
      },
      onFailing: () => void this.#expectEnd(port),
      onExit: (reason) => this.#over(port, reason),
    });
    this.#port = port;
  }

  #over(port: WorkerPort, reason: string): void {
    if (this.#port === port) {
      this.#port = undefined;
      this.#isReady = false;
      void this.#replace(reason);
    }
  }

  async #expectEnd(port: WorkerPort): Promise<void> {
    try {
      await this.#options.clock.sleep(ENDING_MS, this.#stopped.signal);
    } catch {
      // The process ends.
      return;
    }
    if (this.#port === port) {
      this.#options.onLeftBehind();
      this.#over(port, `it did not end within ${ENDING_MS} ms and is left behind`);
    }
  }

  #receive(message: FromWorker): void {
    if (message.kind === 'ready' && !this.#isReady) {
      this.#isReady = true;
      for (const state of this.#options.fullState(this.#options.index)) {
        this.#port?.post(state);
      }
    }
    for (const waiter of [...this.#waiters]) {
      waiter.settle(message);
    }
  }

  async #replace(reason: string): Promise<void> {
    const { index, clock, log, onReplaced } = this.#options;
    this.#fail(
      new AgentError('AGENT_WORKER_FAILED', `worker ${index} ended: ${reason}`),
      (waiter) => waiter.isOfThread,
    );
    if (this.#stopped.signal.aborted) {
      return;
    }
    if (clock.now() - this.#startedAt > STABLE_MS) {
      this.#backoff.reset();
    }
    const waitMs = this.#backoff.next();
    log.error('worker ended, replacing it', { worker: index, reason, waitMs });
    onReplaced();
    try {
      await clock.sleep(waitMs, this.#stopped.signal);
    } catch {
      // Stopping.
      return;
    }
    this.#spawn();
  }

  /** Kills the thread each time it had SILENCE_MS and did not say what is waited for. */
  async #watch(what: string, done: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([done, this.#stopped.signal]);
    while (!signal.aborted) {
      const port = this.#port;
      try {
        await this.#options.clock.sleep(SILENCE_MS, signal);
      } catch {
        // It came, or the pool stops.
        return;
      }
      if (port !== undefined && port === this.#port) {
        this.#options.log.error('worker is silent, ending it', {
          worker: this.#options.index,
          waitingFor: what,
        });
        port.terminate();
        void this.#expectEnd(port);
      }
    }
  }

  #fail(error: Error, isMeant: (waiter: Waiter) => boolean): void {
    for (const waiter of [...this.#waiters].filter(isMeant)) {
      this.#waiters.delete(waiter);
      waiter.reject(error);
    }
  }

  #silent(what: string): AgentError {
    return new AgentError(
      'AGENT_WORKER_SILENT',
      `worker ${this.#options.index} did not answer "${what}" in time`,
    );
  }
}
