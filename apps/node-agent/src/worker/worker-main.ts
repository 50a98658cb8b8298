/** The entry of a worker thread: a `ProxyWorker` between the thread's port and the kernel. */
import { parentPort, resourceLimits, workerData } from 'node:worker_threads';

import { systemClock } from '@ambit/core';
import { boundThread } from '@ambit/hbone';
import { trimMemory } from '@ambit/netns';
import { Deadlines, dropIdleSlabs } from '@ambit/proxy';
import { BatchedSink, describeError, IdleCollector } from '@ambit/telemetry';

import { WORKER_CONFIG, type WorkerConfig } from './config.ts';
import type { ToWorker } from './messages.ts';
import { netnsSockets } from './pod-sockets.ts';
import { ProxyWorker } from './proxy-worker.ts';

const port = parentPort;
if (port === null) {
  throw new Error('worker-main is the entry of a worker thread');
}
const config: WorkerConfig = { ...WORKER_CONFIG, ...(workerData as Partial<WorkerConfig>) };
boundThread(resourceLimits);
/** Lines of a worker go through the main thread, which costs both more than the line: so they go together. */
const LINES_WAIT_MS = 50;
const sink = new BatchedSink(process.stdout, (flush) => {
  systemClock.sleep(LINES_WAIT_MS).then(flush, flush);
});
const worker = new ProxyWorker({
  config,
  clock: systemClock,
  sink,
  openSockets: netnsSockets({
    packetMark: config.packetMark,
    connectDeadlines: new Deadlines(systemClock, config.limits.connectTimeoutMs),
    onSourceUnavailable: (source, error) =>
      worker.note('a client address could not be borrowed', {
        source,
        error: describeError(error),
      }),
  }),
  post: (message) => {
    if (message.kind === 'drained') {
      // The thread may be ended as soon as this is read.
      sink.flush();
    }
    port.postMessage(message);
  },
});
port.on('message', (message: ToWorker) => worker.receive(message));
new IdleCollector({
  clock: systemClock,
  memoryLimitBytes: config.memoryLimitBytes,
  onCollecting: dropIdleSlabs,
  onCollected: trimMemory,
}).start();
port.postMessage({ kind: 'ready' });
