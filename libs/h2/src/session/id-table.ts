/**
 * Streams by their number: open addressing in one array.
 *
 * Rule: not a Map, because streams come and go with requests (see `Roster` of core). Whoever chooses numbers so that they share a
 * slot makes each search as long as there are streams, of which a session has a bounded number.
 */

const SLOTS_MIN = 16;

export class IdTable<Item extends { readonly id: number }> {
  #slots: (Item | undefined)[] = new Array<Item | undefined>(SLOTS_MIN).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): Item | undefined {
    return this.#slots[this.#find(id)];
  }

  /** Of an id that is not there. */
  add(item: Item): void {
    // At least half of the slots stay free, so that a search ends soon.
    if ((this.#size + 1) * 2 > this.#slots.length) {
      this.#resize(this.#slots.length * 2);
    }
    this.#slots[this.#find(item.id)] = item;
    this.#size += 1;
  }

  /** Does nothing where it is not there. */
  delete(id: number): void {
    const slots = this.#slots;
    let free = this.#find(id);
    if (slots[free] === undefined) {
      return;
    }
    slots[free] = undefined;
    this.#size -= 1;
    // Who was pushed on by it moves up.
    const last = slots.length - 1;
    for (let at = (free + 1) & last; ; at = (at + 1) & last) {
      const item = slots[at];
      if (item === undefined) {
        return;
      }
      const wanted = (item.id >>> 1) & last;
      if (((at - wanted) & last) >= ((at - free) & last)) {
        slots[free] = item;
        slots[at] = undefined;
        free = at;
      }
    }
  }

  /** A list of its own, ascending. */
  all(): Item[] {
    return this.#slots.filter((item) => item !== undefined).sort((a, b) => a.id - b.id);
  }

  /** The slot that has it, or the one where it belongs. */
  #find(id: number): number {
    const slots = this.#slots;
    const last = slots.length - 1;
    // Numbers of clients are odd, one after another.
    let at = (id >>> 1) & last;
    for (let item = slots[at]; item !== undefined && item.id !== id; item = slots[at]) {
      at = (at + 1) & last;
    }
    return at;
  }

  #resize(length: number): void {
    const items = this.all();
    this.#slots = new Array<Item | undefined>(length).fill(undefined);
    for (const item of items) {
      this.#slots[this.#find(item.id)] = item;
    }
  }
}
