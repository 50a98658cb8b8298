import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cidrContains, parseCidr, parseIp } from './cidr.ts';

describe('parseCidr', () => {
  const inside: readonly (readonly [string, string])[] = [
    ['10.0.0.0/8', '10.255.0.1'],
    ['10.1.2.3/8', '10.9.9.9'],
    ['10.244.1.0/25', '10.244.1.127'],
    ['0.0.0.0/0', '1.2.3.4'],
    ['192.0.2.1', '192.0.2.1'],
    ['2001:db8::/33', '2001:db8:7fff::1'],
    ['::/0', '2001:db8::1'],
    ['::ffff:10.0.0.0/104', '10.3.0.0'],
    ['10.0.0.0/8', '::ffff:10.3.0.0'],
  ];
  const outside: readonly (readonly [string, string])[] = [
    ['10.0.0.0/8', '11.0.0.0'],
    ['10.244.1.0/25', '10.244.1.128'],
    ['192.0.2.1', '192.0.2.2'],
    ['2001:db8::/33', '2001:db8:8000::1'],
    ['0.0.0.0/0', '::1'],
    ['::/0', '1.2.3.4'],
  ];
  for (const [block, address] of inside) {
    it(`${block} contains ${address}`, () => {
      assert.ok(contains(block, address));
    });
  }
  for (const [block, address] of outside) {
    it(`${block} does not contain ${address}`, () => {
      assert.ok(!contains(block, address));
    });
  }
  for (const text of [
    '',
    '10.0.0',
    '010.0.0.1',
    '10.0.0.0/',
    '10.0.0.0/-1',
    '10.0.0.0/33',
    '::/129',
    'fe80::1%eth0',
    '::ffff:1.2.3.4/95',
    '10.0.0.0/8/8',
    '1',
    '0x7f.1',
  ]) {
    it(`refuses "${text}"`, () => {
      assert.equal(parseCidr(text), undefined);
    });
  }
});

function contains(block: string, address: string): boolean {
  const cidr = parseCidr(block);
  const ip = parseIp(address);
  assert.ok(cidr !== undefined && ip !== undefined);
  return cidrContains(cidr, ip);
}
