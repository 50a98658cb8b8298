/**
 * Validation in threads of its own: what one object costs, nobody else waits for.
 *
 * Namespaces take turns and have one object in work at a time, of large objects one runs at a time, so
 * that a thread stays for the others. An object has a deadline, then its thread is ended and replaced.
 */
import { Backoff, type Clock } from '@ambit/core';
import { FairQueue } from '../fair-queue.ts';
import { reviewHead } from './admission-review.ts';
import type { FromValidator } from './validate-messages.ts';
import type { AdmissionValidator, ValidationOutcome } from './validator.ts';
import { type SpawnValidator, threadSpawner, type ValidatorThread } from './validator-thread.ts';

export interface WorkerValidatorLimits {
  readonly threads: number;
  /** Bytes from which on an object counts as large. */
  readonly largeBytes: number;
  readonly queueMax: number;
  readonly queuePerNamespaceMax: number;
  /** Together below the timeout of the webhook, so that the answer is ours. */
  readonly waitMs: number;
  readonly runMs: number;
}

const VALIDATOR_LIMITS: WorkerValidatorLimits = {
  threads: 2,
  largeBytes: 256 * 1024,
  queueMax: 256,
  queuePerNamespaceMax: 32,
  waitMs: 2_000,
  runMs: 2_000,
};

interface Job {
  readonly id: number;
  readonly body: Uint8Array;
  readonly lane: string;
  readonly isLarge: boolean;
  readonly waiting: AbortController;
  readonly finish: (outcome: ValidationOutcome) => void;
}

/** For a thread to end after it was told to; then it is left behind. */
const END_MS_MAX = 5_000;
/** Threads that are left behind; with more, their places stay empty and objects go unchecked. */
const LEFT_BEHIND_MAX = 4;

interface Slot {
  thread: ValidatorThread | undefined;
  exited: AbortController;
  state: 'starting' | 'idle' | 'busy' | 'ended';
  job: Job | undefined;
  running: AbortController;
}

