/** What a cluster remembers between requests, as far as choosing an endpoint shows it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { Cluster } from '@ambit/routing';
import { ClusterState, type MeshEndpoint } from './cluster-state.ts';

const ENDPOINTS = ['a', 'b'].map((key) => ({ key, weight: 1 }) as MeshEndpoint);

function stateOf(over: Partial<Cluster>, clock = new FakeClock()): ClusterState {
  // Draws fall on the first and on the last endpoint in turn.
  const draws = [0, 0.9];
  let turn = 0;
  const cluster = {
    name: 'outbound|80||reviews',
    loadBalancer: { simple: 'LEAST_REQUEST' },
    connectionPool: {},
    ...over,
  } as Cluster;
  return new ClusterState(cluster, { clock, random: () => draws[turn++ % 2] ?? 0 });
}

const pick = (state: ClusterState): string | undefined => state.pick(ENDPOINTS, new Set())?.key;

describe('ClusterState', () => {
  it('sends to the endpoint with fewer requests in flight, and counts them down', () => {
    const state = stateOf({});
    assert.equal(pick(state), 'a', 'a tie goes to the first draw');
    const busy = [state.begin('a'), state.begin('a')];
    assert.equal(pick(state), 'b');
    assert.equal(state.active, 2);
    for (const one of busy) {
      one[Symbol.dispose]();
    }
    assert.equal(pick(state), 'a');
    assert.equal(state.active, 0);
  });

  it('ejects who fails in a row, and lets back in when the time is over', () => {
    const clock = new FakeClock();
    const state = stateOf(
      {
        outlierDetection: {
          consecutive5xxErrors: 2,
          consecutiveGatewayErrors: 0,
          splitExternalLocalOriginErrors: false,
          consecutiveLocalOriginFailures: 5,
          intervalMs: 1_000,
          baseEjectionTimeMs: 2_000,
          maxEjectionPercent: 100,
          minHealthPercent: 0,
        },
      },
      clock,
    );
    pick(state);
    state.record('a', 500);
    assert.deepEqual(state.ejected, []);
    state.record('a', 500);
    assert.deepEqual(state.ejected, ['a']);
    assert.equal(pick(state), 'b');
    clock.advance(3_000);
    assert.equal(pick(state), 'a');
    assert.deepEqual(state.ejected, []);
  });
});
