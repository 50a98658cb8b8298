import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import type { ByteConn } from '@ambit/proxy';
import type { Cluster } from '@ambit/routing';
import type { MeshPlane } from '../plane.ts';
import { ClusterState, type MeshEndpoint } from './cluster-state.ts';
import { linkTo } from './link.ts';

const ENDPOINTS = ['a', 'b'].map((key) => ({ key, weight: 1 }) as MeshEndpoint);
const NEW = new Set<string>();

function rig() {
  const clock = new FakeClock();
  const cluster = {
    name: 'outbound|80||reviews',
    loadBalancer: { simple: 'ROUND_ROBIN' },
    connectionPool: {},
  } as Cluster;
  const state = new ClusterState(cluster, { clock, random: () => 0 });
  /** An attempt that ends when told to. */
  const dial = (key: string) => {
    const made = Promise.withResolvers<string>();
    const ended = state.late.watch(key, () => made.promise).catch(() => 'failed');
    return {
      connect: async () => {
        made.resolve('connected');
        return await ended;
      },
      fail: async () => {
        made.reject(new Error('no'));
        return await ended;
      },
    };
  };
  const picked = (previous: ReadonlySet<string> = NEW): string =>
    [1, 2, 3, 4].map(() => state.pick(ENDPOINTS, previous)?.key).join('');
  return { clock, state, dial, picked };
}

describe('an endpoint to which no connection comes about', () => {
  it('is asked last from the first second on, also by those that come meanwhile', async () => {
    const { clock, dial, picked } = rig();
    const first = dial('a');
    clock.advance(999);
    const second = dial('a');
    assert.equal(picked(), 'abab');
    clock.advance(1);
    assert.equal(picked(), 'bbbb');
    assert.equal(picked(new Set(['b'])), 'abab', 'where the other was tried, it is as good');
    await first.connect();
    assert.equal(picked(), 'abab');
    await second.connect();
  });

  it('is asked last for ten seconds, then by one request at a time', async () => {
    const { clock, state, dial, picked } = rig();
    const first = dial('a');
    clock.advance(4_000);
    await first.fail();
    clock.advance(9_999);
    assert.equal(picked(), 'bbbb');
    clock.advance(1);
    assert.equal(picked(), 'abab');
    const next = dial('a');
    assert.equal(picked(), 'bbbb', 'one request tries');
    clock.advance(3_000);
    await next.connect();
    assert.equal(picked(), 'abab');
    assert.ok(state.late.isEmpty);
  });

  it('is none that refuses at once', async () => {
    const { clock, state, dial, picked } = rig();
    const one = dial('a');
    clock.advance(999);
    await one.fail();
    assert.equal(picked(), 'abab');
    assert.ok(state.late.isEmpty);
  });

  it('is asked all the same where all are late', async () => {
    const { clock, dial, picked } = rig();
    const both = ['a', 'b'].map(dial);
    clock.advance(1_000);
    assert.equal(picked(), 'abab');
    await Promise.all(both.map((one) => one.fail()));
  });

  it('is seen by who connects over its link', async () => {
    const { clock, state, picked } = rig();
    const never = Promise.withResolvers<ByteConn>();
    const plane = { caller: { identity: 'spiffe://x' }, dial: () => never.promise };
    const [a] = ENDPOINTS;
    assert.ok(a);
    const link = linkTo(plane as unknown as MeshPlane, state, a);
    const dialled = assert.rejects(link.dial(new AbortController().signal));
    assert.equal(link.isLate?.(), false);
    clock.advance(1_000);
    assert.equal(link.isLate?.(), true);
    assert.equal(picked(), 'bbbb');
    never.reject(new Error('no'));
    await dialled;
  });

  it('is forgotten with its pod', async () => {
    const { clock, state, dial } = rig();
    const one = dial('a');
    clock.advance(1_000);
    await one.fail();
    assert.equal(state.pick(ENDPOINTS, NEW)?.key, 'b');
    state.pick(ENDPOINTS.slice(1), NEW);
    assert.ok(state.late.isEmpty);
  });
});
