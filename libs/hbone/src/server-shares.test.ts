/**
 * A full server: one certificate, or one address without any, could take every place of a pod, and everybody else was reset until it let
 * go. Places go from whoever has most to whoever has less.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';

import { FakeClock } from '@ambit/core/testing';
import { TestCa, type TestIdentity } from '@ambit/testkit';

import { isUnreached } from './connect-effort.ts';
import type { HboneServerLimits } from './server.ts';
import { connectHeaders, END_HEADERS, frame, RawPeer, TunnelRig } from './testing/index.ts';
import { tlsContextOptions } from './tls.ts';

const CA = new TestCa();
const [MANY, FEW, OTHER] = ['many', 'few', 'other'].map((name) => CA.workload('shop', name)) as [
  TestIdentity,
  TestIdentity,
  TestIdentity,
];
const HERE = '127.0.0.1';
const THERE = '127.0.0.2';
/** A test that waits for something else than a handshake's end would never end. */
const NO_TIMEOUT_MS = 600_000;

class Full implements AsyncDisposable {
  readonly rig: TunnelRig;
  readonly clock: FakeClock;
  readonly #raw: Socket[] = [];

  private constructor(rig: TunnelRig, clock: FakeClock) {
    this.rig = rig;
    this.clock = clock;
  }

  static async start(serverLimits: Partial<HboneServerLimits>): Promise<Full> {
    const clock = new FakeClock({ wallStartMs: Date.now() });
    const rig = await TunnelRig.start({
      server: CA.workload('shop', 'server'),
      client: FEW,
      clock,
      serverLimits: { handshakeTimeoutMs: NO_TIMEOUT_MS, ...serverLimits },
      onConnect: () => ({ status: 200, serve: () => undefined }),
    });
    return new Full(rig, clock);
  }

  get counters() {
    return this.rig.server.counters;
  }

  /** Sessions one after the other, each with so many streams. */
  async hold(
    identity: TestIdentity,
    streams: readonly number[],
    from = HERE,
  ): Promise<readonly RawPeer[]> {
    const peers: RawPeer[] = [];
    for (const count of streams) {
      const peer = await this.enter(identity, from);
      for (let at = 0; at < count; at += 1) {
        const id = 2 * at + 1;
        peer.send(frame('HEADERS', id, connectHeaders('10.0.0.1:80'), END_HEADERS));
        assert.ok(await peer.next(({ type, stream }) => type === 'HEADERS' && stream === id));
      }
      this.clock.advance(1);
      peers.push(peer);
    }
    return peers;
  }

  /** Resolves when it is served, or refused. */
  async enter(identity: TestIdentity, from = HERE): Promise<RawPeer> {
    const peer = await RawPeer.connect(this.rig.port, identity, from);
    peer.greet();
    await peer.next(({ type, flags }) => type === 'SETTINGS' && flags === 1);
    return peer;
  }

  /** Connections that say nothing. */
  async dialSilently(count: number, from: string): Promise<Socket[]> {
    const before = this.rig.sockets.length;
    const sockets: Socket[] = [];
    for (let at = 0; at < count; at += 1) {
      const socket = connect({ port: this.rig.port, host: HERE, localAddress: from });
      socket.on('error', () => undefined);
      sockets.push(socket);
    }
    while (this.rig.sockets.length < before + count) await new Promise(setImmediate);
    this.#raw.push(...sockets);
    return sockets;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#raw) {
      socket.destroy();
    }
    await this.rig[Symbol.asyncDispose]();
  }
}

async function gone(socket: Socket | undefined): Promise<void> {
  assert.ok(socket);
  if (!socket.closed) await once(socket, 'close');
}

/** Resolves when the server has ended its side; the other stays open. */
async function refused(port: number): Promise<Socket> {
  const raw = connect({ port, host: HERE, allowHalfOpen: true });
  const socket = connectTls({
    socket: raw,
    ...tlsContextOptions(FEW),
    ALPNProtocols: ['h2'],
    allowHalfOpen: true,
    checkServerIdentity: () => undefined,
  } as ConnectionOptions);
  socket.on('error', () => undefined);
  socket.resume();
  await once(socket, 'end');
  return socket;
}

