/**
 * A million tunnels, opened, used and closed one after the other in one worker: what it holds does not grow with their number.
 *
 * `AMBIT_SOAK_TUNNELS` says how many. The heap is looked at after full collections, so that a slope is what is kept.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { WorkerRig } from './testing/worker-rig.ts';

const TUNNELS = Number(process.env['AMBIT_SOAK_TUNNELS'] ?? 1_000_000);
const AT_ONCE = 32;
const LOOKS = 10;
/** Of each tunnel; a record of one that is kept would be a hundred times this. */
const KEPT_BYTES_MAX = 8;
/** Code that becomes warm, and tables of a size that is a power of two. */
const NOISE_BYTES = 1_500_000;

function collect(): void {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as (options: object) => void)({ type: 'major', flavor: 'last-resort' });
}

describe('a worker after a million tunnels', () => {
  it('holds what it held after the first ones', async (test) => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    const port = await rig.serve(2, (socket) => {
      socket.on('data', (bytes) => socket.end(bytes));
      socket.on('error', () => socket.destroy());
    });
    const one = async (): Promise<void> => {
      const client = await rig.connect(1, { address: rig.address(2), port });
      client.conn.write(Buffer.from('x'));
      await client.ended;
      client.conn.end();
      await client.closed;
    };
    const heaps: number[] = [];
    for (let look = 0; look < LOOKS; look += 1) {
      let left = Math.ceil(TUNNELS / LOOKS);
      const run = async (): Promise<void> => {
        while (left > 0) {
          left -= 1;
          await one();
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, run));
      // The rig keeps the log, for tests that read it.
      rig.lines.length = 0;
      rig.dialled.length = 0;
      collect();
      const { heapUsed, external, rss } = process.memoryUsage();
      heaps.push(heapUsed + external);
      test.diagnostic(`${look + 1}: heap ${heapUsed}, outside ${external}, resident ${rss}`);
    }
    // The first look is after the code has become warm.
    const [first = 0] = heaps;
    const grown = (heaps.at(-1) ?? 0) - first;
    const kept = (TUNNELS * (LOOKS - 1)) / LOOKS;
    assert.ok(grown < NOISE_BYTES + kept * KEPT_BYTES_MAX, `${grown} bytes after ${kept} tunnels`);
  });
});
