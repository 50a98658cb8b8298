import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type Cancellation, MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import type { ByteConn } from '@ambit/proxy';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import { HboneError } from './errors.ts';
import { HbonePool } from './pool.ts';
import type { ConnectAnswer } from './server-session.ts';
import { type RigOptions, TunnelRig } from './testing/index.ts';
import type { TunnelKey } from './tunnel-key.ts';

const CA = new TestCa();
const SERVER = CA.workload('shop', 'reviews');
const CLIENT = CA.workload('shop', 'productpage');
const TO = { authority: '10.0.0.7:80' };

function echo(conn: ByteConn): void {
  conn.start({
    onData: (chunk) => void conn.write(chunk),
    onEnd: () => conn.end(),
    onDrain: () => undefined,
    onClose: () => undefined,
  });
}

const accept = (): ConnectAnswer => ({ status: 200, serve: echo });

async function start(options: Partial<RigOptions> = {}): Promise<TunnelRig> {
  return await TunnelRig.start({
    server: SERVER,
    client: CLIENT,
    onConnect: accept,
    ...options,
  });
}

const KEY: TunnelKey = {
  sourceIdentity: CLIENT.identity,
  expectedIdentities: [SERVER.identity],
  address: '10.0.0.7',
  port: 15008,
  sourcePod: 'pod',
};

const code = (wanted: string) => (error: unknown) =>
  error instanceof MeshError && error.code === wanted;

/** One of the test's own clock. */
function poolOf(
  rig: TunnelRig,
  clock: FakeClock,
  options: Partial<ConstructorParameters<typeof HbonePool>[0]> = {},
): HbonePool {
  return new HbonePool({
    clock,
    identity: () => CLIENT,
    dial: async () => await rig.dial(),
    ...options,
  });
}

/** So many streams of one key at once. */
async function connectMany(rig: TunnelRig, count: number) {
  const keys = Array.from({ length: count }, () => rig.key());
  return await Promise.all(keys.map(async (key) => await rig.pool.connect(key, TO)));
}

/** A stream, and what arrives on it. */
async function openStream(pool: HbonePool, key: TunnelKey) {
  const { conn } = await pool.connect(key, TO);
  return { conn, recorder: Recorder.on(conn) };
}

/** Sessions with streams that take more. */
function inUse(pool: HbonePool): number {
  return [...pool.rows()].filter(({ streams }) => streams > 0).length;
}

