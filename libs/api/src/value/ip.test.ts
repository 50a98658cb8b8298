import assert from 'node:assert/strict';
import { isIPv4, isIPv6 } from 'node:net';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { canonicalIp, formatIp, parseIp } from './ip.ts';

describe('parseIp', () => {
  it('takes what Node takes as IPv4, and nothing else of that shape', () => {
    const part = fc.oneof(
      fc.integer({ min: 0, max: 300 }).map(String),
      fc.constantFrom('', '0', '00', '01', '255', '256', '999', '1000', ' 1', '+1', '1e1', '0x1'),
    );
    const text = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(fc.oneof(text, fc.string({ maxLength: 20 })), (candidate) => {
        fc.pre(!candidate.includes(':'));
        const bytes = parseIp(candidate);
        assert.equal(bytes !== undefined, isIPv4(candidate), candidate);
        assert.equal(bytes === undefined ? candidate : formatIp(bytes), candidate);
      }),
      { numRuns: 500 },
    );
  });

  it('takes of what has a colon only what Node takes as IPv6', () => {
    const part = fc.constantFrom(
      '',
      '0',
      '01',
      '00001',
      'f',
      'G',
      '1.2.3.4',
      '1.2.3.04',
      '1.2',
      '0x1',
    );
    const text = fc.array(part, { minLength: 2, maxLength: 9 }).map((parts) => parts.join(':'));
    fc.assert(
      fc.property(text, (candidate) => {
        if (parseIp(candidate) !== undefined) assert.ok(isIPv6(candidate), candidate);
      }),
      { numRuns: 1_000 },
    );
  });

  const canonical = [
    ['10.0.0.1', '10.0.0.1'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['2001:DB8::0:1', '2001:db8::1'],
    ['::FFFF:a00:1', '10.0.0.1'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
    ['::ffff:10.0.0.01', undefined],
    ['::ffff:0x0a.0.0.1', undefined],
    ['::ffff:10.1', undefined],
    ['::ffff:10.0.0.256', undefined],
    ['::10.0.0.1:1', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['00001::', undefined],
    [':::', undefined],
    ['1.2.3', undefined],
    ['1.2.3.4.', undefined],
    ['1.2.3.4\n', undefined],
    ['::1%eth0', undefined],
  ] as const;
  for (const [text, expected] of canonical) {
    it(`makes ${expected ?? 'nothing'} of ${JSON.stringify(text)}`, () => {
      assert.equal(canonicalIp(text), expected);
    });
  }
});
