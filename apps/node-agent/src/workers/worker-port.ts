/** A worker thread as the pool sees it, so that the pool can be tested without threads. */
import type { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { workerResourceLimits } from '@ambit/telemetry';
import type { FromWorker, ToWorker } from '../worker/messages.ts';

export interface WorkerPort {
  /** Of the thread. */
  readonly name: string;
  post(message: ToWorker): void;
  /** Stops the thread meanwhile. Rejects when it is not running, and never settles when it ends then. */
  heapSnapshot(): Promise<Readable>;
  /** Ends the thread now. `onExit` follows. Idempotent. */
  terminate(): void;
}

export interface WorkerEvents {
  onMessage(message: FromWorker): void;
  /** It threw and is about to end; `onExit` should follow. */
  onFailing(): void;
  /** Once, whatever ended it. */
  onExit(reason: string): void;
}

export type SpawnWorker = (index: number, events: WorkerEvents) => WorkerPort;

/** Starts `entry` as a worker thread with `workerData` as given. */
export function threadSpawner(options: {
  readonly entry: URL;
  readonly workerData: (index: number) => unknown;
  /** A worker that needs more ends, alone. Undefined: as V8 sees fit. */
  readonly heapBytes?: number | undefined;
}): SpawnWorker {
  const resourceLimits = workerResourceLimits(options.heapBytes);
  return (index, events) => {
    const name = `worker-${index}`;
    const worker = new Worker(options.entry, {
      workerData: options.workerData(index),
      name,
      resourceLimits,
    });
    let lastError = '';
    worker.on('message', (message: FromWorker) => {
      events.onMessage(message);
    });
    worker.on('error', (error) => {
      lastError = error instanceof Error ? (error.stack ?? error.message) : String(error);
      events.onFailing();
    });
    worker.on('exit', (code) => {
      events.onExit(lastError === '' ? `exit code ${code}` : lastError);
    });
    return {
      name,
      post: (message) => {
        worker.postMessage(message);
      },
      heapSnapshot: async () => await worker.getHeapSnapshot(),
      terminate: () => {
        void worker.terminate();
      },
    };
  };
}
