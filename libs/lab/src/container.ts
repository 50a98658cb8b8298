/**
 * One container: a process that is restarted when it ends, and the probe that says when it is ready.
 *
 * Readiness belongs to one run: a restarted container is not ready until its probe succeeds again.
 */

import type { Container } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { pause } from './pause.ts';
import { attemptProbe, type ProbeTarget } from './probe.ts';
import { type LabProcess, type ProcessOptions, startLogged } from './process.ts';

const BACKOFF_MS_MIN = 250;
const BACKOFF_MS_MAX = 30_000;
const STABLE_MS = 10_000;
/** Until the first success, so that nobody waits for a period of ten seconds. */
const FIRST_PROBES_MS = 200;

export interface ContainerOptions {
  readonly container: Container;
  readonly clock: Clock;
  readonly logFile: string;
  readonly graceMs: number;
  readonly process: () => ProcessOptions;
  readonly probeTarget: ProbeTarget;
  readonly onChange: () => void;
}

export class ContainerRun {
  readonly name: string;
  readonly #options: ContainerOptions;
  readonly #stop = new AbortController();
  #process: LabProcess | undefined;
  #run: Promise<void> = Promise.resolve();
  isReady = false;
  restarts = 0;
  /** Why it is not ready, for people. */
  message = 'starting';

  constructor(options: ContainerOptions) {
    this.name = options.container.name;
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#process !== undefined;
  }

  start(): void {
    this.#run = this.#keepRunning(this.#stop.signal);
  }

  kill(signal: NodeJS.Signals): boolean {
    return this.#process?.signal(signal) ?? false;
  }

  /** Resolves when no process of it is left. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#process?.stop(this.#options.clock, this.#options.graceMs);
    await this.#run;
  }

  async #keepRunning(signal: AbortSignal): Promise<void> {
    const { clock, logFile } = this.#options;
    let pauseMs = BACKOFF_MS_MIN;
    while (!signal.aborted) {
      const startedAt = clock.now();
      const started = startLogged(this.#options.process(), logFile);
      this.#process = started;
      const over = new AbortController();
      const probing = this.#probe(AbortSignal.any([signal, over.signal]));
      const end = await started.ended;
      this.#process = undefined;
      over.abort();
      await probing;
      this.#setReady(false, end.error ?? `ended with ${end.code ?? end.signal}`);
      if (signal.aborted) {
        return;
      }
      this.restarts += 1;
      pauseMs = clock.now() - startedAt > STABLE_MS ? BACKOFF_MS_MIN : pauseMs;
      await pause(clock, pauseMs, signal);
      pauseMs = Math.min(pauseMs * 2, BACKOFF_MS_MAX);
    }
  }

  async #probe(signal: AbortSignal): Promise<void> {
    const { clock, container, probeTarget } = this.#options;
    const probe = container.readinessProbe;
    if (probe === undefined) {
      this.#setReady(true, '');
      return;
    }
    let successes = 0;
    let failures = 0;
    let isGoing = await pause(clock, probe.initialDelaySeconds * 1_000, signal);
    while (isGoing) {
      const failure = await attemptProbe(probe, probeTarget);
      if (signal.aborted) {
        return;
      }
      successes = failure === undefined ? successes + 1 : 0;
      failures = failure === undefined ? 0 : failures + 1;
      if (successes >= probe.successThreshold) {
        this.#setReady(true, '');
      } else if (failure !== undefined && (!this.isReady || failures >= probe.failureThreshold)) {
        this.#setReady(false, `readiness probe: ${failure}`);
      }
      const periodMs = probe.periodSeconds * 1_000;
      const waitMs = this.isReady ? periodMs : Math.min(periodMs, FIRST_PROBES_MS);
      isGoing = await pause(clock, waitMs, signal);
    }
  }

  #setReady(isReady: boolean, message: string): void {
    if (this.isReady !== isReady || this.message !== message) {
      this.isReady = isReady;
      this.message = message;
      this.#options.onChange();
    }
  }
}
