import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Address, MeshIndex, type MeshService, type Workload } from '@ambit/model';
import { resolveName } from './resolve-name.ts';

function service(hostname: string, extra: Partial<MeshService> = {}): Address {
  return {
    kind: 'service',
    service: {
      name: hostname,
      namespace: 'shop',
      hostname,
      addresses: [],
      ports: [],
      subjectAltNames: [],
      ipFamilies: 'AUTOMATIC',
      canonical: false,
      ingressUseWaypoint: false,
      ...extra,
    },
  };
}
const at = (...addresses: readonly string[]) => ({
  addresses: addresses.map((address) => ({ network: '', address })),
});
function endpoint(uid: string, addresses: readonly string[], key: string): Address {
  const workload: Partial<Workload> = {
    uid,
    name: uid,
    namespace: 'shop',
    addresses,
    network: '',
    tunnelProtocol: 'HBONE',
    status: 'HEALTHY',
    hostname: '',
    networkMode: 'STANDARD',
    services: { [key]: [] },
  };
  return { kind: 'workload', workload: workload as Workload };
}

const index = new MeshIndex({ network: '' });
index.apply({
  changed: [
    service('reviews.shop.svc.cluster.local', at('10.96.0.1', 'fd00::1')),
    service('ratings.other.svc.cluster.local', { namespace: 'other', ...at('10.96.0.2') }),
    service('v4only.shop.svc.cluster.local', {
      ...at('10.96.0.3', 'fd00::3'),
      ipFamilies: 'IPV4_ONLY',
    }),
    service('v6only.shop.svc.cluster.local', {
      ...at('10.96.0.4', 'fd00::4'),
      ipFamilies: 'IPV6_ONLY',
    }),
    service('headless.shop.svc.cluster.local'),
    service('empty.shop.svc.cluster.local'),
    service('api.example.com', at('240.0.0.1')),
    service('novip.example.com'),
    service('*.wild.example.com', at('240.0.0.2')),
    service('range.example.com', {
      addresses: [{ network: '', address: '198.51.100.0', length: 24 }],
    }),
    service('far.shop.svc.cluster.local', {
      addresses: [{ network: 'west', address: '10.96.0.9' }],
    }),
    service('both.example.com', { namespace: 'shop', ...at('240.0.0.3') }),
    service('both.example.com', { namespace: 'other', ...at('240.0.0.4'), canonical: true }),
    endpoint('e1', ['10.0.0.1', 'fd01::1'], 'shop/headless.shop.svc.cluster.local'),
    endpoint('e2', ['fd01::2', '10.0.0.2', '10.0.0.3'], 'shop/headless.shop.svc.cluster.local'),
  ],
  removed: [],
});

const resolve = (
  name: string,
  type: 'A' | 'AAAA' = 'A',
  namespace = 'shop',
  isIpv6Enabled = true,
) =>
  resolveName(index, { name, type }, { namespace, clusterDomain: 'cluster.local', isIpv6Enabled });

describe('resolveName', () => {
  const known: readonly (readonly [string, 'A' | 'AAAA', ReturnType<typeof resolve>])[] = [
    ['reviews', 'A', { addresses: ['10.96.0.1'] }],
    ['reviews', 'AAAA', { addresses: ['fd00::1'] }],
    ['reviews.shop', 'A', { addresses: ['10.96.0.1'] }],
    ['reviews.shop.svc', 'A', { addresses: ['10.96.0.1'] }],
    ['reviews.shop.svc.cluster.local', 'A', { addresses: ['10.96.0.1'] }],
    ['ratings.other', 'A', { addresses: ['10.96.0.2'] }],
    ['ratings.other', 'AAAA', { addresses: [] }],
    ['v4only', 'A', { addresses: ['10.96.0.3'] }],
    ['v4only', 'AAAA', { addresses: [] }],
    ['v6only', 'A', { addresses: [] }],
    ['v6only', 'AAAA', { addresses: ['fd00::4'] }],
    ['headless', 'A', { addresses: ['10.0.0.1', '10.0.0.2'] }],
    ['headless', 'AAAA', { addresses: ['fd01::1', 'fd01::2'] }],
    ['empty', 'A', { addresses: [] }],
    ['far', 'A', { addresses: [] }],
    ['api.example.com', 'A', { addresses: ['240.0.0.1'] }],
    [
      'api.example.com.shop.svc.cluster.local',
      'A',
      { cname: 'api.example.com', addresses: ['240.0.0.1'] },
    ],
    [
      'api.example.com.svc.cluster.local',
      'A',
      { cname: 'api.example.com', addresses: ['240.0.0.1'] },
    ],
    ['api.example.com.cluster.local', 'A', { cname: 'api.example.com', addresses: ['240.0.0.1'] }],
    // An alias without an address would be an answer to libc, and end its search.
    ['api.example.com.cluster.local', 'AAAA', { addresses: [] }],
    ['ratings.other.shop.svc.cluster.local', 'AAAA', { addresses: [] }],
    ['a.wild.example.com', 'A', { addresses: ['240.0.0.2'] }],
    ['a.b.wild.example.com', 'A', { addresses: ['240.0.0.2'] }],
    ['a.wild.example.com.shop.svc.cluster.local', 'A', { addresses: ['240.0.0.2'] }],
    ['both.example.com', 'A', { addresses: ['240.0.0.3'] }],
  ];
  for (const [name, type, expected] of known) {
    it(`answers ${name} ${type}`, () => {
      assert.deepEqual(resolve(name, type), expected);
    });
  }

  const unknown = [
    'nope',
    'nope.example.com',
    'ratings',
    'novip.example.com',
    'range.example.com',
    'wild.example.com',
    'www.nope.com.shop.svc.cluster.local',
    'reviews.shop.svc.cluster.local.evil.com',
  ];
  for (const name of unknown) {
    it(`leaves ${name} to upstream`, () => {
      assert.equal(resolve(name), undefined);
    });
  }

  it('prefers the client’s namespace, then the canonical service', () => {
    assert.deepEqual(resolve('both.example.com', 'A', 'other'), { addresses: ['240.0.0.4'] });
    assert.deepEqual(resolve('both.example.com', 'A', 'third'), { addresses: ['240.0.0.4'] });
  });

  it('has no IPv6 addresses without IPv6, and says so without error', () => {
    assert.deepEqual(resolve('reviews', 'AAAA', 'shop', false), { addresses: [] });
  });
});
