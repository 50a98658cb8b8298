import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { PathIndex, type PathKey } from './path-index.ts';

const text = fc.string({ unit: fc.constantFrom('/', 'a', 'b'), maxLength: 7 });
const key: fc.Arbitrary<PathKey> = fc.record({
  kind: fc.constantFrom('exact', 'prefix'),
  value: text,
});
const keys = fc.option(fc.array(key, { maxLength: 3 }), { nil: undefined });

describe('PathIndex', () => {
  it('gives those that fit, in order, as looking at each one would', () => {
    fc.assert(
      fc.property(fc.array(keys, { maxLength: 12 }), fc.array(text), (entries, paths) => {
        const index = new PathIndex(entries);
        const expected = (path: string): readonly number[] =>
          entries.flatMap((own, entry) =>
            (own?.some((one) => fits(one, path)) ?? true) ? [entry] : [],
          );
        // Twice: what was kept is what was found.
        for (const path of [...paths, ...paths]) {
          assert.deepEqual(index.candidates(path), expected(path), path);
        }
      }),
    );
  });

  it('keeps no more answers than it may, and is right beyond', () => {
    const size = 400;
    const entries = Array.from({ length: size }, (_, entry): PathKey[] => [
      { kind: 'prefix', value: entry % 2 === 0 ? '/' : `/${'a'.repeat(entry)}` },
    ]);
    const index = new PathIndex(entries);
    for (const length of [size, 1, size / 2, size]) {
      const found = index.candidates(`/${'a'.repeat(length)}`);
      const expected = entries.flatMap((_, entry) =>
        entry % 2 === 0 || entry <= length ? [entry] : [],
      );
      assert.deepEqual(found, expected);
    }
  });
});

function fits({ kind, value }: PathKey, path: string): boolean {
  return kind === 'exact' ? path === value : path.startsWith(value);
}
