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

  it('takes a name with one dot behind it, and no empty label', () => {
    assert.deepEqual(parseAuthority('a.b.:80'), { host: 'a.b', port: 80, kind: 'name' });
    for (const text of ['a..', 'a..:80', 'a..b', '.a', '.', '..']) {
      assert.equal(parseAuthority(text), undefined, text);
    }
  });

  it('takes a port in its one spelling', () => {
    for (const text of ['a:080', '10.0.0.1:080', '[fd00::1]:080', 'a:0', 'a:00', 'a:65536', 'a:']) {
      assert.equal(parseAuthority(text), undefined, text);
    }
  });

  it('is bounded', () => {
    assert.equal(parseAuthority(`${'a'.repeat(600)}:80`), undefined);
  });
});
