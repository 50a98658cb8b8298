import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { formatAuthority, parseAuthority } from './authority.ts';
import { canonicalIp, formatIp, parseIp, parseSubnet, subnetContains } from './ip.ts';

describe('canonicalIp', () => {
  for (const [text, canonical] of [
    ['10.0.0.1', '10.0.0.1'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::ffff:a00:1', '10.0.0.1'],
    ['64:ff9b::10.0.0.1', '64:ff9b::a00:1'],
    ['1:2:3:4:5:6:10.0.0.1', '1:2:3:4:5:6:a00:1'],
    ['', undefined],
    ['10.0.0', undefined],
    ['10.0.0.256', undefined],
    ['10.0.0.01', undefined],
    ['10.0.0.1.2', undefined],
    ['1:2:3:4:5:6:7', undefined],
    ['1:2:3:4:5:6:7:8:9', undefined],
    ['1::2::3', undefined],
    [':::', undefined],
    ['12345::', undefined],
    ['fe80::1%eth0', undefined],
    ['[::1]', undefined],
    ['10.0.0.1::', undefined],
    ['1:2:3:4:5:6:7::8', undefined],
    [':1:2:3:4:5:6:7', undefined],
  ] as const) {
    it(`reads "${text}" as ${canonical}`, () => {
      assert.equal(canonicalIp(text), canonical);
    });
  }

  it('is stable: any 16 bytes survive text and back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const text = formatIp(bytes);
        assert.equal(canonicalIp(text), formatIp(parseIp(text) ?? new Uint8Array()));
      }),
    );
  });

  it('never throws and never accepts what it cannot print again', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const canonical = canonicalIp(text);
        if (canonical !== undefined) assert.equal(canonicalIp(canonical), canonical);
      }),
    );
  });
});

describe('subnetContains', () => {
  for (const [cidr, ip, expected] of [
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/9', '10.128.0.0', false],
    ['0.0.0.0/0', '1.2.3.4', true],
    ['0.0.0.0/0', '::1', false],
    ['10.0.0.1', '10.0.0.1', true],
    ['10.0.0.1', '10.0.0.2', false],
    ['fd00::/65', 'fd00::8000:0:0:1', false],
    ['fd00::/64', 'fd00::8000:0:0:1', true],
  ] as const) {
    it(`${cidr} ${expected ? 'has' : 'lacks'} ${ip}`, () => {
      const subnet = parseSubnet(cidr);
      const bytes = parseIp(ip);
      assert.ok(subnet !== undefined && bytes !== undefined);
      assert.equal(subnetContains(subnet, bytes), expected);
    });
  }

  for (const text of ['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/-1', '10.0.0.0/08', 'x/8', '::/129']) {
    it(`refuses ${text}`, () => assert.equal(parseSubnet(text), undefined));
  }
});

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
