/**
 * Keys to reconcile: each once, never twice at a time, and after a failure later and later.
 *
 * Events only add keys; what to do is read when the key's turn comes, so that a hundred changes are one
 * piece of work. A key added while it is worked on is worked on again afterwards.
 */
import { Backoff, type Clock } from '@ambit/core';
import type { KubeMetrics } from './metrics.ts';

const BACKOFF = { initialMs: 200, maxMs: 60_000, jitter: 0.3 };
const KEYS_MAX = 200_000;

export interface WorkQueueOptions {
  /** In metrics. */
  readonly name: string;
  readonly clock: Clock;
  /** Safe to repeat. Rejects to be called again later; answers milliseconds to be called again then. */
  readonly reconcile: (
    key: string,
    options: { readonly signal: AbortSignal },
  ) => Promise<number | undefined>;
  /** Told of every failure; the queue tries again by itself. Must not throw. */
  readonly onFailure?: (key: string, error: unknown, failures: number) => void;
  /** Keys worked on at a time. Default 1. */
  readonly concurrency?: number;
  readonly backoff?: {
    readonly initialMs: number;
    readonly maxMs: number;
    readonly jitter: number;
  };
  /** Waiting, delayed and failing keys together. Default 200,000. */
  readonly keysMax?: number;
  readonly metrics?: KubeMetrics;
  readonly random?: () => number;
}

interface KeyState {
  isActive: boolean;
  /** Since when it is due; undefined if it does not wait. */
  readyAt: number | undefined;
  delayed: { readonly dueAt: number; readonly abort: AbortController } | undefined;
  backoff: Backoff | undefined;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #keys = new Map<string, KeyState>();
  /** In the order of becoming due. */
  readonly #ready = new Set<string>();
  readonly #abort = new AbortController();
  readonly #idleWaiters = new Set<() => void>();
  #active = 0;
  #isPumping = false;
  #state: 'new' | 'running' | 'draining' | 'stopped' = 'new';

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /** Keys may be added before; nothing is worked on before. */
  start(): void {
    if (this.#state === 'new') {
      this.#state = 'running';
      this.#pump();
    }
  }

  /** Keys that are due and wait. */
  get depth(): number {
    return this.#ready.size;
  }

  /** Keys that are due, delayed, worked on, or remembered for their failures. */
  get size(): number {
    return this.#keys.size;
  }

  /** Makes the key due now. False if the queue is full or ending: then the caller has to begin anew from its source. */
  add(key: string): boolean {
    const state = this.#accept(key);
    if (state === undefined) {
      return false;
    }
    this.#makeReady(key, state);
    return true;
  }

  /** Makes the key due in `ms`, or sooner if it is anyway. False as for `add`. */
  addAfter(key: string, ms: number): boolean {
    const state = this.#accept(key);
    if (state === undefined) {
      return false;
    }
    const dueAt = this.#options.clock.now() + ms;
    const isSooner = state.delayed === undefined || state.delayed.dueAt > dueAt;
    if (state.readyAt === undefined && isSooner) {
      state.delayed?.abort.abort();
      const abort = new AbortController();
      state.delayed = { dueAt, abort };
      void this.#wake(key, { ms, signal: abort.signal });
    }
    return true;
  }

  /** The key is gone: no retry, no memory of failures. Work on it that is under way goes on, and is repeated if it fails. */
  forget(key: string): void {
    const state = this.#keys.get(key);
    if (state !== undefined) {
      state.delayed?.abort.abort();
      state.delayed = undefined;
      state.backoff = undefined;
      state.readyAt = undefined;
      this.#ready.delete(key);
      this.#release(key, state);
      this.#gauge();
    }
  }

  /** Takes no more keys, finishes those that are due, and leaves out the delayed. */
  async drain(): Promise<void> {
    if (this.#state !== 'running') {
      await this.stop();
      return;
    }
    this.#state = 'draining';
    this.#dropDelayed();
    await this.#whenIdle();
    this.#state = 'stopped';
  }

  /** Leaves out everything that has not begun, aborts the rest, and waits for it. */
  async stop(): Promise<void> {
    this.#state = 'stopped';
    this.#ready.clear();
    this.#dropDelayed();
    this.#gauge();
    this.#abort.abort();
    await this.#whenIdle();
  }

