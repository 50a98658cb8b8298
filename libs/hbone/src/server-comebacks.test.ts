/** Peers that go before they are known, and peers that come back after they were ended. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { TestCa } from '@ambit/testkit';
import type { ConnectAnswer } from './server-session.ts';
import { connectHeaders, END_HEADERS, frame, RawPeer, TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const CANCEL = Buffer.from([0, 0, 0, 8]);
const BURST = 200;
/** The record header of a ClientHello of 512 bytes, and nothing of it. */
const HELLO_BEGINS = Buffer.from([0x16, 3, 1, 2, 0]);
/** A test that waits for something else than a handshake's end would never end. */
const NO_TIMEOUT_MS = 600_000;

async function start() {
  const clock = new FakeClock();
  let starts = 0;
  const rig = await TunnelRig.start({
    server: CA.workload('shop', 'server'),
    client: CA.workload('shop', 'client'),
    clock,
    serverLimits: { handshakeTimeoutMs: NO_TIMEOUT_MS },
    onConnect: async () => {
      starts += 1;
      return await new Promise<ConnectAnswer>(() => undefined);
    },
  });
  /** How many requests reached code before the session was ended. */
  const flood = async (peer: RawPeer): Promise<number> => {
    const before = starts;
    peer.greet();
    for (let id = 1; id <= 2 * BURST + 1; id += 2) {
      peer.send(frame('HEADERS', id, connectHeaders('10.0.0.1:80'), END_HEADERS));
      peer.send(frame('RST_STREAM', id, CANCEL));
    }
    await peer.closed;
    return starts - before;
  };
  return { clock, rig, flood };
}

async function accepted(rig: TunnelRig, count: number): Promise<Socket> {
  while (rig.sockets.length < count) await new Promise(setImmediate);
  return rig.sockets[count - 1] as Socket;
}

describe('a connection without a handshake', () => {
  for (const [name, bytes] of [
    ['nothing', Buffer.alloc(0)],
    ['a part of a ClientHello', HELLO_BEGINS],
  ] as const) {
    it(`is ended as soon as its peer ends it, after ${name}`, { timeout: 5_000 }, async () => {
      const { rig } = await start();
      await using _rig = rig;
      const socket = await rig.dial();
      socket.end(bytes);
      const taken = await accepted(rig, 1);
      if (!taken.destroyed) {
        await once(taken, 'close');
      }
      assert.equal(rig.server.live, 0);
    });
  }
});

describe('a peer that was ended for a flood', () => {
  it('begins with less, and waits for its handshake from the second time on', async () => {
    const { clock, rig, flood } = await start();
    await using _rig = rig;
    const connect = async (): Promise<RawPeer> =>
      await RawPeer.connect(rig.port, rig.clientIdentity);
    const kept = await connect();
    kept.greet();
    assert.ok((await flood(await connect())) > BURST / 2);
    assert.ok((await flood(await connect())) <= BURST / 10 + 1);
    assert.deepEqual(
      { ...rig.server.counters.probation },
      { begun: 1, waits: 0, refused: 0, forgotten: 0 },
    );
    const waiting = connect();
    await accepted(rig, 4);
    assert.equal(rig.server.counters.probation.waits, 1);
    clock.advance(50);
    const again = await waiting;
    again.greet();
    assert.ok(await again.next(({ type, flags }) => type === 'SETTINGS' && flags === 1));
    assert.equal(kept.isClosed, false, 'what it has open stays');
    again.destroy();
    kept.destroy();
  });
});
