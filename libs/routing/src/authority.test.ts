import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { canonicalIp } from '@ambit/api';
import fc from 'fast-check';
import { formatAuthority, parseAuthority } from './authority.ts';

describe('parseAuthority', () => {
  it('reads back what formatAuthority writes', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.ipV4(), fc.ipV6(), fc.domain()),
        fc.integer({ min: 1, max: 65535 }),
        (host, port) => {
          const parsed = parseAuthority(formatAuthority(host, port));
          assert.equal(parsed?.port, port);
          assert.equal(parsed?.host, canonicalIp(host) ?? host.toLowerCase());
        },
      ),
    );
  });

  it('never throws', () => {
    fc.assert(fc.property(fc.string(), (text) => void parseAuthority(text)));
  });

  it('is bounded', () => {
    assert.equal(parseAuthority(`${'a'.repeat(600)}:80`), undefined);
  });
});
