/** What an idle tunnel holds in the heap: both of its ends, and the sockets of the test's client and server. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { WorkerRig } from './testing/worker-rig.ts';

/** Code becomes warm, and tables have a size that is a power of two. */
const WARM_UP = 200;
const TUNNELS = 600;
/** 12 KB today; with a closure for each listener, a promise for each wait and texts for the log it was 20. */
const BYTES_MAX = 14_000;

function collectedHeap(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as (options: object) => void)({ type: 'major', flavor: 'last-resort' });
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('an idle tunnel', () => {
  it('holds little', async (test) => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    const port = await rig.serve(2, (socket) => {
      socket.on('data', (bytes) => socket.write(bytes));
      socket.on('error', () => socket.destroy());
    });
    const held: unknown[] = [];
    const open = async (count: number): Promise<void> => {
      for (let left = count; left > 0; left -= 1) {
        const client = await rig.connect(1, { address: rig.address(2), port });
        client.conn.write(Buffer.from('x'));
        await client.until(({ bytes }) => bytes === 1);
        held.push(client);
      }
    };
    await open(WARM_UP);
    const before = collectedHeap();
    await open(TUNNELS);
    const each = (collectedHeap() - before) / TUNNELS;
    test.diagnostic(`${Math.round(each)} bytes`);
    assert.ok(each < BYTES_MAX, `${each} bytes`);
    assert.equal(held.length, WARM_UP + TUNNELS);
  });
});
