/** A validating thread as the pool sees it, so that the pool can be tested without threads. */
import { Worker } from 'node:worker_threads';

import { FINISH, type FromValidator, type ToValidator } from './validate-messages.ts';

export interface ValidatorThread {
  post(message: ToValidator): void;
  /** Ends the thread as soon as it is idle. */
  finish(): void;
  /** Ends the thread now, whatever it does. Its exit may never be told: V8 can hang in its clean-up. */
  end(): void;
}

export interface ValidatorThreadEvents {
  onMessage(message: FromValidator): void;
  /** Once: it ended by itself, or was ended. */
  onExit(): void;
}

export type SpawnValidator = (events: ValidatorThreadEvents) => ValidatorThread;

/** Megabytes of one thread; an object of 3 MiB, the most that an API server takes, needs a tenth. */
const HEAP_MB_MAX = 192;

/** Starts `entry` (by default the one beside this file) as a thread. */
export function threadSpawner(
  entry: URL = new URL('./validate-worker.ts', import.meta.url),
): SpawnValidator {
  return (events) => {
    const worker = new Worker(entry, {
      name: 'admission',
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
    });
    worker.unref();
    worker.on('message', (message: FromValidator) => {
      events.onMessage(message);
    });
    worker.on('error', () => {
      // Out of memory, mostly. Exit follows, and says all that the pool needs.
    });
    worker.on('exit', () => {
      events.onExit();
    });
    return {
      post: (message) => {
        worker.postMessage(message);
      },
      finish: () => {
        worker.postMessage(FINISH);
      },
      end: () => {
        void worker.terminate();
      },
    };
  };
}
