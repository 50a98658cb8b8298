/**
 * Writes statuses: the last wanted one of each object, so many a second, and only when it differs.
 *
 * A status is computed from the one that is there, because others write into it too, and is written
 * with the version it was computed from. After a conflict it is computed again.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '@ambit/core';
import type { KubeClient } from './client.ts';
import { isKubeError } from './errors.ts';
import type { KubeMetrics } from './metrics.ts';
import { RateLimiter } from './rate-limiter.ts';
import { type GroupVersionResource, type KubeObject, keyOf, type ObjectRef } from './resources.ts';
import { WorkQueue } from './work-queue.ts';

const PER_SECOND = 20;
const CONCURRENCY = 4;
const BURST = 10;

export type Status = Readonly<Record<string, unknown>>;

export interface StatusChange {
  readonly gvr: GroupVersionResource;
  readonly ref: ObjectRef;
  /** Only this incarnation, if given. */
  readonly uid?: string;
  /** The wanted status, from the current one; undefined to leave it. May be called again after a conflict. */
  readonly compute: (current: Status, object: KubeObject) => Status | undefined;
}

export interface StatusWriterOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** Asked before each write; what is not written then is left out. Default always. */
  readonly mayWrite?: () => boolean;
  /** Default 20. */
  readonly perSecond?: number;
  readonly metrics?: KubeMetrics;
  /** Told of every failure; it is tried again. */
  readonly onFailure?: (key: string, error: unknown, failures: number) => void;
  readonly random?: () => number;
}

/** What became of a status: also the label in metrics. */
type Result = 'written' | 'same' | 'gone' | 'not-leader';

export class StatusWriter {
  readonly #options: StatusWriterOptions;
  readonly #wanted = new Map<string, StatusChange>();
  readonly #queue: WorkQueue;
  readonly #limiter: RateLimiter;

  constructor(options: StatusWriterOptions) {
    this.#options = options;
    const { clock, metrics, onFailure, random, perSecond = PER_SECOND } = options;
    this.#limiter = new RateLimiter({ clock, perSecond, burst: BURST });
    this.#queue = new WorkQueue({
      name: 'status',
      clock,
      concurrency: CONCURRENCY,
      reconcile: async (key, { signal }) => await this.#write(key, signal),
      ...(metrics === undefined ? {} : { metrics }),
      ...(onFailure === undefined ? {} : { onFailure }),
      ...(random === undefined ? {} : { random }),
    });
  }

  start(): void {
    this.#queue.start();
  }

  /** Writes what is due, then takes no more. */
  async drain(): Promise<void> {
    await this.#queue.drain();
    this.#wanted.clear();
  }

  async stop(): Promise<void> {
    await this.#queue.stop();
    this.#wanted.clear();
  }

  /** Objects whose status waits to be written. */
  get depth(): number {
    return this.#wanted.size;
  }

  /** Replaces what was wanted of the same object before. False if the queue is full or ending. */
  write(change: StatusChange): boolean {
    const { group, resource } = change.gvr;
    const key = `${resource}.${group}/${keyOf(change.ref)}`;
    const isTaken = this.#queue.add(key);
    if (isTaken) {
      this.#wanted.set(key, change);
    }
    return isTaken;
  }

  async #write(key: string, signal: AbortSignal): Promise<undefined> {
    const change = this.#wanted.get(key);
    if (change === undefined) {
      return;
    }
    const result = await this.#attempt(change, signal);
    this.#options.metrics?.statusWrites.inc({ result });
    if (this.#wanted.get(key) === change) {
      this.#wanted.delete(key);
    }
  }

  async #attempt(change: StatusChange, signal: AbortSignal): Promise<Result> {
    const { client, mayWrite = () => true } = this.#options;
    const { gvr, ref, uid, compute } = change;
    if (!mayWrite()) {
      return 'not-leader';
    }
    await this.#limiter.take(signal);
    const object = await client.find(gvr, ref, { signal });
    if (object === undefined || (uid !== undefined && object.metadata.uid !== uid)) {
      return 'gone';
    }
    const current = (object['status'] ?? {}) as Status;
    const status = compute(current, object);
    if (status === undefined || isDeepStrictEqual(status, current)) {
      return 'same';
    }
    if (!mayWrite()) {
      return 'not-leader';
    }
    try {
      await client.update(gvr, { ...object, status }, { subresource: 'status', signal });
    } catch (error) {
      if (isKubeError(error, 'KUBE_NOT_FOUND')) {
        return 'gone';
      }
      throw error;
    }
    return 'written';
  }
}
