import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { entryPortProtocol, servicePortProtocol } from './app-protocol.ts';
import { parseAddress, type ServiceSpec } from './services.ts';
import { allocateVips, VIP_SLOTS } from './vip-allocation.ts';

describe('servicePortProtocol', () => {
  const cases: readonly (readonly [string, string | undefined, number, string])[] = [
    ['http', undefined, 80, 'HTTP11'],
    ['http-web', undefined, 80, 'HTTP11'],
    ['HTTP-Web', undefined, 80, 'HTTP11'],
    ['httpweb', undefined, 80, 'UNKNOWN'],
    ['http2-b', undefined, 80, 'HTTP2'],
    ['grpc', undefined, 80, 'GRPC'],
    ['grpc-web', undefined, 80, 'GRPC'],
    ['grpc-web-x', undefined, 80, 'GRPC'],
    ['tcp-x', undefined, 80, 'TCP'],
    ['mysql', undefined, 80, 'TCP'],
    ['https', undefined, 443, 'TLS'],
    ['tls', undefined, 443, 'TLS'],
    ['', undefined, 80, 'UNKNOWN'],
    ['', undefined, 3306, 'TCP'],
    ['web', undefined, 25, 'TCP'],
    ['tcp', 'http', 80, 'HTTP11'],
    ['http', 'hbone', 15008, 'UNKNOWN'],
    ['x', 'kubernetes.io/h2c', 80, 'HTTP2'],
    ['x', 'kubernetes.io/wss', 80, 'TLS'],
    ['http', 'made.up/thing', 80, 'UNKNOWN'],
  ];
  for (const [name, appProtocol, port, expected] of cases) {
    it(`takes "${name}" ${appProtocol ?? ''} ${port} as ${expected}`, () => {
      const declared = {
        name,
        port,
        protocol: 'TCP',
        ...(appProtocol === undefined ? {} : { appProtocol }),
      };
      assert.equal(servicePortProtocol(declared), expected);
      assert.equal(servicePortProtocol({ ...declared, protocol: 'UDP' }), 'UNKNOWN');
    });
  }

  it('reads the protocol of a ServiceEntry', () => {
    for (const [text, expected] of [
      ['HTTP', 'HTTP11'],
      ['HTTPS', 'TLS'],
      ['GRPC', 'GRPC'],
      ['MONGO', 'TCP'],
      ['x', 'UNKNOWN'],
    ] as const) {
      assert.equal(entryPortProtocol(text), expected);
    }
  });
});

describe('parseAddress', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['10.0.0.1', [{ network: 'n', address: '10.0.0.1' }]],
    ['10.0.0.1/32', [{ network: 'n', address: '10.0.0.1' }]],
    ['10.0.0.7/24', [{ network: 'n', address: '10.0.0.0', length: 24 }]],
    ['2001:DB8::1', [{ network: 'n', address: '2001:db8::1' }]],
    ['::ffff:10.0.0.1', [{ network: 'n', address: '10.0.0.1' }]],
    ['None', []],
    ['', []],
    ['10.0.0.1/33', []],
    ['10.0.0', []],
  ];
  for (const [text, expected] of cases) {
    it(`reads "${text}"`, () => assert.deepEqual(parseAddress(text, 'n'), expected));
  }
});

describe('allocateVips', () => {
  const claim = (index: number, creationTimestampMs = 0): ServiceSpec =>
    ({
      key: `shop/h${index}.example`,
      kind: 'ServiceEntry',
      object: `ServiceEntry/shop/e${String(index).padStart(6, '0')}`,
      creationTimestampMs,
    }) as ServiceSpec;

  it('leaves older names alone when a younger one meets them', () => {
    const old = Array.from({ length: 3_000 }, (_, index) => claim(index, 1));
    const before = allocateVips(old, '');
    const after = allocateVips(
      [...Array.from({ length: 3_000 }, (_, index) => claim(10_000 + index, 2)), ...old],
      '',
    );
    for (const [key, addresses] of before) assert.deepEqual(after.get(key), addresses, key);
    assert.equal(new Set([...after.values()].map(([v4]) => v4?.address)).size, 6_000);
  });

  it('gives nothing beyond the last slot, and no address twice', () => {
    const all = Array.from({ length: VIP_SLOTS + 3 }, (_, index) => claim(index));
    const allocated = allocateVips(all, '');
    assert.equal(allocated.size, VIP_SLOTS);
    assert.equal(new Set([...allocated.values()].map(([v4]) => v4?.address)).size, VIP_SLOTS);
  });
});
