/** The entry of a worker thread: a `ProxyWorker` between the thread's port and the kernel. */
import { parentPort, resourceLimits, workerData } from 'node:worker_threads';
import { systemClock } from '@ambit/core';
import { boundThread } from '@ambit/hbone';
import { dropIdleSlabs } from '@ambit/proxy';
import { BatchedSink, IdleCollector } from '@ambit/telemetry';
import type { FromWorker, ToWorker, WorkerConfig } from './messages.ts';
import { ProxyWorker } from './proxy-worker.ts';

const port = parentPort;
if (port === null) {
  throw new Error('worker-main is the entry of a worker thread');
}
boundThread(resourceLimits);
/** Lines of a worker go through the main thread, which costs both more than the line: so they go together. */
const LINES_WAIT_MS = 50;
const sink = new BatchedSink(process.stdout, (flush) => {
  systemClock.sleep(LINES_WAIT_MS).then(flush, flush);
});
const worker = new ProxyWorker({
  config: workerData as WorkerConfig,
  clock: systemClock,
  sink,
  post: (message) => {
    if (message.kind === 'drained') {
      // The thread may be ended as soon as this is read.
      sink.flush();
    }
    port.postMessage(message);
  },
});
port.on('message', (message: ToWorker) => worker.receive(message));
const { memoryLimitBytes } = workerData as WorkerConfig;
new IdleCollector({
  clock: systemClock,
  memoryLimitBytes,
  onCollecting: dropIdleSlabs,
  onCollected: () => port.postMessage({ kind: 'collected' } satisfies FromWorker),
}).start();
port.postMessage({ kind: 'ready' });
