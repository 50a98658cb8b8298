/**
 * The workers: one complete proxy a thread, told everything by this thread, replaced when they die.
 *
 * Rule: what counts as applied is what every worker has applied. Nothing here is on the byte path.
 */
import type { Clock } from '@ambit/core';
import type { Logger, ThreadHeaps } from '@ambit/telemetry';
import { AgentError } from '../errors.ts';
import type { CapturedPod, FromWorker, ToWorker } from '../worker/messages.ts';
import type { SpawnWorker } from './worker-port.ts';
import { WorkerSlot } from './worker-slot.ts';

const REPORT_TIMEOUT_MS = 5_000;

export type ResourceChange = Omit<
  Extract<ToWorker, { readonly kind: 'resources' }>,
  'kind' | 'sequence'
>;

export interface WorkerState {
  /** Everything held now, as one change from nothing. */
  resources(): ResourceChange;
  /** And what is revoked. */
  certificates(): Iterable<
    Extract<ToWorker, { kind: 'certificate' | 'certificate-unavailable' | 'revocations' }>
  >;
}

export interface WorkerPoolOptions {
  readonly count: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly spawn: SpawnWorker;
  readonly state: WorkerState;
}

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #slots: readonly WorkerSlot[];
  /** What to tell the worker of a place about each captured pod; makes fresh duplicates of its listeners. */
  readonly #pods = new Map<string, (index: number) => CapturedPod>();
  #sequence = 0;
  #reportId = 0;
  /** Workers replaced since the start. */
  replacements = 0;
  /** Threads that did not end when they should have; each may use a core until the process ends. */
  leftBehind = 0;

  constructor(options: WorkerPoolOptions) {
    this.#options = options;
    this.#slots = Array.from(
      { length: options.count },
      (_, index) =>
        new WorkerSlot({
          index,
          clock: options.clock,
          log: options.log,
          spawn: options.spawn,
          fullState: (slot) => this.#fullState(slot),
          onReplaced: () => {
            this.replacements++;
          },
          onLeftBehind: () => {
            this.leftBehind++;
          },
        }),
    );
  }

  get size(): number {
    return this.#slots.length;
  }

  /** Of the workers that live. */
  get heaps(): ThreadHeaps {
    const ports = this.#slots.flatMap(({ port }) => port ?? []);
    return new Map(ports.map((port) => [port.name, async () => await port.heapSnapshot()]));
  }

  async start(): Promise<void> {
    await Promise.all(this.#slots.map((slot) => slot.start()));
  }

  /**
   * Resolves when every worker has applied the change, with what they refused (each text once). The caller has put
   * it into `state` before, so that a worker that dies meanwhile gets it with the rest.
   */
  async applyResources(change: ResourceChange): Promise<readonly string[]> {
    const sequence = ++this.#sequence;
    const errors = new Set<string>();
    await Promise.all(
      this.#slots.map(async (slot) => {
        const applied = slot.waitFor('applied', (message) => {
          if (message.kind !== 'applied' || message.sequence < sequence) {
            return false;
          }
          for (const error of message.errors) {
            errors.add(error);
          }
          return true;
        });
        slot.post({ kind: 'resources', sequence, ...change });
        await applied;
      }),
    );
    return [...errors];
  }

  /** Certificates, and that there is none. */
  broadcast(message: ToWorker): void {
    for (const slot of this.#slots) {
      slot.post(message);
    }
  }

  /** Resolves when every worker accepts for the pod; rejects with AGENT_WORKER_FAILED when one cannot. */
  async addPod(uid: string, describe: (index: number) => CapturedPod): Promise<void> {
    this.#pods.set(uid, describe);
    const failures: string[] = [];
    await Promise.all(
      this.#slots.map(async (slot, index) => {
        const started = slot.waitFor('pod-started', (message) => {
          if (message.kind !== 'pod-started' || message.uid !== uid) {
            return false;
          }
          if (message.error !== undefined) {
            failures.push(message.error);
          }
          return true;
        });
        if (slot.isReady) {
          slot.post({ kind: 'pod-added', pod: describe(index) });
        }
        await started;
      }),
    );
    if (failures.length > 0) {
      this.removePod(uid, 'kill');
      throw new AgentError(
        'AGENT_WORKER_FAILED',
        `a worker cannot serve the pod: ${failures.join('; ')}`,
      );
    }
  }

  removePod(uid: string, mode: 'release' | 'kill'): void {
    if (this.#pods.delete(uid)) {
      this.broadcast({ kind: 'pod-removed', uid, mode });
    }
  }

  /** Resolves when every worker has heard everything that was said before, or the pool has stopped. */
  async settle(): Promise<void> {
    const nothing = { changed: [], removed: [] };
    try {
      await this.applyResources({ addresses: nothing, authorizations: nothing });
    } catch {
      // Stopped: nobody hears anything any more.
    }
  }

  /** What each worker answers; those that do not, or are being replaced, are left out. */
  async report(what: 'metrics' | 'connections'): Promise<readonly unknown[]> {
    const id = ++this.#reportId;
    const answers = await Promise.allSettled(
      this.#slots.map((slot) =>
        slot.ask(
          { kind: 'report', id, what },
          (message) =>
            message.kind === 'report' && message.id === id ? { value: message.value } : undefined,
          REPORT_TIMEOUT_MS,
        ),
      ),
    );
    return answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value.value] : []));
  }

  /** Resolves when every worker has ended its connections or cut them off; with what was cut. */
  async drain(deadlineMs: number): Promise<readonly string[]> {
    const drained = (message: FromWorker) => (message.kind === 'drained' ? message : undefined);
    const answers = await Promise.allSettled(
      this.#slots.map((slot) =>
        // A worker that overruns its deadline is ended with the process.
        slot.ask({ kind: 'drain', deadlineMs }, drained, deadlineMs + REPORT_TIMEOUT_MS),
      ),
    );
    return answers.flatMap((answer) =>
      answer.status === 'fulfilled' ? answer.value.cutOff : ['worker'],
    );
  }

  stop(): void {
    for (const slot of this.#slots) {
      slot.stop();
    }
  }

  *#fullState(index: number): Iterable<ToWorker> {
    const { state } = this.#options;
    yield { kind: 'resources', sequence: this.#sequence, ...state.resources() };
    yield* state.certificates();
    for (const describe of this.#pods.values()) {
      yield { kind: 'pod-added', pod: describe(index) };
    }
  }
}
