/**
 * A program that the lab keeps running: controller, agents. It comes back after it dies, with a pause that doubles,
 * unless somebody stopped it on purpose.
 */
import type { Clock } from '@ambit/core';
import { pause } from './pause.ts';
import { type LabProcess, type ProcessOptions, startLogged } from './process.ts';

const BACKOFF_MS_MIN = 200;
const BACKOFF_MS_MAX = 5_000;
/** A run this long counts as healthy: the next pause is short again. */
const STABLE_MS = 10_000;

export type ComponentState = 'stopped' | 'running' | 'waiting';

export interface ComponentOptions {
  readonly name: string;
  readonly clock: Clock;
  readonly logFile: string;
  readonly graceMs: number;
  /** Asked at every start, so that extra environment can change in between. */
  readonly process: () => ProcessOptions;
  /** After every start, before it is known to work. */
  readonly onStart?: () => void;
}

export class Component {
  readonly name: string;
  readonly #options: ComponentOptions;
  #process: LabProcess | undefined;
  #run: Promise<void> | undefined;
  #stop = new AbortController();
  /** Ends that nobody asked for. */
  restarts = 0;
  lastEnd = '';

  constructor(options: ComponentOptions) {
    this.name = options.name;
    this.#options = options;
  }

  get state(): ComponentState {
    if (this.#process !== undefined) {
      return 'running';
    }
    return this.#run === undefined ? 'stopped' : 'waiting';
  }

  get pid(): number | undefined {
    return this.#process?.child.pid;
  }

  /** Idempotent. */
  start(): void {
    if (this.#run === undefined) {
      this.#stop = new AbortController();
      this.#run = this.#keepRunning(this.#stop.signal);
    }
  }

  /** SIGTERM, then SIGKILL after the grace; it stays down. Idempotent. */
  async stop(graceMs: number = this.#options.graceMs): Promise<void> {
    this.#stop.abort();
    await this.#process?.stop(this.#options.clock, graceMs);
    await this.#run;
    this.#run = undefined;
  }

  /** As a crash: it comes back. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#process?.signal(signal) ?? false;
  }

  async #keepRunning(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    let pauseMs = BACKOFF_MS_MIN;
    while (!signal.aborted) {
      const startedAt = clock.now();
      this.#process = startLogged(this.#options.process(), this.#options.logFile);
      this.#options.onStart?.();
      const end = await this.#process.ended;
      this.#process = undefined;
      if (signal.aborted) {
        return;
      }
      this.restarts += 1;
      this.lastEnd = end.error ?? `exit ${end.code ?? end.signal}`;
      pauseMs = clock.now() - startedAt > STABLE_MS ? BACKOFF_MS_MIN : pauseMs;
      await pause(clock, pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, BACKOFF_MS_MAX);
    }
  }
}
