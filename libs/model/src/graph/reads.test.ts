/** Readers and keys are kept in several forms, by how many there are; all must say what a plain map of sets would. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';

import { KeySets } from './key-sets.ts';
import { type Reader, ReaderSlot, type ReadMark, touch } from './reads.ts';

const READERS = 80;
const NAMES = ['a', 'b', 'c', 'd'];

class Noted implements Reader {
  reads: readonly ReadMark[] = [];
  readonly #dirty: Set<Reader>;

  constructor(dirty: Set<Reader>) {
    this.#dirty = dirty;
  }

  markDirty(): void {
    this.#dirty.add(this);
  }
}

describe('ReaderSlot', () => {
  const step = fc.record({
    reader: fc.nat({ max: READERS - 1 }),
    names: fc.array(fc.constantFrom(...NAMES), { maxLength: 6 }),
    end: fc.constantFrom('stays', 'stays', 'stays', 'gone', 'throws'),
  });

  it('tells of a change those who have read it in their last computation, and nobody else', () => {
    const run = (steps: readonly { reader: number; names: string[]; end: string }[]): void => {
      const dirty = new Set<Reader>();
      const readers = Array.from({ length: READERS }, () => new Noted(dirty));
      const marks = new Map<string, ReadMark>();
      const slot = new ReaderSlot();
      const expected = new Map<Reader, ReadonlySet<string>>();
      for (const { reader: at, names, end } of steps) {
        const reader = readers[at] ?? new Noted(dirty);
        const compute = (): 'stays' | 'gone' => {
          for (const name of names) slot.record(marks, name);
          if (end === 'throws') throw new Error('odd');
          return end === 'gone' ? 'gone' : 'stays';
        };
        if (end === 'throws') assert.throws(() => slot.run(reader, compute), /odd/);
        else slot.run(reader, compute);
        expected.set(reader, new Set(end === 'gone' ? [] : names));
        assert.equal(reader.reads.length, expected.get(reader)?.size);
      }
      slot.record(marks, 'outside');
      const known = [...expected];
      for (const name of [...NAMES, 'outside']) {
        dirty.clear();
        touch(marks.get(name));
        const found = known.filter(([, read]) => read.has(name)).map(([reader]) => reader);
        assert.deepEqual(dirty, new Set(found));
        assert.equal(marks.has(name), found.length > 0, 'a mark that nobody reads is dropped');
      }
    };
    // Long enough that more read one name than are kept in a list.
    fc.assert(fc.property(fc.array(step, { minLength: 1, maxLength: 400, size: 'max' }), run), {
      numRuns: 60,
      // Hundreds of steps take minutes to shrink.
      endOnFailure: true,
    });
  });
});

describe('KeySets', () => {
  it('holds what a map of sets would', () => {
    const step = fc.record({
      isAdded: fc.boolean(),
      name: fc.constantFrom('x', 'y'),
      key: fc.constantFrom('1', '2', '3'),
    });
    const run = (steps: readonly { isAdded: boolean; name: string; key: string }[]): void => {
      const sets = new KeySets();
      const expected = new Map<string, Set<string>>();
      for (const { isAdded, name, key } of steps) {
        const keys = expected.get(name) ?? new Set();
        if (isAdded) keys.add(key);
        else keys.delete(key);
        expected.set(name, keys);
        if (isAdded) sets.add(name, key);
        else sets.delete(name, key);
        assert.deepEqual(sets.sortedKeysOf(name), [...keys].sort());
        assert.equal(sets.has(name), keys.size > 0);
      }
    };
    fc.assert(fc.property(fc.array(step), run));
  });
});