const isGoaway = ({ type }: { readonly type: string }): boolean => type === 'GOAWAY';

describe('a server that has all its sessions', () => {
  it('lets the longest idle one of the identity with most go for a newcomer', async () => {
    await using full = await Full.start({ sessionsMax: 4 });
    const peers = await full.hold(MANY, [1, 0, 0, 0]);
    const newcomer = await full.enter(FEW);
    assert.equal(newcomer.isClosed, false);
    assert.ok(await peers[1]?.next(isGoaway));
    assert.equal(full.counters.displaced, 1);
    assert.equal(full.counters.refusedAtBound, 0);
    assert.ok(peers.every((peer, at) => at === 1 || !peer.frames.some(isGoaway)));
    assert.ok(!newcomer.frames.some(isGoaway));
  });

  it('answers what was on its way to the session that goes', async () => {
    await using full = await Full.start({ sessionsMax: 2 });
    const [first] = await full.hold(MANY, [0, 0]);
    const entering = full.enter(FEW);
    await first?.next(isGoaway);
    first?.send(frame('HEADERS', 1, connectHeaders('10.0.0.1:80'), END_HEADERS));
    assert.ok(await first?.next(({ type, stream }) => type === 'HEADERS' && stream === 1));
    assert.equal((await entering).isClosed, false);
  });

  it('refuses the identity with most, and says so', async () => {
    await using full = await Full.start({ sessionsMax: 4 });
    await full.hold(FEW, [0]);
    await full.hold(MANY, [0, 0, 0]);
    await (await full.enter(MANY)).closed;
    assert.equal(full.counters.refusedAtBound, 1);
    assert.equal(full.counters.displaced, 0);
    assert.deepEqual(
      full.rig.rejected.map(({ error }) => error.code),
      ['HBONE_LIMIT'],
    );
  });

  // Closed without a word, it was taken for one that does not accept the certificate.
  it('lets whom it refuses ask again, or elsewhere', async () => {
    await using full = await Full.start({ sessionsMax: 1 });
    await full.hold(MANY, [0]);
    const asked = full.rig.pool.connect(full.rig.key(), { authority: '10.0.0.1:80' });
    await assert.rejects(asked, isUnreached);
    assert.equal(full.counters.refusedAtBound, 1);
  });

  it('cuts whom it refuses when that does not close', async () => {
    await using full = await Full.start({ sessionsMax: 1 });
    await full.hold(MANY, [0]);
    const socket = await refused(full.rig.port);
    assert.equal(full.rig.server.live, 2);
    full.clock.advance(5_000);
    while (full.rig.server.live > 1) await new Promise(setImmediate);
    socket.destroy();
  });

  it('moves no place between two that have the same', async () => {
    await using full = await Full.start({ sessionsMax: 4 });
    await full.hold(MANY, [0, 0]);
    await full.hold(FEW, [0, 0]);
    await (await full.enter(FEW)).closed;
    await (await full.enter(MANY)).closed;
    assert.equal(full.counters.refusedAtBound, 2);
    assert.equal((await full.enter(OTHER)).isClosed, false);
  });

  it('shares the places of one identity among its addresses', async () => {
    await using full = await Full.start({ sessionsMax: 4 });
    const [first] = await full.hold(MANY, [0, 0, 0, 0]);
    assert.equal((await full.enter(MANY, THERE)).isClosed, false);
    assert.ok(await first?.next(isGoaway));
    await (await full.enter(MANY)).closed;
    assert.deepEqual([full.counters.displaced, full.counters.refusedAtBound], [1, 1]);
  });

  it('takes nothing from anybody while there is room', async () => {
    await using full = await Full.start({ sessionsMax: 4 });
    const peers = await full.hold(MANY, [0, 0, 0]);
    await full.hold(FEW, [0]);
    assert.ok(peers.every((peer) => !peer.frames.some(isGoaway)));
    assert.equal(full.counters.displaced, 0);
  });

  it('cuts what is in use for want of anything else, of who has more than a fair share', async () => {
    await using full = await Full.start({ sessionsMax: 8 });
    const peers = await full.hold(MANY, [2, 1, 2, 1, 2, 2, 2, 2]);
    assert.equal((await full.enter(FEW)).isClosed, false);
    // The youngest of those with the fewest streams.
    await peers[3]?.closed;
    assert.deepEqual(
      peers.map(({ isClosed }) => isClosed),
      peers.map((_, at) => at === 3),
    );
    assert.equal(full.counters.displaced, 1);
  });

  it('cuts what is in use of an identity with many addresses', async () => {
    await using full = await Full.start({ sessionsMax: 16 });
    const peers: RawPeer[] = [];
    for (let at = 3; at < 11; at += 1) {
      peers.push(...(await full.hold(MANY, [1, 1], `127.0.0.${at}`)));
    }
    assert.equal((await full.enter(FEW)).isClosed, false);
    await peers.at(-1)?.closed;
    assert.equal(peers.filter(({ isClosed }) => isClosed).length, 1);
  });

  it('cuts nothing in use where places would go to and fro', async () => {
    await using full = await Full.start({ sessionsMax: 4 });
    const addresses = ['127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6'];
    const all = await Promise.all(addresses.map(async (from) => await full.hold(MANY, [1], from)));
    // One of four is more than a fifth of them, but nobody has two more than the newcomer's address.
    await (await full.enter(MANY, THERE)).closed;
    assert.ok(all.flat().every(({ isClosed }) => !isClosed));
    assert.equal(full.counters.refusedAtBound, 1);
  });

  it('cuts none in use of those that go', async () => {
    await using full = await Full.start({ sessionsMax: 16 });
    const peers = await full.hold(MANY, new Array(16).fill(0));
    const entering = full.enter(CA.workload('shop', 'newcomer-0'));
    await peers[0]?.next(isGoaway);
    peers[0]?.send(frame('HEADERS', 1, connectHeaders('10.0.0.1:80'), END_HEADERS));
    assert.ok(await peers[0]?.next(({ type, stream }) => type === 'HEADERS' && stream === 1));
    await entering;
    // A sixteenth of 16 may take its time: the second has none, and what it is asked comes to another session.
    await full.enter(CA.workload('shop', 'newcomer-1'));
    await Promise.race([peers[0]?.closed, peers[1]?.closed]);
    assert.deepEqual([peers[0]?.isClosed, peers[1]?.isClosed], [false, true]);
  });

  it('waits for few of those that go', async () => {
    await using full = await Full.start({ sessionsMax: 32 });
    const peers = await full.hold(MANY, new Array(32).fill(0));
    for (let at = 0; at < 8; at += 1) {
      await full.enter(CA.workload('shop', `newcomer-${at}`));
    }
    // A sixteenth of 32 may take their time; nobody has answered the PING between the two GOAWAYs.
    await peers[5]?.closed;
    assert.deepEqual(
      peers.slice(0, 9).map(({ isClosed }) => isClosed),
      [true, true, true, true, true, true, false, false, false],
    );
    assert.equal(full.rig.server.live, 34);
  });
});

