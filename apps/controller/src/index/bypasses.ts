/**
 * Which namespaces are let out of the mesh now: what their annotations say, by the clock.
 *
 * Each replica begins and ends a bypass by itself at its time. The wall clock is asked again at least every half minute, so that
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
/** Whoever wrote it may have a clock that is ahead; one that begins later than this has not begun. */
const AHEAD_MS_MAX = 300_000;
const PREFIX = 'Namespace/';

export interface BypassesOptions {
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly clock: Clock;
  /** Those whose time has come, to begin or to end. */
  readonly onOver: (change: BypassChange) => void;
}

export class Bypasses {
  readonly #options: BypassesOptions;
  readonly #open = new Map<string, Bypass>();
  /** Not over; those that have begun are open too. */
  readonly #known = new Map<string, Bypass>();
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
      isTouched ||= bypass !== undefined || this.#known.has(name);
      if (bypass === undefined) this.#known.delete(name);
      else this.#known.set(name, bypass);
      const change = this.#judge(name);
      if (change === 'add') add.push(name);
      if (change === 'remove') remove.push(name);
    }
    if (isTouched) this.#wait();
    return { add, remove };
  }

  /** By the clock of now; forgets what is over. */
  #judge(name: string): 'add' | 'remove' | undefined {
    const nowMs = this.#options.clock.wallNow();
    const bypass = this.#known.get(name);
    const wasOpen = this.#open.has(name);
    if (bypass === undefined || nowMs >= bypass.untilMs) {
      this.#known.delete(name);
    } else if (nowMs >= bypass.sinceMs - AHEAD_MS_MAX) {
      this.#open.set(name, bypass);
      return wasOpen ? undefined : 'add';
    }
    return this.#open.delete(name) ? 'remove' : undefined;
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
    if (this.#known.size > 0 && !this.#isStopped) void this.#untilOver(this.#waiting.signal);
  }

  async #untilOver(signal: AbortSignal): Promise<void> {
    const { clock, onOver } = this.#options;
    while (!signal.aborted && this.#known.size > 0) {
      const nowMs = clock.wallNow();
      const leftMs = [...this.#known.values()].map(({ sinceMs, untilMs }) =>
        Math.max(
          0,
          nowMs < sinceMs - AHEAD_MS_MAX ? sinceMs - AHEAD_MS_MAX - nowMs : untilMs - nowMs,
        ),
      );
      // Rejects only when another wait has taken its place, or there is none any more.
      await clock.sleep(Math.min(...leftMs, LOOK_AGAIN_MS), signal).catch(() => undefined);
      if (signal.aborted) return;
      const changes = [...this.#known.keys()].map((name) => [name, this.#judge(name)] as const);
      const namesOf = (what: 'add' | 'remove'): readonly string[] =>
        changes.filter(([, change]) => change === what).map(([name]) => name);
      const [add, remove] = [namesOf('add'), namesOf('remove')];
      if (add.length + remove.length > 0) onOver({ add, remove });
    }
  }
}
