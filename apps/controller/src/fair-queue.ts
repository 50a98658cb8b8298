/**
 * A bounded queue of lanes that take turns: one tenant's many or slow objects hold up only that tenant.
 * A lane has at most one item out at a time.
 */
export interface FairQueueLimits {
  readonly total: number;
  readonly perLane: number;
}

export interface Taken<T> {
  readonly lane: string;
  readonly item: T;
}

export class FairQueue<T> {
  readonly #limits: FairQueueLimits;
  /** In the order of turns; a lane is gone as soon as it is empty. */
  readonly #lanes = new Map<string, T[]>();
  readonly #out = new Set<string>();
  #size = 0;

  constructor(limits: FairQueueLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** False if the lane or the whole is full. */
  push(lane: string, item: T): boolean {
    const items = this.#lanes.get(lane) ?? [];
    if (this.#size >= this.#limits.total || items.length >= this.#limits.perLane) return false;
    items.push(item);
    this.#lanes.set(lane, items);
    this.#size += 1;
    return true;
  }

  /** The oldest item that `mayRun` of the lane whose turn it is; its lane is out until `release`. */
  take(mayRun: (item: T) => boolean): Taken<T> | undefined {
    for (const [lane, items] of this.#lanes) {
      if (this.#out.has(lane)) continue;
      const index = items.findIndex(mayRun);
      const item = items[index];
      if (item === undefined) continue;
      this.#removeAt(lane, items, index);
      this.#out.add(lane);
      return { lane, item };
    }
    return undefined;
  }

  release(lane: string): void {
    this.#out.delete(lane);
  }

  /** True if it was waiting. */
  remove(lane: string, item: T): boolean {
    const items = this.#lanes.get(lane) ?? [];
    const index = items.indexOf(item);
    if (index < 0) return false;
    items.splice(index, 1);
    this.#size -= 1;
    if (items.length === 0) this.#lanes.delete(lane);
    return true;
  }

  /** Takes everything that waits. */
  drain(): readonly T[] {
    const all = [...this.#lanes.values()].flat();
    this.#lanes.clear();
    this.#size = 0;
    return all;
  }

  /** The lane goes to the end of the turns. */
  #removeAt(lane: string, items: T[], index: number): void {
    items.splice(index, 1);
    this.#size -= 1;
    this.#lanes.delete(lane);
    if (items.length > 0) this.#lanes.set(lane, items);
  }
}
