import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { modelOf, namespace, networking, pod, service, uid } from '../objects.testing.ts';
import type { Address, MeshService, Workload } from '../types.ts';
import { MeshIndex } from './mesh-index.ts';

const BASE = modelOf(
  namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
  pod('reviews', '10.0.0.1'),
  service('reviews', '10.1.0.1'),
).outputs.addresses;

function known(key: string): Address {
  const found = BASE.get(key);
  assert.ok(found, key);
  return found;
}

function workload(change: Partial<Workload>): Address {
  const base = known(uid('reviews'));
  assert.ok(base.kind === 'workload');
  return { kind: 'workload', workload: { ...base.workload, ...change } };
}

const KEY = 'shop/reviews.shop.svc.cluster.local';

function meshService(change: Partial<MeshService>): Address {
  const base = known(KEY);
  assert.ok(base.kind === 'service');
  return { kind: 'service', service: { ...base.service, ...change } };
}

function indexOf(...changed: readonly Address[]): MeshIndex {
  const index = new MeshIndex({ network: '' });
  index.apply({ changed, removed: [] });
  return index;
}

describe('MeshIndex', () => {
  it('finds a workload by uid and by address, in its own network only', () => {
    const index = indexOf(workload({}));
    assert.equal(index.workloadByUid(uid('reviews'))?.name, 'reviews');
    assert.equal(index.workloadByAddress('', '10.0.0.1')?.name, 'reviews');
    assert.equal(index.workloadByAddress('other', '10.0.0.1'), undefined);
  });

  it('never finds a workload of the host network by address', () => {
    const index = indexOf(workload({ networkMode: 'HOST_NETWORK' }));
    assert.equal(index.workloadByAddress('', '10.0.0.1'), undefined);
    assert.ok(index.workloadByUid(uid('reviews')));
  });

  it('ranks owners of one address: pod with a tunnel, pod, tunnel, the rest', () => {
    const entry = workload({
      uid: 'c/networking.istio.io/WorkloadEntry/a/b',
      tunnelProtocol: 'NONE',
    });
    const tunnelled = workload({ uid: 'c/networking.istio.io/WorkloadEntry/a/c' });
    const plain = workload({ uid: 'c//Pod/a/plain', tunnelProtocol: 'NONE' });
    const best = workload({ uid: 'c//Pod/a/z' });
    const ordered = [best, plain, tunnelled, entry];
    const index = indexOf(...ordered.toReversed());
    for (const address of ordered) {
      assert.ok(address.kind === 'workload');
      assert.equal(index.workloadByAddress('', '10.0.0.1')?.uid, address.workload.uid);
      index.apply({ changed: [], removed: [address.workload.uid] });
    }
    assert.equal(index.workloadByAddress('', '10.0.0.1'), undefined);
  });

  it('keeps endpoints of a service that has not come yet', () => {
    const index = indexOf(workload({}));
    assert.deepEqual(index.endpoints(KEY), []);
    index.apply({ changed: [meshService({})], removed: [] });
    assert.deepEqual(
      index.endpoints(KEY).map(({ name }) => name),
      ['reviews'],
    );
  });

  it('has unhealthy endpoints only where the service takes all', () => {
    const index = indexOf(workload({ status: 'UNHEALTHY' }), meshService({}));
    assert.deepEqual(index.endpoints(KEY), []);
    const loadBalancing = {
      routingPreference: [],
      mode: 'UNSPECIFIED',
      healthPolicy: 'ALLOW_ALL',
    } as const;
    index.apply({ changed: [meshService({ loadBalancing })], removed: [] });
    assert.equal(index.endpoints(KEY).length, 1);
  });

  it('forgets what an update took away', () => {
    const index = indexOf(workload({}), meshService({}));
    index.apply({ changed: [workload({ addresses: ['10.0.0.2'], services: {} })], removed: [] });
    assert.equal(index.workloadByAddress('', '10.0.0.1'), undefined);
    assert.deepEqual(index.endpoints(KEY), []);
    index.apply({
      changed: [meshService({ addresses: [{ network: '', address: '10.1.0.2' }] })],
      removed: [],
    });
    assert.equal(index.serviceByAddress('', '10.1.0.1', 'shop'), undefined);
    assert.ok(index.serviceByAddress('', '10.1.0.2', 'shop'));
  });

  it('takes a removal before an addition of the same key', () => {
    const index = indexOf(workload({}));
    index.apply({ changed: [workload({})], removed: [uid('reviews')] });
    assert.ok(index.workloadByUid(uid('reviews')));
  });

  it('gives an address to the Service that owns it, not to an entry elsewhere', () => {
    const entry = networking(
      'ServiceEntry',
      'taken',
      {
        hosts: ['taken.example'],
        addresses: ['10.1.0.1'],
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
        resolution: 'STATIC',
      },
      'aaa',
    );
    const model = modelOf(namespace('shop'), service('reviews', '10.1.0.1'), entry);
    const index = indexOf(...model.outputs.addresses.values());
    assert.equal(index.serviceByAddress('', '10.1.0.1', 'third')?.name, 'reviews');
    assert.equal(index.serviceByAddress('', '10.1.0.1', 'aaa')?.name, 'taken', 'its own choice');
    const alone = indexOf(...modelOf(namespace('shop'), entry).outputs.addresses.values());
    assert.equal(alone.serviceByAddress('', '10.1.0.1', 'third')?.canonical, true);
  });

  it('prefers the exact address, then the longest range', () => {
    const range = (hostname: string, address: string, length: number): Address =>
      meshService({ hostname, addresses: [{ network: '', address, length }] });
    const index = indexOf(
      range('wide', '10.0.0.0', 8),
      range('narrow', '10.1.0.0', 16),
      meshService({}),
    );
    assert.equal(index.serviceByAddress('', '10.1.0.1', 'shop')?.name, 'reviews');
    assert.equal(index.serviceByAddress('', '10.1.0.9', 'shop')?.hostname, 'narrow');
    assert.equal(index.serviceByAddress('', '10.2.0.9', 'shop')?.hostname, 'wide');
    assert.equal(index.serviceByAddress('', '11.0.0.1', 'shop'), undefined);
    assert.equal(index.serviceByAddress('other', '10.2.0.9', 'shop'), undefined);
  });

  it("prefers the client's namespace, then the canonical service, of one hostname", () => {
    const index = indexOf(
      meshService({ namespace: 'a', canonical: false }),
      meshService({ namespace: 'b', canonical: true }),
      meshService({ namespace: 'c', canonical: false }),
    );
    const hostname = 'reviews.shop.svc.cluster.local';
    assert.equal(index.serviceByHostname(hostname, 'c')?.namespace, 'c');
    assert.equal(index.serviceByHostname(hostname, 'elsewhere')?.namespace, 'b');
    assert.equal(index.serviceByAddress('', '10.1.0.1', 'a')?.namespace, 'a');
    assert.equal(index.service('b', hostname)?.namespace, 'b');
  });
});
