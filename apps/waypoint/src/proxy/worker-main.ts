/** The entry of a worker thread: a `ProxyWorker` between the thread's port and the kernel. */
import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '@ambit/core';
import { stdoutSink } from '@ambit/telemetry';
import type { ToWorker, WorkerConfig } from './messages.ts';
import { ProxyWorker } from './proxy-worker.ts';

const port = parentPort;
if (port === null) {
  throw new Error('worker-main is the entry of a worker thread');
}
const worker = new ProxyWorker({
  config: workerData as WorkerConfig,
  clock: systemClock,
  sink: stdoutSink,
  post: (message) => port.postMessage(message),
});
port.on('message', (message: ToWorker) => worker.receive(message));
port.postMessage({ kind: 'ready' });