describe('a server that has all its handshakes', () => {
  const limits = { sessionsMax: 1, handshakesMax: 3 };

  it('ends the oldest one of the address with most for a newcomer', async () => {
    await using full = await Full.start(limits);
    const [oldest, ...others] = await full.dialSilently(3, THERE);
    assert.equal((await full.enter(FEW)).isClosed, false);
    await gone(oldest);
    assert.ok(others.every(({ destroyed }) => !destroyed));
    assert.equal(full.counters.handshakesDisplaced, 1);
  });

  it('resets the address with most', async () => {
    await using full = await Full.start(limits);
    await full.dialSilently(3, THERE);
    const [last] = await full.dialSilently(1, THERE);
    await gone(last);
    assert.equal(full.counters.refusedAtBound, 1);
    assert.equal(full.rig.server.live, 3);
  });

  it('has those that sessions leave, and no fewer than its own', async () => {
    await using full = await Full.start({ sessionsMax: 5, handshakesMax: 2 });
    await full.dialSilently(5, THERE);
    assert.equal(full.rig.server.live, 5);
    await full.hold(FEW, [0, 0]);
    assert.equal(full.counters.handshakesDisplaced, 2);
    await full.dialSilently(1, THERE);
    assert.equal(full.counters.refusedAtBound, 1);
    assert.equal(full.rig.server.live, 5);
  });
});