  /** Resolves when nothing is due and nothing is worked on. */
  async #whenIdle(): Promise<void> {
    if (this.#active > 0 || this.#ready.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#idleWaiters.add(resolve);
      await promise;
    }
  }

  #accept(key: string): KeyState | undefined {
    const known = this.#keys.get(key);
    const isOpen = this.#state === 'new' || this.#state === 'running';
    if (
      !isOpen ||
      (known === undefined && this.#keys.size >= (this.#options.keysMax ?? KEYS_MAX))
    ) {
      this.#options.metrics?.queueRefused.inc({ queue: this.#options.name });
      return undefined;
    }
    const state = known ?? {
      isActive: false,
      readyAt: undefined,
      delayed: undefined,
      backoff: undefined,
    };
    this.#keys.set(key, state);
    return state;
  }

  #makeReady(key: string, state: KeyState): void {
    state.delayed?.abort.abort();
    state.delayed = undefined;
    state.readyAt ??= this.#options.clock.now();
    if (!state.isActive) {
      this.#ready.add(key);
      this.#gauge();
      this.#pump();
    }
  }

  async #wake(
    key: string,
    { ms, signal }: { readonly ms: number; readonly signal: AbortSignal },
  ): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, signal);
    } catch {
      // Made due before, forgotten, or stopped.
      return;
    }
    const state = this.#keys.get(key);
    if (state !== undefined) {
      this.#makeReady(key, state);
    }
  }

  /** Begins due keys, never within the call that made them due: the caller is still changing what they stand for. */
  #pump(): void {
    if (!this.#isPumping) {
      this.#isPumping = true;
      queueMicrotask(() => {
        this.#isPumping = false;
        this.#begin();
      });
    }
  }

  #begin(): void {
    const { concurrency = 1 } = this.#options;
    const isWorking = this.#state === 'running' || this.#state === 'draining';
    while (isWorking && this.#active < concurrency) {
      const [key] = this.#ready;
      const state = key === undefined ? undefined : this.#keys.get(key);
      if (key === undefined || state === undefined) {
        return;
      }
      this.#ready.delete(key);
      this.#gauge();
      void this.#work(key, state);
    }
  }

  async #work(key: string, state: KeyState): Promise<void> {
    const { clock, metrics, name, reconcile } = this.#options;
    const startedAt = clock.now();
    metrics?.queueWaitSeconds.observe(
      { queue: name },
      (startedAt - (state.readyAt ?? startedAt)) / 1000,
    );
    state.isActive = true;
    state.readyAt = undefined;
    this.#active += 1;
    let againMs: number | undefined;
    try {
      againMs = await reconcile(key, { signal: this.#abort.signal });
      state.backoff = undefined;
    } catch (error) {
      againMs = this.#failed(key, state, error);
    }
    metrics?.queueWorkSeconds.observe({ queue: name }, (clock.now() - startedAt) / 1000);
    this.#active -= 1;
    state.isActive = false;
    this.#settle(key, state, againMs);
    this.#pump();
    this.#tellIdle();
  }

  #failed(key: string, state: KeyState, error: unknown): number {
    const { backoff = BACKOFF, random = Math.random, metrics, name, onFailure } = this.#options;
    state.backoff ??= new Backoff({ ...backoff, random });
    const againMs = state.backoff.next();
    metrics?.queueRetries.inc({ queue: name });
    onFailure?.(key, error, state.backoff.failures);
    return againMs;
  }

  /** Where the key goes after its work. */
  #settle(key: string, state: KeyState, againMs: number | undefined): void {
    if (this.#keys.get(key) !== state) {
      return;
    }
    if (state.readyAt !== undefined && this.#state !== 'stopped') {
      this.#ready.add(key);
      this.#gauge();
    } else if (againMs === undefined || !this.addAfter(key, againMs)) {
      this.#release(key, state);
    }
  }

  /** Forgets a key about which nothing is left to know. */
  #release(key: string, state: KeyState): void {
    const isIdle = !state.isActive && state.readyAt === undefined && state.delayed === undefined;
    if (isIdle) {
      this.#keys.delete(key);
    }
  }

  #dropDelayed(): void {
    for (const [key, state] of this.#keys) {
      state.delayed?.abort.abort();
      state.delayed = undefined;
      if (this.#state === 'stopped') {
        state.readyAt = undefined;
      }
      this.#release(key, state);
    }
  }

  #tellIdle(): void {
    if (this.#active === 0 && this.#ready.size === 0) {
      for (const tell of this.#idleWaiters) {
        tell();
      }
      this.#idleWaiters.clear();
    }
  }

  #gauge(): void {
    this.#options.metrics?.queueDepth.set({ queue: this.#options.name }, this.#ready.size);
  }
}
