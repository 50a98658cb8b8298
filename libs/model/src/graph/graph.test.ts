import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { deepEqual } from './deep-equal.ts';
import { Graph } from './graph.ts';

interface Item {
  readonly tag: string;
  readonly value: number;
}

describe('Graph', () => {
  it('recomputes only what read the thing that changed', () => {
    const graph = new Graph();
    const items = graph.source<Item>('items').addIndex('tag', (item) => [item.tag]);
    const wanted = graph.source<string>('wanted');
    let computed = 0;
    const sums = graph.map('sums', wanted, (tag) => {
      computed += 1;
      return items.lookup('tag', tag).reduce((sum, { value }) => sum + value, 0);
    });
    wanted.set('x', 'red');
    wanted.set('y', 'blue');
    items.set('a', { tag: 'red', value: 1 });
    graph.run();
    assert.deepEqual([sums.get('x'), sums.get('y'), computed], [1, 0, 2]);
    items.set('b', { tag: 'red', value: 2 });
    graph.run();
    assert.deepEqual([sums.get('x'), computed], [3, 3], 'y was not computed again');
    items.set('b', { tag: 'blue', value: 2 });
    graph.run();
    assert.deepEqual([sums.get('x'), sums.get('y'), computed], [1, 2, 5], 'both buckets changed');
  });

  it('stops a change where a result is equal to the one before', () => {
    const graph = new Graph();
    const items = graph.source<Item>('items');
    const tags = graph.map('tags', items, ({ tag }) => ({ tag }));
    let computed = 0;
    const out = graph.map('out', tags, ({ tag }) => {
      computed += 1;
      return tag;
    });
    items.set('a', { tag: 'red', value: 1 });
    graph.run();
    items.set('a', { tag: 'red', value: 2 });
    graph.run();
    assert.deepEqual([out.get('a'), computed], ['red', 1]);
  });

  it('takes away what an input no longer makes', () => {
    const graph = new Graph();
    const lists = graph.source<readonly string[]>('lists');
    const words = graph.flatMap('words', lists, (list, key) =>
      list.map((word) => [`${key}/${word}`, word]),
    );
    const initials = words.addIndex('initial', (word) => [word.slice(0, 1)]);
    const counts = graph.group('counts', initials, 'initial', (members) => members.length);
    lists.set('x', ['apple', 'axe', 'bee']);
    graph.run();
    assert.deepEqual(
      [...counts.all],
      [
        ['a', 2],
        ['b', 1],
      ],
    );
    lists.set('x', ['apple']);
    graph.run();
    assert.deepEqual([...counts.all], [['a', 1]]);
    lists.set('x', undefined);
    graph.run();
    assert.equal(words.all.size + counts.all.size, 0);
  });

  it('answers lookups in order of key, whatever came first', () => {
    const graph = new Graph();
    const items = graph.source<Item>('items').addIndex('all', () => ['*']);
    for (const key of ['c', 'a', 'b']) items.set(key, { tag: key, value: 0 });
    assert.deepEqual(items.keysOf('all', '*'), ['a', 'b', 'c']);
    assert.deepEqual(
      items.lookup('all', '*').map(({ tag }) => tag),
      ['a', 'b', 'c'],
    );
  });
});

describe('deepEqual', () => {
  const same: readonly (readonly [unknown, unknown])[] = [
    [1, 1],
    [Number.NaN, Number.NaN],
    [{ a: [1, { b: 2 }] }, { a: [1, { b: 2 }] }],
    [{ a: 1 }, { a: 1, b: undefined }],
    [new Map([['a', new Set([1])]]), new Map([['a', new Set([1])]])],
    [Uint8Array.of(1, 2), Uint8Array.of(1, 2)],
  ];
  const different: readonly (readonly [unknown, unknown])[] = [
    [1, '1'],
    [0, -0],
    [null, {}],
    [[1], [1, 2]],
    [[], {}],
    [{ a: 1 }, { b: 1 }],
    [{ a: 1 }, { a: 1, b: 2 }],
    [new Map([['a', 1]]), new Map([['b', 1]])],
    [new Set([1]), new Set([2])],
    [Uint8Array.of(1), Uint8Array.of(2)],
    [Uint8Array.of(1), [1]],
  ];
  for (const [index, [a, b]] of same.entries()) {
    it(`finds pair ${index} equal, both ways`, () => {
      assert.equal(deepEqual(a, b) && deepEqual(b, a), true);
    });
  }
  for (const [index, [a, b]] of different.entries()) {
    it(`finds pair ${index} different, both ways`, () => {
      assert.equal(deepEqual(a, b) || deepEqual(b, a), false);
    });
  }
});

describe('Graph with something that throws', () => {
  /** Everything that was derived, and how to say that a value is bad. */
  function world() {
    const graph = new Graph();
    const items = graph
      .source<Item>('items')
      .addIndex('tag', ({ tag, value }) => (value === 13 ? refuse() : [tag]));
    const mapped = graph.map('mapped', items, (item) => (item.value === 1 ? refuse() : item));
    const many = graph
      .flatMap('many', mapped, ({ tag, value }, key): readonly (readonly [string, number])[] => [
        [`${key}/${tag}`, value],
        [`${key}/other`, value],
      ])
      // Some of a key's values are stored, and then one is not.
      .addIndex('value', (value, key) => (value === 2 && /other/.test(key) ? refuse() : []));
    const sums = graph.group('sums', items, 'tag', (all) =>
      all.some(({ value }) => value === 3)
        ? refuse()
        : all.reduce((sum, { value }) => sum + value, 0),
    );
    const merged = graph.merge<unknown>('merged', [many, sums]);
    const all = () => new Map([...merged.all, ...mapped.all].sort());
    return { graph, items, all };
  }

  const refuse = (): never => {
    throw new Error('bad');
  };

  for (const [title, value] of [
    ['a map', 1],
    ['some of many', 2],
    ['a group', 3],
    ['an index', 13],
  ] as const) {
    it(`takes it back as if it had never been: ${title}`, () => {
      const { graph, items, all } = world();
      items.set('a', { tag: 'red', value: 10 });
      assert.deepEqual(graph.run(), []);
      graph.commit();
      const before = all();
      for (const key of ['a', 'b']) {
        let failures = 0;
        try {
          items.set('c', { tag: 'red', value: 7 });
          items.set(key, { tag: 'blue', value });
          failures = graph.run().length;
        } catch {
          failures = 1;
        }
        assert.ok(failures > 0, key);
        graph.rollback();
        assert.deepEqual(all(), before, key);
      }
      items.set('c', { tag: 'red', value: 7 });
      items.set('a', { tag: 'blue', value: 8 });
      assert.deepEqual(graph.run(), []);
      graph.commit();
      const fresh = world();
      fresh.items.set('c', { tag: 'red', value: 7 });
      fresh.items.set('a', { tag: 'blue', value: 8 });
      fresh.graph.run();
      assert.deepEqual(all(), fresh.all(), 'nothing of it is left');
    });
  }

  it('derives the others all the same', () => {
    const { graph, items, all } = world();
    items.set('a', { tag: 'red', value: 1 });
    items.set('b', { tag: 'blue', value: 5 });
    const [failure] = graph.run();
    assert.deepEqual([failure?.collection, failure?.key], ['mapped', 'a']);
    assert.equal(all().get('b/blue'), 5);
  });
});