export class WorkerValidator implements AdmissionValidator {
  readonly #clock: Clock;
  readonly #limits: WorkerValidatorLimits;
  readonly #spawn: SpawnValidator;
  readonly #queue: FairQueue<Job>;
  readonly #slots: readonly Slot[];
  readonly #closing = new AbortController();
  readonly #backoff = new Backoff({ initialMs: 100, maxMs: 5_000 });
  #nextId = 0;
  #leftBehind = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly limits?: Partial<WorkerValidatorLimits>;
    readonly spawn?: SpawnValidator;
  }) {
    this.#clock = options.clock;
    this.#limits = { ...VALIDATOR_LIMITS, ...options.limits };
    this.#spawn = options.spawn ?? threadSpawner();
    const { queueMax, queuePerNamespaceMax, threads } = this.#limits;
    this.#queue = new FairQueue({ total: queueMax, perLane: queuePerNamespaceMax });
    this.#slots = Array.from({ length: threads }, () => ({
      thread: undefined,
      exited: new AbortController(),
      state: 'ended' as const,
      job: undefined,
      running: new AbortController(),
    }));
    for (const slot of this.#slots) this.#start(slot);
  }

  /** Threads that were ended and never said that they did. */
  get leftBehind(): number {
    return this.#leftBehind;
  }

  /** Reviews that wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  validate(body: Uint8Array): Promise<ValidationOutcome> {
    const { promise, resolve } = Promise.withResolvers<ValidationOutcome>();
    this.#nextId += 1;
    const job: Job = {
      id: this.#nextId,
      body,
      lane: reviewHead(body).namespace,
      isLarge: body.byteLength >= this.#limits.largeBytes,
      waiting: new AbortController(),
      finish: resolve,
    };
    if (this.#closing.signal.aborted || !this.#queue.push(job.lane, job)) {
      return Promise.resolve({ kind: 'busy' });
    }
    void this.#expire(job);
    this.#dispatch();
    return promise;
  }

  /** What waits or runs is answered `busy`. Resolves when the threads have ended, or after five seconds. */
  async close(): Promise<void> {
    this.#closing.abort();
    for (const job of this.#queue.drain()) {
      job.waiting.abort();
      job.finish({ kind: 'busy' });
    }
    for (const slot of this.#slots) {
      const isBusy = slot.state === 'busy';
      this.#settle(slot, { kind: 'busy' });
      if (isBusy) slot.thread?.end();
      else slot.thread?.finish();
    }
    const running = this.#slots.filter(({ thread }) => thread !== undefined);
    await Promise.all(running.map(({ exited }) => this.#passes(END_MS_MAX, exited.signal)));
  }

  async #expire(job: Job): Promise<void> {
    if (!(await this.#passes(this.#limits.waitMs, job.waiting.signal))) return;
    if (this.#queue.remove(job.lane, job)) job.finish({ kind: 'busy' });
  }

  #dispatch(): void {
    for (const slot of this.#slots) {
      if (slot.state !== 'idle' || slot.thread === undefined) continue;
      const isLargeRunning = this.#slots.some(({ job }) => job?.isLarge === true);
      const taken = this.#queue.take((job) => !job.isLarge || !isLargeRunning);
      if (taken === undefined) return;
      this.#run(slot, slot.thread, taken.item);
    }
  }

  #run(slot: Slot, thread: ValidatorThread, job: Job): void {
    job.waiting.abort();
    slot.state = 'busy';
    slot.job = job;
    slot.running = new AbortController();
    thread.post({ id: job.id, body: job.body });
    void this.#limit(slot, thread, slot.running.signal);
  }

  async #limit(slot: Slot, thread: ValidatorThread, signal: AbortSignal): Promise<void> {
    if (!(await this.#passes(this.#limits.runMs, signal))) return;
    this.#settle(slot, { kind: 'exhausted' });
    slot.state = 'ended';
    thread.end();
    this.#dispatch();
    if (!(await this.#passes(END_MS_MAX, slot.exited.signal)) || slot.thread !== thread) return;
    this.#leftBehind += 1;
    slot.thread = undefined;
    if (this.#leftBehind <= LEFT_BEHIND_MAX && !this.#closing.signal.aborted) this.#start(slot);
  }

  /** True once `ms` have passed; false if `signal` came first. */
  async #passes(ms: number, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#clock.sleep(ms, signal);
      return true;
    } catch {
      // Aborted: it is not needed any more.
      return false;
    }
  }

  #start(slot: Slot): void {
    slot.state = 'starting';
    slot.exited = new AbortController();
    // One that was left behind may still speak; its place has another thread.
    const isCurrent = (): boolean => slot.thread === thread;
    const thread: ValidatorThread = this.#spawn({
      onMessage: (message) => {
        if (isCurrent()) this.#onMessage(slot, message);
      },
      onExit: () => {
        if (isCurrent()) void this.#onExit(slot);
      },
    });
    slot.thread = thread;
  }

  #onMessage(slot: Slot, message: FromValidator): void {
    if (slot.state === 'ended' || this.#closing.signal.aborted) return;
    if (message.kind === 'outcome') {
      this.#backoff.reset();
      if (slot.job?.id === message.id) this.#settle(slot, message.outcome);
    }
    slot.state = 'idle';
    this.#dispatch();
  }

  /** A thread that ends while it has a job ran out of memory on it. */
  async #onExit(slot: Slot): Promise<void> {
    const wasStarting = slot.state === 'starting';
    slot.state = 'ended';
    slot.thread = undefined;
    slot.exited.abort();
    this.#settle(slot, { kind: 'exhausted' });
    this.#dispatch();
    const waitMs = wasStarting ? this.#backoff.next() : 0;
    if (waitMs > 0 && !(await this.#passes(waitMs, this.#closing.signal))) return;
    if (!this.#closing.signal.aborted) this.#start(slot);
  }

  #settle(slot: Slot, outcome: ValidationOutcome): void {
    const { job } = slot;
    if (job === undefined) return;
    slot.job = undefined;
    slot.running.abort();
    this.#queue.release(job.lane);
    job.finish(outcome);
  }
}