/** Time for what is on loopback to arrive. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('HbonePool', () => {
  it('opens one tunnel for a burst, and new ones only when it is full', async () => {
    await using rig = await start();
    const streams = await connectMany(rig, 250);
    assert.equal(streams.length, 250);
    assert.equal(rig.pool.counters.dials, 3, '100 streams a tunnel');
    assert.equal(rig.pool.size, 3);
  });

  it('never uses a full tunnel again, and closes it when its last stream ends', async () => {
    await using rig = await start();
    const streams = await connectMany(rig, 100);
    assert.equal(inUse(rig.pool), 0, 'retired');
    const closed = streams.map(async ({ conn }) => {
      const recorder = Recorder.on(conn);
      conn.end();
      await recorder.closed;
    });
    await Promise.all(closed);
    await rig.pool.connect(rig.key(), TO);
    assert.equal(rig.pool.counters.dials, 2);
  });

  for (const [what, change] of [
    ['source identity', { sourceIdentity: 'spiffe://cluster.local/ns/shop/sa/other' }],
    ['expected identities', { expectedIdentities: [SERVER.identity, 'spiffe://x/ns/a/sa/b'] }],
    ['pod', { sourcePod: 'pod-2' }],
    ['address', { address: '127.0.0.2' }],
    ['endpoint that has the address', { endpoint: 'Kubernetes//Pod/shop/reviews-2' }],
  ] as const) {
    it(`shares no tunnel between callers of another ${what}`, async () => {
      await using rig = await start();
      await rig.pool.connect(rig.key(), TO);
      await rig.pool.connect({ ...rig.key(), ...change }, TO);
      assert.equal(rig.pool.counters.dials, 2);
    });
  }

  it('opens the next session while one fills, and not before', async () => {
    await using rig = await start();
    await connectMany(rig, 74);
    await settle();
    assert.equal(rig.pool.counters.dials, 1);
    await rig.pool.connect(rig.key(), TO);
    for (let looks = 0; looks < 1_000 && [...rig.pool.rows()].length < 2; looks += 1) {
      await settle();
    }
    assert.equal(rig.pool.counters.dials, 2, 'and nobody has asked for it');
    await connectMany(rig, 25);
    await rig.pool.connect(rig.key(), TO);
    assert.equal(rig.pool.counters.dials, 2);
  });

  it('leaves those who wait alone when the next session cannot be opened ahead', async () => {
    let dials = 0;
    await using rig = await start();
    const pool = poolOf(rig, new FakeClock(), {
      dial: async () => {
        dials += 1;
        if (dials === 2) {
          throw new MeshError('REFUSED', 'refused', { side: 'upstream' });
        }
        return await rig.dial();
      },
    });
    await Promise.all(Array.from({ length: 80 }, async () => await pool.connect(KEY, TO)));
    assert.equal(pool.counters.streamFailures, 0);
    pool.destroy();
  });

  it('takes nothing new to an endpoint that has left, and lets open streams end', async () => {
    await using rig = await start();
    const key = { ...rig.key(), endpoint: 'left' };
    const { conn, recorder } = await openStream(rig.pool, key);
    await rig.pool.connect({ ...key, endpoint: 'stays' }, TO);
    rig.pool.retire(({ endpoint }) => endpoint === 'left');
    assert.deepEqual(
      [...rig.pool.rows()].map(({ endpoint }) => endpoint),
      ['stays'],
    );
    conn.write(Buffer.from('x'));
    await recorder.until((r) => r.bytes === 1);
    await rig.pool.connect(key, TO);
    assert.equal(rig.pool.counters.dials, 3);
  });

  it('shares a tunnel whatever the order of the expected identities', async () => {
    await using rig = await start();
    const other = 'spiffe://cluster.local/ns/shop/sa/other';
    await rig.pool.connect(rig.key([SERVER.identity, other]), TO);
    await rig.pool.connect(rig.key([other, SERVER.identity]), TO);
    assert.equal(rig.pool.counters.dials, 1);
  });

  it('lets a dead peer hold up nobody else, and all who wait for it at once', async () => {
    const clock = new FakeClock();
    await using rig = await start();
    const pool = poolOf(rig, clock, {
      dial: async (key) =>
        key.address === '10.0.0.9' ? await new Promise(() => undefined) : await rig.dial(),
    });
    const dead = Array.from({ length: 20 }, async () => {
      await assert.rejects(
        pool.connect({ ...KEY, address: '10.0.0.9' }, TO),
        (error) => code('HBONE_CONNECT_TIMEOUT')(error) && /NetworkPolicy/.test(String(error)),
      );
    });
    await pool.connect(KEY, TO);
    clock.advance(10_000);
    await Promise.all(dead);
    assert.equal(pool.counters.dials, 2, 'one dial for the twenty');
    pool.destroy();
  });

  it('gives up for the caller that aborts and for nobody else', async () => {
    const clock = new FakeClock();
    await using rig = await start();
    const gate = Promise.withResolvers<void>();
    const pool = poolOf(rig, clock, {
      dial: async () => {
        await gate.promise;
        return await rig.dial();
      },
    });
    const abort = new AbortController();
    const aborted = pool.connect(KEY, { ...TO, signal: abort.signal });
    const patient = pool.connect(KEY, TO);
    abort.abort();
    await assert.rejects(aborted, code('HBONE_ABORTED'));
    gate.resolve();
    await patient;
    pool.destroy();
  });

  it('survives a dial that succeeds when the time is up', async () => {
    const clock = new FakeClock();
    await using rig = await start();
    const pool = poolOf(rig, clock, {
      dial: async () => {
        const socket = await rig.dial();
        clock.advance(10_000);
        return socket;
      },
    });
    await assert.rejects(pool.connect(KEY, TO), code('HBONE_CONNECT_TIMEOUT'));
    // An unhandled rejection of what came too late would fail the test here.
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(pool.size, 0);
  });

  it('releases a tunnel that nobody asked for within five minutes', async () => {
    const clock = new FakeClock();
    await using rig = await start();
    const pool = poolOf(rig, clock);
    const { conn, recorder } = await openStream(pool, KEY);
    clock.advance(299_999);
    assert.equal([...pool.rows()].length, 1);
    clock.advance(1);
    await Promise.resolve();
    await Promise.resolve();
    assert.equal(pool.counters.released, 1);
    conn.write(Buffer.from('still open'));
    await recorder.until((r) => r.bytes > 0);
    conn.end();
    await recorder.closed;
    pool.destroy();
  });

  it('goes to a new tunnel after a GOAWAY, and keeps the streams of the old one', async () => {
    await using rig = await start();
    const { conn, recorder } = await openStream(rig.pool, rig.key());
    const drained = rig.server.drain();
    conn.write(Buffer.from('x'));
    await recorder.until((r) => r.bytes === 1);
    conn.end();
    await recorder.closed;
    await drained;
    assert.equal(rig.server.live, 0);
  });

  it('tells the caller when the tunnel is lost before the answer', async () => {
    const asked = Promise.withResolvers<void>();
    await using rig = await start({
      onConnect: async () => {
        asked.resolve();
        return await new Promise<ConnectAnswer>(() => undefined);
      },
    });
    const waiting = rig.pool.connect(rig.key(), TO);
    await asked.promise;
    for (const socket of rig.sockets) {
      socket.resetAndDestroy();
    }
    await assert.rejects(waiting, MeshError);
  });

  it('gives up on a peer that does not answer CONNECT, and resets the stream', async () => {
    const clock = new FakeClock();
    const asked = Promise.withResolvers<Cancellation>();
    await using rig = await start({
      onConnect: async ({ signal }) => {
        asked.resolve(signal);
        return await new Promise<ConnectAnswer>(() => undefined);
      },
    });
    const pool = poolOf(rig, clock);
    const waiting = pool.connect(KEY, TO);
    const signal = await asked.promise;
    clock.advance(20_000);
    await assert.rejects(waiting, code('HBONE_RESPONSE_TIMEOUT'));
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined)));
    }
    pool.destroy();
  });

  it('refuses beyond its bounds, and counts', async () => {
    await using rig = await start({ poolLimits: { sessionsMax: 1, waitingPerKeyMax: 2 } });
    await rig.pool.connect(rig.key(), TO);
    await assert.rejects(
      rig.pool.connect({ ...rig.key(), sourcePod: 'other' }, TO),
      code('HBONE_LIMIT'),
    );
    const third = { ...rig.key(), sourcePod: 'third' };
    const results = await Promise.allSettled(
      [1, 2, 3].map(async () => await rig.pool.connect(third, TO)),
    );
    assert.ok(results.every(({ status }) => status === 'rejected'));
    assert.equal(rig.pool.counters.refusedAtBound, 3);
  });

  it('takes no more once closed', async () => {
    await using rig = await start();
    const { conn, recorder } = await openStream(rig.pool, rig.key());
    rig.pool.close();
    await assert.rejects(rig.pool.connect(rig.key(), TO), code('HBONE_CLOSED'));
    conn.write(Buffer.from('x'));
    await recorder.until((r) => r.bytes === 1);
    conn.end();
    assert.equal(await recorder.closed, undefined);
  });

  it('passes on why there is no certificate, and dials nobody', async () => {
    await using rig = await start();
    const pool = poolOf(rig, new FakeClock(), {
      identity: () => {
        throw new HboneError('HBONE_NO_CERTIFICATE', 'none', { side: 'control-plane' });
      },
    });
    await assert.rejects(pool.connect(KEY, TO), code('HBONE_NO_CERTIFICATE'));
    assert.equal(rig.sockets.length, 0);
  });

  it('makes a new tunnel with a renewed certificate, and uses none without one', async () => {
    await using rig = await start();
    const { conn, recorder } = await openStream(rig.pool, rig.key());
    rig.clientIdentity = { ...CLIENT };
    await rig.pool.connect(rig.key(), TO);
    assert.equal(rig.pool.counters.dials, 2);
    await rig.pool.connect(rig.key(), TO);
    assert.equal(rig.pool.counters.dials, 2);
    rig.clientIdentity = { ...CLIENT, notAfterMs: 0 };
    await assert.rejects(rig.pool.connect(rig.key(), TO), code('HBONE_NO_CERTIFICATE'));
    conn.write(Buffer.from('x'));
    await recorder.until((r) => r.bytes === 1);
  });

  it('sends new streams elsewhere as soon as the peer answers nothing, and leaves open ones to the keepalive', async () => {
    const clock = new FakeClock();
    await using rig = await start();
    const pool = poolOf(rig, clock);
    const { recorder } = await openStream(pool, KEY);
    rig.muteServer();
    const waiting = [1, 2].map(async () => {
      await assert.rejects(pool.connect(KEY, TO), code('HBONE_TUNNEL_LOST'));
    });
    await settle();
    clock.advance(2_000);
    await settle();
    assert.equal([...pool.rows()].length, 1, 'it was asked, and has two seconds');
    clock.advance(2_000);
    await Promise.all(waiting);
    assert.equal([...pool.rows()].length, 0);
    await pool.connect(KEY, TO);
    assert.equal(pool.counters.dials, 2);
    assert.deepEqual(recorder.events, []);
    pool.destroy();
  });

  it('asks a peer also where its tunnel is full, for all who wait there', async () => {
    const clock = new FakeClock();
    await using rig = await start();
    const pool = poolOf(rig, clock);
    await openStream(pool, KEY);
    rig.muteServer();
    const waiting = Array.from({ length: 99 }, async () => {
      await assert.rejects(pool.connect(KEY, TO), code('HBONE_TUNNEL_LOST'));
    });
    await settle();
    assert.equal(inUse(pool), 0, 'full');
    clock.advance(2_000);
    await settle();
    clock.advance(2_000);
    await Promise.all(waiting);
    assert.equal(pool.counters.streamFailures, 99);
    pool.destroy();
  });

  it('waits on for a peer that answers PING and takes its time with CONNECT', async () => {
    const clock = new FakeClock();
    const late = Promise.withResolvers<ConnectAnswer>();
    const answers = [accept(), late.promise];
    await using rig = await start({ onConnect: async () => (await answers.shift()) ?? accept() });
    const pool = poolOf(rig, clock);
    const { conn, recorder } = await openStream(pool, KEY);
    const waiting = pool.connect(KEY, TO);
    await settle();
    clock.advance(2_000);
    await settle();
    // What the peer sends after its answer to the PING has arrived only if that has.
    conn.write(Buffer.from('x'));
    await recorder.until((r) => r.bytes === 1);
    clock.advance(17_000);
    late.resolve(accept());
    await waiting;
    assert.equal([...pool.rows()].length, 1, 'and goes on with the tunnel');
    pool.destroy();
  });

  it('drops a peer that answers no PING', async () => {
    const clock = new FakeClock();
    await using rig = await start();
    const pool = poolOf(rig, clock);
    const { recorder } = await openStream(pool, KEY);
    for (const socket of rig.sockets) {
      socket.pause();
    }
    rig.muteServer();
    clock.advance(10_000);
    await settle();
    clock.advance(20_000);
    const error = await recorder.closed;
    assert.ok(error instanceof MeshError && error.code === 'H2_PING_TIMEOUT', String(error));
    pool.destroy();
  });
});
