import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TextPool } from './text-pool.ts';

describe('TextPool', () => {
  it('answers one record for equal labels, and others for others', () => {
    const pool = new TextPool();
    const one = pool.record({ app: 'a', version: 'v1' });
    assert.equal(pool.record({ app: 'a', version: 'v1' }), one);
    assert.deepEqual(pool.record({ app: 'a', version: 'v2' }), { app: 'a', version: 'v2' });
    assert.deepEqual(pool.record({ app: 'a","version":"v1' }), { app: 'a","version":"v1' });
    assert.ok(Object.isFrozen(one));
  });

  it('tells values apart that have one number', () => {
    const pool = new TextPool({ hash: () => 7 });
    const values = [[{ name: 'a' }], [{ name: 'b' }], [{ name: 'a', port: 1 }], []];
    const shared = values.map((value) => pool.value(value));
    assert.deepEqual(shared, values);
    for (const [at, value] of values.entries()) {
      assert.equal(pool.value(structuredClone(value)), shared[at]);
    }
    assert.deepEqual(pool.record({ a: 'b' }), { a: 'b' });
    assert.equal(pool.size, 7, 'with the texts a and b');
  });

  it('stays within its limit and answers right beyond it', () => {
    const pool = new TextPool({ textsMax: 2 });
    for (let n = 0; n < 10; n += 1) {
      assert.equal(pool.text(`t${n}`), `t${n}`);
      assert.deepEqual(pool.record({ [`k${n}`]: 'v' }), { [`k${n}`]: 'v' });
      assert.deepEqual(pool.value({ n }), { n });
    }
    assert.ok(pool.size <= 4);
    pool.clear();
    assert.equal(pool.size, 0);
  });

  it('keeps a label named like a property of every object', () => {
    const labels = JSON.parse('{"__proto__":"x","constructor":"y"}') as Record<string, string>;
    const shared = new TextPool().record(labels);
    assert.deepEqual(Object.entries(shared), Object.entries(labels));
  });
});
