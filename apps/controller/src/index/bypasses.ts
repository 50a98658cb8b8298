/**
 * Which namespaces are let out of the mesh now: what their annotations say, by the clock.
 *
 * Each replica ends a bypass by itself at its time. The wall clock is asked again at least every half minute, so that
 * one that jumps, or a machine that slept, ends it at most that late. After a start what is over is over.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';
import { type Bypass, readBypass } from '@ambit/model';

export interface BypassChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

const LOOK_AGAIN_MS = 30_000;
const PREFIX = 'Namespace/';

export interface BypassesOptions {
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly clock: Clock;
  /** Those whose time has come. */
  readonly onOver: (change: BypassChange) => void;
}

export class Bypasses {
  readonly #options: BypassesOptions;
  readonly #open = new Map<string, Bypass>();
  /** Of the wait for the next end. */
  #waiting = new AbortController();
  #isStopped = false;

  constructor(options: BypassesOptions) {
    this.#options = options;
  }

  /** By namespace. */
  get open(): ReadonlyMap<string, Bypass> {
    return this.#open;
  }

  stop(): void {
    this.#isStopped = true;
    this.#waiting.abort();
  }

  /** To be called with the keys of all objects that were written or taken away; answers what that changed. */
  update(causes: Iterable<ObjectKey>): BypassChange {
    const add: string[] = [];
    const remove: string[] = [];
    let isTouched = false;
    for (const key of causes) {
      if (!key.startsWith(PREFIX)) continue;
      const name = key.slice(PREFIX.length);
      const bypass = this.#read(key);
      const isOpen = bypass !== undefined && this.#options.clock.wallNow() < bypass.untilMs;
      const wasOpen = this.#open.has(name);
      isTouched ||= isOpen || wasOpen;
      if (isOpen) this.#open.set(name, bypass);
      else this.#open.delete(name);
      if (isOpen && !wasOpen) add.push(name);
      if (!isOpen && wasOpen) remove.push(name);
    }
    if (isTouched) this.#wait();
    return { add, remove };
  }

  #read(key: ObjectKey): Bypass | undefined {
    const object = this.#options.objects.get(key);
    return object?.kind === 'Namespace'
      ? readBypass(object.metadata.annotations).bypass
      : undefined;
  }

  #wait(): void {
    this.#waiting.abort();
    this.#waiting = new AbortController();
    if (this.#open.size > 0 && !this.#isStopped) void this.#untilOver(this.#waiting.signal);
  }

  async #untilOver(signal: AbortSignal): Promise<void> {
    const { clock, onOver } = this.#options;
    while (!signal.aborted && this.#open.size > 0) {
      const firstMs = Math.min(...[...this.#open.values()].map(({ untilMs }) => untilMs));
      const leftMs = Math.max(0, firstMs - clock.wallNow());
      // Rejects only when another wait has taken its place, or there is none any more.
      await clock.sleep(Math.min(leftMs, LOOK_AGAIN_MS), signal).catch(() => undefined);
      if (signal.aborted) return;
      const nowMs = clock.wallNow();
      const over = [...this.#open].flatMap(([name, { untilMs }]) =>
        nowMs >= untilMs ? [name] : [],
      );
      for (const name of over) this.#open.delete(name);
      if (over.length > 0) onOver({ add: [], remove: over });
    }
  }
}
