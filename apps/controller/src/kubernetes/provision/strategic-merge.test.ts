import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';

import { type MergeProblem, strategicMerge } from './strategic-merge.ts';

type Fields = Readonly<Record<string, unknown>>;
const POD = { containers: [{ name: 'a', env: [{ name: 'X', value: '1' }] }, { name: 'b' }] };

describe('strategicMerge', () => {
  const merged: readonly (readonly [string, Fields, Fields, Fields])[] = [
    [
      'adds and replaces fields',
      { a: 1, b: { c: 2 } },
      { b: { d: 3 } },
      { a: 1, b: { c: 2, d: 3 } },
    ],
    ['takes a field away', { a: 1, b: 2 }, { b: null }, { a: 1 }],
    ['leaves what is not said', { a: { b: 1 } }, { a: {} }, { a: { b: 1 } }],
    ['takes away nothing where nothing is', {}, { a: { b: null, c: 1 } }, { a: { c: 1 } }],
    [
      'merges containers and their variables by name',
      POD,
      { containers: [{ name: 'a', env: [{ name: 'Y', value: '2' }] }] },
      {
        containers: [
          {
            name: 'a',
            env: [
              { name: 'X', value: '1' },
              { name: 'Y', value: '2' },
            ],
          },
          { name: 'b' },
        ],
      },
    ],
    [
      'adds a container',
      POD,
      { containers: [{ name: 'c' }] },
      { containers: [...POD.containers, { name: 'c' }] },
    ],
    [
      'takes a container away',
      POD,
      { containers: [{ name: 'a', $patch: 'delete' }] },
      { containers: [{ name: 'b' }] },
    ],
    [
      'replaces a list that is merged otherwise',
      POD,
      { containers: [{ $patch: 'replace' }, { name: 'z' }] },
      { containers: [{ name: 'z' }] },
    ],
    [
      'replaces lists without a key',
      { tolerations: [{ key: 'a' }] },
      { tolerations: [] },
      { tolerations: [] },
    ],
    [
      'merges ports of a Service by the port that clients see',
      { spec: { ports: [{ port: 1, targetPort: 5 }] } },
      { spec: { ports: [{ port: 1, nodePort: 9 }, { port: 2 }] } },
      { spec: { ports: [{ port: 1, targetPort: 5, nodePort: 9 }, { port: 2 }] } },
    ],
    [
      'merges ports of a container by its own',
      { containers: [{ name: 'a', ports: [{ containerPort: 1 }] }] },
      { containers: [{ name: 'a', ports: [{ containerPort: 1, name: 'x' }] }] },
      { containers: [{ name: 'a', ports: [{ containerPort: 1, name: 'x' }] }] },
    ],
    ['replaces an object', { a: { b: 1 } }, { a: { $patch: 'replace', c: 2 } }, { a: { c: 2 } }],
    ['empties an object', { a: { b: 1 } }, { a: { $patch: 'delete' } }, { a: {} }],
    [
      'keeps only the keys it names',
      { a: { b: 1, c: 2 } },
      { a: { $retainKeys: ['c'], c: 3 } },
      { a: { c: 3 } },
    ],
    [
      'takes values out of a list',
      { f: ['x', 'y'] },
      { '$deleteFromPrimitiveList/f': ['x'] },
      { f: ['y'] },
    ],
    ['ignores an order', { a: 1 }, { '$setElementOrder/containers': [{ name: 'a' }] }, { a: 1 }],
  ];
  for (const [what, base, overlay, wanted] of merged) {
    it(what, () => {
      const problems: MergeProblem[] = [];
      const before = structuredClone([base, overlay]);
      assert.deepEqual(strategicMerge(base, overlay, problems), wanted);
      assert.deepEqual(problems, []);
      assert.deepEqual([base, overlay], before, 'nothing is changed in place');
    });
  }

  const deep = (levels: number): Fields => (levels === 0 ? { end: 1 } : { a: deep(levels - 1) });
  const refused: readonly (readonly [string, Fields, Fields, string])[] = [
    ['a list where an object is', { a: { b: 1 } }, { a: [] }, 'a'],
    ['an object where a list is', POD, { containers: {} }, 'containers'],
    ['a value where an object is', { a: { b: { c: 1 } } }, { a: { b: 7 } }, 'a.b'],
    ['an object where a value is', { a: 1 }, { a: { b: 1 } }, 'a'],
    ['an item without its key', POD, { containers: [{ image: 'x' }] }, 'containers[0]'],
    ['an item that is no object', POD, { containers: ['x'] }, 'containers[0]'],
    ['what is nested without end', {}, deep(100), Array(65).fill('a').join('.')],
  ];
  for (const [what, base, overlay, path] of refused) {
    it(`refuses ${what}`, () => {
      const problems: MergeProblem[] = [];
      strategicMerge(base, overlay, problems);
      assert.deepEqual(
        problems.map((problem) => problem.path),
        [path],
      );
    });
  }

  it('never throws, never changes its input, and puts nothing on prototypes', () => {
    const value = fc.dictionary(
      fc.constantFrom('containers', 'name', 'ports', '$patch', '$retainKeys', '__proto__', 'a'),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(value, value, (base, overlay) => {
        const before = JSON.stringify([base, overlay]);
        strategicMerge(base, overlay, []);
        assert.equal(JSON.stringify([base, overlay]), before);
        assert.equal(({} as Fields)['polluted'], undefined);
      }),
    );
  });
});
