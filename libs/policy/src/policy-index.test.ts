import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { compile } from './fixtures/objects.ts';
import { PolicyIndex } from './policy-index.ts';

const selector = { matchLabels: { app: 'a' } };
const mesh = compile([], { name: 'mesh', namespace: 'istio-system' }).compiled;
const general = compile([], { name: 'general' }).compiled;
const selected = compile([], { name: 'selected', spec: { selector } }).compiled;

describe('PolicyIndex', () => {
  it('selects global, namespace and named policies, and names what is missing', () => {
    const index = new PolicyIndex();
    index.apply([mesh, general, selected]);
    const names = ['shop/selected', 'shop/late'];
    const selection = index.select({ namespace: 'shop', names });
    assert.deepEqual(selection.policies, [mesh, general, selected]);
    assert.deepEqual(selection.missing, ['shop/late']);
    assert.equal(index.select({ namespace: 'shop', names }), selection, 'remembered');
    assert.deepEqual(index.select({ namespace: 'other', names: [] }).policies, [mesh]);
    assert.deepEqual(index.select({ namespace: 'shop', names: ['shop/general'] }).policies, [
      mesh,
      general,
    ]);
  });

  it('counts as missing, wherever it applies, what could not be read', () => {
    const index = new PolicyIndex();
    const unread = { ...general, isUnreadable: true };
    index.apply([unread, selected]);
    const at = (namespace: string, names: readonly string[] = []): readonly string[] =>
      index.select({ namespace, names }).missing;
    assert.deepEqual(at('shop', ['shop/selected', 'shop/general']), ['shop/general']);
    assert.deepEqual(index.select({ namespace: 'shop', names: [] }).policies, []);
    assert.deepEqual(at('other'), []);
    index.apply([{ ...unread, scope: 'GLOBAL' }]);
    assert.deepEqual(at('other'), ['shop/general']);
    index.apply([general]);
    assert.deepEqual([...at('shop'), ...at('other')], []);
  });

  it('forgets what was removed, also when the scope changed', () => {
    const index = new PolicyIndex();
    index.apply([mesh, general, selected]);
    index.apply(
      [compile([], { name: 'general', spec: { selector } }).compiled],
      ['istio-system/mesh'],
    );
    assert.deepEqual(index.select({ namespace: 'shop', names: [] }).policies, []);
    assert.equal(index.size, 2);
    index.apply([], ['shop/general', 'shop/none']);
    assert.deepEqual(index.select({ namespace: 'shop', names: ['shop/general'] }).missing, [
      'shop/general',
    ]);
    assert.equal(index.get('shop/selected'), selected);
    assert.deepEqual([...index.values()], [selected]);
  });

  it('costs a connection only the policies that concern it', () => {
    const index = new PolicyIndex();
    index.apply(
      Array.from(
        { length: 10_000 },
        (_, at) => compile([], { name: `p${at}`, namespace: `n${at % 1000}` }).compiled,
      ),
    );
    assert.equal(index.select({ namespace: 'n7', names: [] }).policies.length, 10);
    assert.equal(index.size, 10_000);
  });
});
