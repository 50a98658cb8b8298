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

  it('takes no letter beyond ASCII, also where a small one is within', () => {
    for (const text of ['\u212A.shop', '\u017F.shop', 'sh\u00F6p', 'a\u3002b']) {
      assert.equal(parseAuthority(text), undefined, text);
    }
  });

  it('takes a port in its one spelling', () => {
    for (const text of ['a:080', '10.0.0.1:080', '[fd00::1]:080', 'a:0', 'a:00', 'a:65536', 'a:']) {
      assert.equal(parseAuthority(text), undefined, text);
    }
  });

  it('takes an address in its one spelling, and names that only end in a number', () => {
    for (const text of [
      '10.0.0.01',
      '010.0.0.1',
      '0x0a.0.0.1',
      '10.0.0.0x1',
      '10.0.0.0X1',
      '0xa000001',
      '0x',
      '167772161',
      '10.1',
      '10.0.1',
      '10.0.0.1.',
      '10.0.0.256',
      '0x0a.1',
      '1.2.3.4.',
      '[10.0.0.1]',
      '[::ffff:10.0.0.01]',
      '[fe80::1%1]',
      '[::1',
    ]) {
      assert.equal(parseAuthority(text), undefined, text);
      assert.equal(parseAuthority(`${text}:80`), undefined, text);
    }
    for (const [text, host] of [
      ['10.0.0.1', '10.0.0.1'],
      ['[::ffff:10.0.0.1]', '10.0.0.1'],
      ['[FD00:0::1]', 'fd00::1'],
      ['1.a', '1.a'],
      ['10.0.0.1.example', '10.0.0.1.example'],
      ['a.1b', 'a.1b'],
      ['0xg', '0xg'],
      ['a1', 'a1'],
      ['reviews.2024', 'reviews.2024'],
      ['reviews.2024.', 'reviews.2024'],
      ['a.0x1', 'a.0x1'],
      ['1.a.2', '1.a.2'],
      ['1.2.3.4.5', '1.2.3.4.5'],
      ['10-0-0-1', '10-0-0-1'],
    ] as const) {
      assert.equal(parseAuthority(text)?.host, host, text);
    }
  });

  it('says of what is no address what the parser of URLs says', () => {
    const part = fc.oneof(
      fc.nat({ max: 300 }).map(String),
      fc.nat({ max: 300 }).map((n) => `0x${n.toString(16)}`),
      fc.nat({ max: 300 }).map((n) => `0${n.toString(8)}`),
      fc.constantFrom('a', '0x', '0xg', '1a'),
    );
    const name = fc.array(part, { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(name, fc.constantFrom('', '.'), (text, dot) => {
        const host = `${text}${dot}`;
        const parsed = parseAuthority(host);
        // A URL of this host leads to the same text, or is none: the parser of URLs takes no name that ends in a number.
        const url = URL.parse(`http://${host}/`);
        if (parsed !== undefined) assert.equal(url?.hostname ?? host, host);
        else assert.notEqual(url?.hostname, host);
      }),
      { numRuns: 500 },
    );
  });

  it('is bounded', () => {
    assert.equal(parseAuthority(`${'a'.repeat(600)}:80`), undefined);
  });
});
