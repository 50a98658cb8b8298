import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { addressesIn, hostRules, removeHostRules } from './host-rules.ts';
import { DEFAULT_PROBE_SOURCES } from './rules.ts';

describe('hostRules', () => {
  it('puts addresses into the set of their family and replaces what is there', () => {
    const rules = hostRules({
      addresses: ['10.0.0.1', '10.0.0.2', 'fd77::2'],
      probeSources: DEFAULT_PROBE_SOURCES,
    });
    assert.ok(rules.startsWith(removeHostRules()));
    assert.match(
      rules,
      /set pods-v4 \{ type ipv4_addr; elements = \{ 10\.0\.0\.1, 10\.0\.0\.2 \} \}/,
    );
    assert.match(rules, /set pods-v6 \{ type ipv6_addr; elements = \{ fd77::2 \} \}/);
    assert.match(rules, /snat ip to 169\.254\.7\.127/);
  });

  it('writes empty sets without elements', () => {
    const rules = hostRules({ addresses: [], probeSources: DEFAULT_PROBE_SOURCES });
    assert.doesNotMatch(rules, /elements/);
  });
});

describe('addressesIn', () => {
  const set = (elem: unknown) => ({ set: { name: 's', elem } });
  for (const [what, listing, expected] of [
    ['both sets', { nftables: [{ metainfo: {} }, set(['10.0.0.1']), set(['fd::1'])] }, 2],
    ['a set without elements', { nftables: [{ set: { name: 's' } }] }, 0],
    ['elements that are no addresses', { nftables: [set([{ prefix: {} }, 1, null])] }, 0],
    ['no list', { nftables: {} }, 0],
    ['nothing', null, 0],
  ] as const) {
    it(`reads ${what}`, () => {
      assert.equal(addressesIn(JSON.stringify(listing)).size, expected);
    });
  }

  it('takes any text', () => {
    for (const text of ['', 'Error: No such file', '[1]', '"x"']) {
      assert.equal(addressesIn(text).size, 0);
    }
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => addressesIn(text).size >= 0));
  });
});
