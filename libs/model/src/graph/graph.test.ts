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
