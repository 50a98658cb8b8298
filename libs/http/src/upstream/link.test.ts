/** Who may share a connection: requests of one caller to one endpoint of one cluster, and nobody else. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { Cluster } from '@ambit/routing';
import { CALLER } from '../fixtures/harness.ts';
import type { Caller, MeshPlane } from '../plane.ts';
import { ClusterStates, type MeshEndpoint } from './cluster-state.ts';
import { linkTo } from './link.ts';

const states = new ClusterStates({ clock: new FakeClock(), random: () => 0 });

interface Way {
  readonly caller?: Partial<Caller>;
  readonly endpoint?: string;
  readonly cluster?: string;
}

function keyOf({
  caller,
  endpoint = '10.0.0.7:80',
  cluster = 'outbound|80||reviews',
}: Way): string {
  const plane = { caller: { ...CALLER, ...caller } } as MeshPlane;
  const state = states.of({ name: cluster, loadBalancer: {}, connectionPool: {} } as Cluster);
  return linkTo(plane, state, { key: endpoint, weight: 1 } as MeshEndpoint).key;
}

describe('linkTo', () => {
  const others: readonly (readonly [string, Way])[] = [
    ['another identity', { caller: { identity: `${CALLER.identity}-2` } }],
    [
      'an identity of another trust domain',
      { caller: { identity: 'spiffe://b/ns/shop/sa/client' } },
    ],
    ['another pod of the same account', { caller: { ip: '10.0.0.8' } }],
    ['a workload of another kind', { caller: { baggage: 'service.name=another' } }],
    ['another endpoint', { endpoint: '10.0.0.8:80' }],
    ['another port', { endpoint: '10.0.0.7:8' }],
    ['another cluster', { cluster: 'outbound|80|v1|reviews' }],
  ];
  for (const [what, way] of others) {
    it(`parts ${what}`, () => {
      assert.notEqual(keyOf(way), keyOf({}));
    });
  }

  it('joins what is the same, whatever connection of the caller it comes from', () => {
    assert.equal(keyOf({ caller: { port: 1 } }), keyOf({ caller: { port: 2 } }));
  });

  it('is not fooled by a baggage that reads like the rest of a key', () => {
    const identity = 'spiffe://cluster.local/ns/shop/sa/a';
    const keys = [
      keyOf({ caller: { identity, baggage: '' } }),
      keyOf({ caller: { identity, baggage: identity } }),
      keyOf({ caller: { identity: `${identity}${identity}`, baggage: '' } }),
      keyOf({ caller: { identity: '', baggage: identity } }),
    ];
    assert.equal(new Set(keys).size, keys.length);
  });
});
