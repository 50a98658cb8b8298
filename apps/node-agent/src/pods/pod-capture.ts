/**
 * The life of one pod's capture: idle → listening → captured → releasing → idle, and back from any of them.
 *
 * Rules: listeners on every worker first, then rules, then the report. Rules are taken away before listeners. A step
 * that fails is tried again, with back-off, until it succeeds or something else is wanted.
 */
import { Backoff, type Clock } from '@ambit/core';
import { describeError, type Logger } from '@ambit/telemetry';
import type { CaptureOptions } from '../capture/rules.ts';
import { AgentError } from '../errors.ts';

export type CaptureState = 'idle' | 'listening' | 'captured' | 'releasing';

export type CaptureTarget =
  | { readonly mode: 'ambient'; readonly options: CaptureOptions }
  | { readonly mode: 'none' };

/** What the steps do in the world. Each may be repeated. */
export interface CaptureSteps {
  /** Listeners open on all workers, DNS answering, a certificate asked for. */
  listen(signal: AbortSignal): Promise<void>;
  applyRules(options: CaptureOptions): Promise<void>;
  /** New connections are no longer redirected. */
  releaseRules(): Promise<void>;
  /** Workers stop accepting; open connections stay. */
  unlisten(): Promise<void>;
  carriedConnections(): number;
  /** Nothing of the capture remains in the namespace. */
  removeRules(): Promise<void>;
  /** Whether an earlier agent left rules there. */
  hasRules(): Promise<boolean>;
}

export interface PodCaptureOptions {
  readonly uid: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly steps: CaptureSteps;
  readonly onChange: (state: CaptureState) => void;
}

/** Peers learn of the release through the control plane; until then they still come through the tunnel. */
export const RELEASE_GRACE_MS = 30_000;
const CARRIED_POLL_MS = 2_000;
const RETRY = { initialMs: 200, maxMs: 15_000, jitter: 0.2 } as const;

export class PodCapture {
  readonly #options: PodCaptureOptions;
  readonly #backoff = new Backoff(RETRY);
  readonly #ended = new AbortController();
  #state: CaptureState = 'idle';
  #target: CaptureTarget | undefined;
  #appliedOptions = '';
  /** Whether the namespace may hold rules of ours although the state is idle. */
  #mayHoldRules = true;
  #isListening = false;
  #releasedAtMs = 0;
  #lastError: Error | undefined;
  /** Aborted when the target changes or the pod goes; replaced at each change. */
  #wake = new AbortController();
  #settled = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;

  constructor(options: PodCaptureOptions) {
    this.#options = options;
    this.#settled.promise.catch(() => undefined);
  }

  get state(): CaptureState {
    return this.#state;
  }

  /** Why the last step failed; undefined when it did not. */
  get lastError(): Error | undefined {
    return this.#lastError;
  }

  /** In this state or on the way to it. */
  get isWanted(): boolean {
    return this.#target?.mode === 'ambient';
  }

  aim(target: CaptureTarget): void {
    if (this.#ended.signal.aborted || JSON.stringify(target) === JSON.stringify(this.#target)) {
      return;
    }
    this.#target = target;
    this.#backoff.reset();
    this.#wake.abort();
    this.#wake = new AbortController();
    if (!this.#isSettled()) {
      this.#settled.resolve();
      this.#settled = Promise.withResolvers<void>();
      this.#settled.promise.catch(() => undefined);
    }
    this.#running ??= this.#run();
  }

