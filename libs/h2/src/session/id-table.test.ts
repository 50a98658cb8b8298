import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { IdTable } from './id-table.ts';

/** Few slots' worth of numbers, so that many share one. */
const id = fc.nat({ max: 40 }).map((index) => 1 + 2 * (index % 8) + 32 * Math.floor(index / 8));

describe('IdTable', () => {
  it('has what a Map has, whatever comes and goes', () => {
    fc.assert(
      fc.property(fc.array(id, { maxLength: 120 }), (ids) => {
        const table = new IdTable<{ readonly id: number }>();
        const expected = new Map<number, { readonly id: number }>();
        for (const one of ids) {
          if (expected.delete(one)) {
            table.delete(one);
          } else {
            const item = { id: one };
            table.add(item);
            expected.set(one, item);
          }
          assert.equal(table.size, expected.size);
          for (const known of ids) {
            assert.equal(table.get(known), expected.get(known));
          }
        }
        const ascending = [...expected.values()].sort((a, b) => a.id - b.id);
        assert.deepEqual(table.all(), ascending);
        table.delete(999);
        assert.equal(table.size, expected.size);
      }),
    );
  });

  it('takes as few looks to remove the oldest of many as of a few', () => {
    let looks = 0;
    const item = (number: number) => ({
      get id() {
        looks += 1;
        return number;
      },
    });
    for (const kept of [8, 256, 1_000]) {
      const table = new IdTable<{ readonly id: number }>();
      const numbers = Array.from({ length: kept * 10 }, (_, index) => 1 + 2 * index);
      looks = 0;
      for (const [index, number] of numbers.entries()) {
        const oldest = numbers[index - kept];
        if (oldest !== undefined) {
          table.delete(oldest);
        }
        table.add(item(number));
      }
      const each = looks / numbers.length;
      assert.ok(each < 8, `${each} looks with ${kept}`);
    }
  });
});
