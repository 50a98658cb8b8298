import assert from 'node:assert/strict';
import { text } from 'node:stream/consumers';
import { describe, it } from 'node:test';
import type { FromWorker } from '../worker/messages.ts';
import { threadSpawner, type WorkerPort } from './worker-port.ts';

/** Starts a thread that runs this text. */
function start(source: string, heapBytes?: number) {
  const exited = Promise.withResolvers<string>();
  const first = Promise.withResolvers<FromWorker>();
  const spawn = threadSpawner({
    entry: new URL(`data:text/javascript,${encodeURIComponent(source)}`),
    workerData: (index) => ({ index }),
    heapBytes,
  });
  const port: WorkerPort = spawn(3, {
    onMessage: first.resolve,
    onFailing: () => undefined,
    onExit: exited.resolve,
  });
  return { port, exited: exited.promise, first: first.promise };
}

describe('threadSpawner', () => {
  it('carries messages both ways and ends the thread when told', async () => {
    const { port, first, exited } = start(`
      import { parentPort, workerData } from 'node:worker_threads';
      parentPort.on('message', (message) => parentPort.postMessage({ kind: message.kind, index: workerData.index }));`);
    port.post({ kind: 'drain', deadlineMs: 1 });
    assert.deepEqual(await first, { kind: 'drain', index: 3 });
    port.terminate();
    assert.equal(await exited, 'exit code 1');
  });

  it('says why a thread ended', async () => {
    assert.match(await start('throw new TypeError("broken")').exited, /TypeError: broken/);
    assert.equal(await start('process.exit(7)').exited, 'exit code 7');
  });

  it('gives a snapshot of the thread’s heap, and of none when it has ended', async () => {
    const { port, first, exited } = start(`
      import { parentPort } from 'node:worker_threads';
      class HeldByTheThreadAlone {}
      const held = new HeldByTheThreadAlone();
      parentPort.on('message', () => held);
      parentPort.postMessage({ kind: 'ready' });`);
    await first;
    assert.equal(port.name, 'worker-3');
    assert.match(await text(await port.heapSnapshot()), /"HeldByTheThreadAlone"/);
    port.terminate();
    await exited;
    await assert.rejects(port.heapSnapshot(), { code: 'ERR_WORKER_NOT_RUNNING' });
  });

  it('ends a thread that outgrows its heap, and nothing else', async () => {
    const grow = 'const held = []; for (;;) held.push(new Array(100_000).fill(held.length));';
    const { exited } = start(grow, 24 * 2 ** 20);
    assert.match(await exited, /heap out of memory|reaching memory limit/i);
  });
});
