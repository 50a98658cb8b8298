import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nodeAddress, PodHosts, podAddress, podRange, ServiceAddresses } from './addresses.ts';
import { LabError } from './errors.ts';

describe('addresses', () => {
  it('give both families the same digits', () => {
    assert.deepEqual(nodeAddress(1), { v4: '10.240.0.11', v6: 'fd00:240::b' });
    assert.deepEqual(podRange(10), { v4: '10.241.10.0/24', v6: 'fd00:241:a::/64' });
    assert.deepEqual(podAddress(2, 254), { v4: '10.241.2.254', v6: 'fd00:241:2::fe' });
  });
});

describe('PodHosts', () => {
  it('lets a released number rest until the others had their turn', () => {
    const hosts = new PodHosts();
    assert.equal(hosts.take(), 2);
    hosts.release(2);
    assert.equal(hosts.take(), 3);
  });

  it('refuses the 254th pod of a node, and takes one again when one is released', () => {
    const hosts = new PodHosts();
    const taken = new Set(Array.from({ length: 253 }, () => hosts.take()));
    assert.equal(taken.size, 253, 'no number twice');
    assert.throws(() => hosts.take(), LabError);
    hosts.release(77);
    assert.equal(hosts.take(), 77);
  });
});

describe('ServiceAddresses', () => {
  it('give a name the same address in every lab', () => {
    const first = new ServiceAddresses().take('shop/reviews');
    const pool = new ServiceAddresses();
    pool.take('shop/ratings');
    assert.deepEqual(pool.take('shop/reviews'), first);
    assert.deepEqual(pool.take('shop/reviews'), first, 'asked twice');
  });

  it('never give one address to two names', () => {
    const pool = new ServiceAddresses();
    const seen = new Set(Array.from({ length: 5_000 }, (_, i) => pool.take(`ns/service-${i}`).v4));
    assert.equal(seen.size, 5_000);
    assert.equal(
      [...seen].every((address) => !address.startsWith('10.242.0.')),
      true,
      'fixed ones',
    );
  });

  it('give a released address to the next who wants it', () => {
    const pool = new ServiceAddresses();
    const address = pool.take('shop/reviews');
    pool.release('shop/reviews');
    assert.deepEqual(pool.take('shop/reviews'), address);
  });
});
