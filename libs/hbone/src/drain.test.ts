import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import { HbonePool } from './pool.ts';
import { TunnelRig } from './testing/index.ts';

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

/** A server, and a connection to it that it has accepted and knows nothing of yet. */
async function accepted(): Promise<{ readonly rig: TunnelRig; readonly raw: Socket }> {
  const rig = await TunnelRig.start({
    server: SERVER,
    client: CLIENT,
    onConnect: () => ({ status: 200, serve: echo }),
  });
  const raw = await rig.dial();
  raw.on('error', () => undefined);
  while (rig.sockets.length === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { rig, raw };
}

describe('a server that drains', () => {
  it('serves everybody who waits for a handshake that it has accepted, and ends', async () => {
    const { rig, raw } = await accepted();
    await using _ = rig;
    const drained = rig.server.drain();
    const pool = new HbonePool({
      clock: systemClock,
      identity: () => CLIENT,
      dial: async () => raw,
    });
    const streams = await Promise.all([1, 2, 3].map(async () => await pool.connect(rig.key(), TO)));
    for (const { conn } of streams) {
      const got = Recorder.on(conn);
      conn.write(Buffer.from('served'));
      conn.end();
      assert.equal(await got.closed, undefined);
      assert.equal(got.text, 'served');
    }
    // The client keeps a tunnel for the next caller unless it was told that there will be none.
    await drained;
    assert.equal(rig.server.live, 0);
    assert.deepEqual(rig.rejected, []);
    pool.destroy();
  });

  for (const [how, leave] of [
    ['goes', (raw: Socket) => raw.resetAndDestroy()],
    ['speaks no TLS', (raw: Socket) => raw.write('GET / HTTP/1.1\r\n\r\n')],
  ] as const) {
    it(`ends when the client of such a handshake ${how}`, async () => {
      const { rig, raw } = await accepted();
      await using _ = rig;
      const drained = rig.server.drain();
      leave(raw);
      await drained;
      assert.equal(rig.server.live, 0);
    });
  }

  it('takes no handshake to its end once it is destroyed', async () => {
    const { rig, raw } = await accepted();
    await using _ = rig;
    const drained = rig.server.drain();
    rig.server.destroy();
    await drained;
    const pool = new HbonePool({
      clock: systemClock,
      identity: () => CLIENT,
      dial: async () => raw,
    });
    await assert.rejects(pool.connect(rig.key(), TO));
    assert.equal(rig.server.live, 0);
  });
});
