import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { NetnsError } from './errors.ts';
import { decodeSocketAddress, encodeSocketAddress } from './socket-address.ts';

describe('encodeSocketAddress', () => {
  const canonical = [
    ['10.1.2.3', '10.1.2.3'],
    ['0.0.0.0', '0.0.0.0'],
    ['::', '::'],
    ['::1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['fe80::', 'fe80::'],
    ['::ffff:10.1.2.3', '10.1.2.3'],
  ] as const;
  for (const [address, expected] of canonical) {
    it(`takes ${address} and gives ${expected} back`, () => {
      const bytes = encodeSocketAddress({ address, port: 15008 });
      assert.deepEqual(decodeSocketAddress(bytes), { address: expected, port: 15008 });
    });
  }

  it('maps IPv4 for an IPv6 socket', () => {
    const bytes = encodeSocketAddress({ address: '10.1.2.3', port: 1 }, 6);
    assert.equal(bytes.length, 28);
    assert.deepEqual(decodeSocketAddress(bytes), { address: '10.1.2.3', port: 1 });
  });

  const refused = [
    { address: 'localhost', port: 1 },
    { address: '', port: 1 },
    { address: '10.1.2', port: 1 },
    { address: 'fe80::1%eth0', port: 1 },
    { address: '10.1.2.3', port: -1 },
    { address: '10.1.2.3', port: 65536 },
    { address: '10.1.2.3', port: 1.5 },
  ];
  for (const target of refused) {
    it(`refuses ${JSON.stringify(target)}`, () => {
      assert.throws(() => encodeSocketAddress(target), NetnsError);
    });
  }

  it('refuses IPv6 on an IPv4 socket', () => {
    assert.throws(() => encodeSocketAddress({ address: '::1', port: 1 }, 4), NetnsError);
  });
});

describe('decodeSocketAddress', () => {
  it('survives any bytes, and what it returns encodes again', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const decoded = decodeSocketAddress(bytes);
        if (decoded !== undefined) {
          assert.deepEqual(decodeSocketAddress(encodeSocketAddress(decoded)), decoded);
        }
      }),
    );
  });

  it('gives back every IPv6 address', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.integer({ min: 0, max: 65535 }), (address, port) => {
        const once = decodeSocketAddress(encodeSocketAddress({ address, port }));
        assert.ok(once);
        assert.deepEqual(decodeSocketAddress(encodeSocketAddress(once)), once);
      }),
    );
  });
});
