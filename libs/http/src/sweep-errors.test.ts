/** An engine whose housekeeping fails for some of its connections: what becomes of the others, and who hears of it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { headers, settled } from '@ambit/h2/testing';
import type { ByteConn } from '@ambit/proxy';
import { connPair, Recorder } from '@ambit/proxy/testing';
import { HttpEngine } from './engine.ts';
import { CALLER } from './fixtures/harness.ts';
import { exchange, http1Rig } from './fixtures/http1-rig.ts';
import { http2Rig } from './fixtures/http2-rig.ts';
import type { MeshPlane } from './plane.ts';

const HEAD_TIMEOUT_MS = 61_000;
const SWEEP_MS = 10_000;
const END_STREAM = 0x1;
const PLANE = { caller: CALLER, destination: { protocol: 'HTTP11' } } as MeshPlane;

const fails = (): never => {
  throw new Error('broken');
};

/** Fails when something is said on it. */
function mute(conn: ByteConn): ByteConn {
  return new Proxy(conn, {
    get: (target, name): unknown => {
      if (name === 'write' || name === 'writeAll') {
        return fails;
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

describe('housekeeping that fails', () => {
  it('fails for nobody else, is counted, and told of once a minute', async () => {
    const clock = new FakeClock();
    const told: unknown[] = [];
    const engine = new HttpEngine({
      clock,
      identity: () => 'spiffe://cluster.local/ns/shop/sa/waypoint',
      onSweepError: (error) => told.push(error),
      observer: {
        onRequest: () => undefined,
        onConnectionOpened: () => undefined,
        onConnection: () => undefined,
      },
    });
    /** A client that never ends its head. */
    const slow = async (wrap: (conn: ByteConn) => ByteConn): Promise<Recorder> => {
      const [near, far] = connPair();
      const client = Recorder.on(near);
      near.write(Buffer.from('GET / HTTP/1.1\r\n'));
      await engine.serve(wrap(far), PLANE);
      return client;
    };
    await slow(mute);
    await slow(mute);
    const healthy = await slow((conn) => conn);
    clock.advance(HEAD_TIMEOUT_MS);
    await settled();
    assert.match(healthy.text, /^HTTP\/1\.1 408 /);
    assert.deepEqual([engine.counters.sweepErrors, told.length], [2, 1]);
    assert.match(String(told[0]), /broken/);
    const later = await slow((conn) => conn);
    clock.advance(HEAD_TIMEOUT_MS);
    await settled();
    assert.match(later.text, /^HTTP\/1\.1 408 /);
    engine.destroy();
  });

  it('keeps no idle connection of HTTP/1 of others, now or later', async () => {
    const errors: unknown[] = [];
    const given = http1Rig({ onSweepError: (error) => errors.push(error) });
    const running = given.pool.run();
    const { endpoint } = given.server;
    await exchange(given, {}, { ...endpoint.link({}, 'a'), hasLeft: fails });
    let isGone = false;
    await exchange(given, {}, { ...endpoint.link({}, 'b'), hasLeft: () => isGone });
    const sizes: number[] = [];
    for (isGone of [false, true]) {
      given.clock.advance(SWEEP_MS);
      await settled(3);
      sizes.push(given.pool.size);
    }
    assert.deepEqual([sizes, errors.length], [[2, 1], 2]);
    given.pool.destroy();
    await running;
  });

  it('keeps no session of HTTP/2 of others, now or later', async () => {
    const errors: unknown[] = [];
    const { ask, server, pool, peer, clock } = http2Rig({
      onSweepError: (error) => errors.push(error),
    });
    const running = pool.run();
    let isGone = false;
    ask({}, { ...server.endpoint.link({}, 'a'), hasLeft: fails });
    ask({}, { ...server.endpoint.link({}, 'b'), hasLeft: () => isGone });
    await settled();
    for (const index of [0, 1]) {
      peer(index).send(headers(1, [':status', '200'], END_STREAM));
    }
    await settled();
    const sizes: number[] = [];
    for (isGone of [false, true]) {
      clock.advance(SWEEP_MS);
      await settled(3);
      sizes.push(pool.size);
    }
    assert.deepEqual([sizes, errors.length], [[2, 1], 2]);
    pool.destroy();
    await running;
  });
});