  /**
   * Resolves when what is wanted is the case (a release counts as soon as nothing new is redirected). Rejects when
   * the pod goes, or with AGENT_CAPTURE_TIMEOUT and the last failure.
   */
  async whenSettled(timeoutMs: number): Promise<void> {
    const done = new AbortController();
    const signal = AbortSignal.any([done.signal, this.#ended.signal]);
    const timeout = this.#options.clock.sleep(timeoutMs, signal).then(
      () => {
        const why = this.#lastError === undefined ? '' : `: ${describeError(this.#lastError)}`;
        throw new AgentError('AGENT_CAPTURE_TIMEOUT', `not done within ${timeoutMs} ms${why}`);
      },
      () => undefined,
    );
    try {
      while (!this.#isSettled() && !this.#ended.signal.aborted) {
        await Promise.race([this.#settled.promise, timeout]);
      }
    } finally {
      done.abort();
    }
    if (this.#ended.signal.aborted) {
      throw new AgentError('AGENT_STOPPED', 'the pod is gone');
    }
  }

  /** Stops working on the pod. Leaves the namespace as it is: rules stay, so that nothing leaves in clear. */
  async end(): Promise<void> {
    this.#ended.abort();
    this.#wake.abort();
    this.#settled.resolve();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      const { signal } = this.#wake;
      try {
        const waitMs = await this.#step(signal);
        this.#backoff.reset();
        this.#lastError = undefined;
        if (waitMs === 'done') {
          this.#settled.resolve();
          await aborted(signal);
        } else if (waitMs > 0) {
          await this.#sleep(waitMs, signal);
        }
      } catch (error) {
        if (!signal.aborted) {
          await this.#fail(error, signal);
        }
      }
    }
  }

  /** One step towards the target; answers how long to wait before the next, or that there is none. */
  async #step(signal: AbortSignal): Promise<number | 'done'> {
    const target = this.#target;
    if (target === undefined) {
      return 'done';
    }
    return target.mode === 'ambient'
      ? await this.#stepIn(target.options, signal)
      : await this.#stepOut();
  }

  async #stepIn(options: CaptureOptions, signal: AbortSignal): Promise<number | 'done'> {
    const { steps } = this.#options;
    const wanted = JSON.stringify(options);
    if (this.#state === 'captured' && this.#appliedOptions === wanted) {
      return 'done';
    }
    if (!this.#isListening) {
      await steps.listen(signal);
      this.#isListening = true;
    }
    if (this.#state === 'idle') {
      this.#enter('listening');
    }
    this.#mayHoldRules = true;
    await steps.applyRules(options);
    this.#appliedOptions = wanted;
    this.#enter('captured');
    return 0;
  }

  async #stepOut(): Promise<number | 'done'> {
    const { steps, clock } = this.#options;
    switch (this.#state) {
      case 'idle':
        return await this.#clean();
      case 'listening':
      case 'captured':
        await steps.releaseRules();
        this.#appliedOptions = '';
        this.#releasedAtMs = clock.now();
        this.#enter('releasing');
        this.#settled.resolve();
        return RELEASE_GRACE_MS;
      case 'releasing': {
        const leftMs = this.#releasedAtMs + RELEASE_GRACE_MS - clock.now();
        if (leftMs > 0) {
          return leftMs;
        }
        if (this.#isListening) {
          await steps.unlisten();
          this.#isListening = false;
        }
        if (steps.carriedConnections() > 0) {
          return CARRIED_POLL_MS;
        }
        await steps.removeRules();
        this.#mayHoldRules = false;
        this.#enter('idle');
        return 0;
      }
    }
  }

  /** Idle, and wanted so: an earlier agent may have left rules, or a failed start listeners. */
  async #clean(): Promise<number | 'done'> {
    const { steps, clock } = this.#options;
    if (this.#isListening) {
      await steps.unlisten();
      this.#isListening = false;
    }
    if (!this.#mayHoldRules) {
      return 'done';
    }
    if (await steps.hasRules()) {
      await steps.releaseRules();
      this.#releasedAtMs = clock.now() - RELEASE_GRACE_MS;
      this.#enter('releasing');
      return 0;
    }
    this.#mayHoldRules = false;
    return 'done';
  }

  #isSettled(): boolean {
    const target = this.#target;
    if (target === undefined) {
      return false;
    }
    return target.mode === 'ambient'
      ? this.#state === 'captured' && this.#appliedOptions === JSON.stringify(target.options)
      : this.#state === 'releasing' || (this.#state === 'idle' && !this.#mayHoldRules);
  }

  #enter(state: CaptureState): void {
    if (state !== this.#state) {
      this.#options.log.info('capture state', {
        pod: this.#options.uid,
        from: this.#state,
        to: state,
      });
      this.#state = state;
      this.#options.onChange(state);
    }
  }

  async #fail(error: unknown, signal: AbortSignal): Promise<void> {
    const waitMs = this.#backoff.next();
    const isFirst = this.#lastError === undefined;
    this.#lastError = error instanceof Error ? error : new Error(String(error));
    const fields = { pod: this.#options.uid, state: this.#state, error: this.#lastError, waitMs };
    if (isFirst) {
      this.#options.log.error('capture failed, trying again', fields);
    } else {
      this.#options.log.debug('capture failed again', fields);
    }
    await this.#sleep(waitMs, signal);
  }

  async #sleep(ms: number, signal: AbortSignal): Promise<void> {
    try {
      await this.#options.clock.sleep(ms, signal);
    } catch {
      // Something else is wanted now.
    }
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) {
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }
}
