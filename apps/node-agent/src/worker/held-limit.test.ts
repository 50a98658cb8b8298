/** Receivers that do not read, at both ends of tunnels: what is held for all of them together has a bound. */
import assert from 'node:assert/strict';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { threadHeld } from '@ambit/proxy';
import { WorkerRig } from './testing/worker-rig.ts';

const MIB = 2 ** 20;
const CONNECTIONS = 24;
const MAX = 2 * MIB;
/** A read and a little, at both ends of the tunnel. */
const OF_EACH = 2 * 80 * 1024;
const CHUNK = Buffer.alloc(64 * 1024, 'x');

describe('a worker whose receivers do not read', () => {
  it('holds what all of them may have, serves others, and loses nothing', async () => {
    threadHeld.max = MAX;
    await using rig = new WorkerRig();
    using _bound = {
      [Symbol.dispose]: () => {
        threadHeld.max = Number.POSITIVE_INFINITY;
      },
    };
    await rig.clientAndServer();
    const mute: Socket[] = [];
    const port = await rig.serve(2, (socket) => mute.push(socket.pause()));
    const echo = await rig.serve(2, (socket) => socket.pipe(socket));
    const clients = await Promise.all(
      Array.from({ length: CONNECTIONS }, async () => {
        const { conn } = await rig.connect(1, { address: rig.address(2), port });
        return { conn, sent: 0 };
      }),
    );
    // Until nobody has been able to send for a while.
    for (let still = 0; still < 50; still += 1) {
      for (const client of clients) {
        while ((client.conn.pendingBytes ?? 0) === 0) {
          client.conn.write(CHUNK);
          client.sent += CHUNK.length;
          still = 0;
        }
      }
      await systemClock.sleep(10);
    }
    const held = rig.metric('ambit_held_bytes');
    assert.ok(held <= MAX + CONNECTIONS * OF_EACH, `${held} bytes`);
    assert.ok(held >= MAX / 4, `${held} bytes`);
    assert.ok(rig.metric('ambit_held_waits_total') > 0);
    assert.equal(rig.metric('ambit_held_limit_bytes'), MAX);

    const other = await rig.connect(1, { address: rig.address(2), port: echo });
    for (let at = 0; at < 32; at += 1) {
      other.conn.write(CHUNK);
    }
    await other.until(({ bytes }) => bytes === 32 * CHUNK.length);

    let received = 0;
    for (const socket of mute) {
      socket.on('data', (chunk) => {
        received += chunk.length;
      });
      socket.resume();
    }
    for (const { conn } of clients) {
      conn.end();
    }
    await Promise.all(
      mute.map(async (socket) => await new Promise((done) => socket.once('end', done))),
    );
    assert.equal(
      received,
      clients.reduce((sum, { sent }) => sum + sent, 0),
    );
  });
});
