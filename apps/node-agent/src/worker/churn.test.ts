/** Connections that end in every way at once; afterwards nothing may be left. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError, systemClock } from '@ambit/core';

import { policy } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const RESET = new MeshError('RESET', 'reset', { side: 'local' });
const CONNECTIONS = 400;

/** What a client does, by number. */
const CLIENTS: readonly string[] = [
  'half-closes',
  'resets',
  'resets after sending',
  'leaves without a byte',
];

interface Report {
  readonly [uid: string]: { readonly connections: { readonly inbound: []; readonly outbound: [] } };
}

describe('ProxyWorker under churn', () => {
  it('keeps no connection, tunnel stream or session that has ended', async () => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    let served = 0;
    const port = await rig.serve(2, (socket) => {
      served += 1;
      socket.on('end', () => socket.end());
      if (served % 5 === 0) {
        socket.resetAndDestroy();
      } else if (served % 7 === 0) {
        socket.end('early');
      } else {
        socket.on('data', (chunk) => socket.write(chunk));
      }
    });
    const run = async (number: number): Promise<void> => {
      const client = await rig.connect(1, { address: rig.address(2), port });
      switch (CLIENTS[number % CLIENTS.length] ?? '') {
        case 'half-closes':
          client.conn.write(Buffer.alloc(100_000));
          client.conn.end();
          break;
        case 'resets':
          client.conn.destroy(RESET);
          break;
        case 'resets after sending':
          client.conn.write(Buffer.alloc(10));
          await Promise.race([client.until((r) => r.bytes > 0), client.ended, client.closed]);
          client.conn.destroy(RESET);
          break;
        default:
          client.conn.end();
      }
      await Promise.race([client.ended, client.closed]);
      client.conn.end();
    };
    const all: Promise<void>[] = [];
    for (let number = 0; number < CONNECTIONS; number += 1) {
      all.push(run(number));
      if (number % 50 === 0) {
        rig.resources({ policies: [policy('flap', 'DENY', { destinationPorts: [port] })] });
        rig.resources({ removedPolicies: ['shop/flap'] });
        await systemClock.sleep(1);
      }
    }
    await Promise.all(all);
    // What the peers still hold half-open is theirs to end; the test's sockets go now.
    rig.endSockets();
    let open = Infinity;
    while (open > 0) {
      await systemClock.sleep(10);
      rig.messages.length = 0;
      rig.send({ kind: 'report', id: 1, what: 'connections' });
      await rig.until(() => rig.messages.some((m) => m.kind === 'report'));
      const report = rig.messages.find((m) => m.kind === 'report');
      const pods = report?.kind === 'report' ? (report.value as Report) : {};
      open = Object.values(pods).reduce(
        (total, { connections }) =>
          total + connections.inbound.length + connections.outbound.length,
        0,
      );
    }
    assert.equal(open, 0);
    const defects = rig.lines.filter((line) => line.message === 'connection lost by a defect');
    assert.deepEqual(defects, []);
  });
});
