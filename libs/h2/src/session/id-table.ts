/**
 * Streams by their number: open addressing in one array.
 *
 * Rule: not a Map, because streams come and go with requests (see `Roster` of core). Numbers are one after another: in slots one after
 * another they would be one run, and each removal a walk to its end, so they are scattered. Whoever chooses numbers so that they
 * share a slot makes each search as long as there are streams, of which a session has a bounded number.
 */

const SLOTS_MIN_BITS = 4;
/** 2^32 divided by the golden ratio (Knuth, The Art of Computer Programming, 6.4): the upper bits of multiples are far apart. */
const SCATTER = 0x9e37_79b1;

export class IdTable<Item extends { readonly id: number }> {
  #slots: (Item | undefined)[] = new Array<Item | undefined>(1 << SLOTS_MIN_BITS).fill(undefined);
  /** What is left of 32 bits is a slot. */
  #shift = 32 - SLOTS_MIN_BITS;
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
      this.#double();
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
      const wanted = this.#slotOf(item.id);
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
    let at = this.#slotOf(id);
    for (let item = slots[at]; item !== undefined && item.id !== id; item = slots[at]) {
      at = (at + 1) & last;
    }
    return at;
  }

  #slotOf(id: number): number {
    return Math.imul(id, SCATTER) >>> this.#shift;
  }

  #double(): void {
    const items = this.all();
    this.#shift -= 1;
    this.#slots = new Array<Item | undefined>(this.#slots.length * 2).fill(undefined);
    for (const item of items) {
      this.#slots[this.#find(item.id)] = item;
    }
  }
}
