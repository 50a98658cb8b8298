/**
 * What the controller says of the pods of this node, and waiting for it: a pod's sandbox may be made a moment before
 * the controller's word arrives.
 */
import type { Clock } from '@ambit/core';
import type { PodFacts } from '@ambit/model';

export interface PodKey {
  readonly namespace: string;
  readonly name: string;
  /** Of this pod and not of one before it under the same name. Empty: whatever there is. */
  readonly uid: string;
}

export class PodDirectory {
  readonly #clock: Clock;
  readonly #facts = new Map<string, PodFacts>();
  readonly #waiting = new Set<() => void>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  apply(changed: readonly PodFacts[], removed: readonly string[]): void {
    for (const name of removed) {
      this.#facts.delete(name);
    }
    for (const facts of changed) {
      this.#facts.set(`${facts.namespace}/${facts.name}`, facts);
    }
    for (const wake of [...this.#waiting]) {
      wake();
    }
  }

  /** Undefined too where another pod of this name is meant. */
  find({ namespace, name, uid }: PodKey): PodFacts | undefined {
    const facts = this.#facts.get(`${namespace}/${name}`);
    const isOther = uid !== '' && facts !== undefined && facts.uid !== '' && facts.uid !== uid;
    return isOther ? undefined : facts;
  }

  /** Undefined when nothing came in time. */
  async wait(key: PodKey, timeoutMs: number): Promise<PodFacts | undefined> {
    if (timeoutMs <= 0) {
      return this.find(key);
    }
    const done = new AbortController();
    const late = this.#clock.sleep(timeoutMs, done.signal).then(
      () => 'late' as const,
      () => 'done' as const,
    );
    try {
      while (true) {
        const facts = this.find(key);
        if (facts !== undefined) {
          return facts;
        }
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#waiting.add(resolve);
        const outcome = await Promise.race([promise, late]);
        this.#waiting.delete(resolve);
        if (outcome === 'late') {
          return this.find(key);
        }
      }
    } finally {
      done.abort();
    }
  }
}
