import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import fc from 'fast-check';

import { IdentityError } from './errors.ts';
import { formatSpiffeId, parseSpiffeId } from './spiffe.ts';

describe('parseSpiffeId', () => {
  const accepted = [
    'spiffe://cluster.local/ns/default/sa/default',
    'spiffe://td/ns/a/sa/b',
    'spiffe://my-td_1.example/ns/shop-1/sa/reviews.v2',
    'spiffe://td/ns/A/sa/B_c',
  ];
  for (const text of accepted) {
    it(`accepts ${text} and writes it back`, () => {
      assert.equal(formatSpiffeId(parseSpiffeId(text)), text);
    });
  }

  const refused = [
    '',
    'spiffe://',
    'spiffe://td',
    'spiffe://td/ns/a/sa/',
    'spiffe://td/ns//sa/b',
    'spiffe:///ns/a/sa/b',
    'spiffe://td/ns/a/sa/b/',
    'spiffe://td/ns/a/sa/b/c',
    'spiffe://td//ns/a/sa/b',
    'spiffe://td/sa/a/ns/b',
    'spiffe://td/NS/a/sa/b',
    'SPIFFE://td/ns/a/sa/b',
    'https://td/ns/a/sa/b',
    'spiffe://TD/ns/a/sa/b',
    'spiffe://td:8080/ns/a/sa/b',
    'spiffe://user@td/ns/a/sa/b',
    'spiffe://td/ns/a/sa/b?x',
    'spiffe://td/ns/a/sa/b#x',
    'spiffe://td/ns/%61/sa/b',
    'spiffe://td/ns/../sa/b',
    'spiffe://td/ns/./sa/b',
    'spiffe://td/ns/a b/sa/b',
    'spiffe://td/ns/a/sa/b\n',
    'spiffe://td/ns/ä/sa/b',
    ' spiffe://td/ns/a/sa/b',
    `spiffe://td/ns/a/sa/${'b'.repeat(2048)}`,
    `spiffe://${'t'.repeat(256)}/ns/a/sa/b`,
  ];
  for (const text of refused) {
    it(`refuses ${JSON.stringify(text.slice(0, 60))}`, () => {
      assert.throws(() => parseSpiffeId(text), { code: 'IDENTITY_SPIFFE_INVALID' });
    });
  }

  it('has one spelling for each id, whatever comes in', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.webUrl().map((u) => u.replace('http', 'spiffe')),
        ),
        (text) => {
          try {
            assert.equal(formatSpiffeId(parseSpiffeId(text)), text);
          } catch (error) {
            assert.ok(error instanceof IdentityError, String(error));
          }
        },
      ),
    );
  });

  it('refuses to format what would not parse back', () => {
    assert.throws(
      () => formatSpiffeId({ trustDomain: 'td', namespace: 'a/sa/x', serviceAccount: 'b' }),
      { code: 'IDENTITY_SPIFFE_INVALID' },
    );
  });
});
