/** Starts a lab in a process of its own that outlives this one. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { LabError, type LabErrorCode } from './errors.ts';
import type { LabOptions } from './start.ts';
import type { SupervisorEvent } from './supervisor-main.ts';

/** What of `LabOptions` can be handed to another process. */
export type DetachedLabOptions = Omit<LabOptions, 'clock' | 'onProgress'>;

/** Resolves to the process's id when its programs run; pods may still be starting. Throws what `labStart` throws. */
export async function startDetached(
  options: DetachedLabOptions,
  onProgress: (line: string) => void,
): Promise<number> {
  const main = join(import.meta.dirname, 'supervisor-main.ts');
  const child = spawn(process.execPath, ['--enable-source-maps', main, JSON.stringify(options)], {
    detached: true,
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  child.once('error', reject);
  child.once('exit', (code, signal) => {
    reject(new LabError('LAB_NOT_RUNNING', `the lab's process ended early (${code ?? signal})`));
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const event = JSON.parse(line) as SupervisorEvent;
    if (event.kind === 'progress') {
      onProgress(event.line);
    } else if (event.kind === 'ready') {
      resolve(child.pid ?? 0);
    } else {
      reject(new LabError(event.code as LabErrorCode, event.message));
    }
  });
  try {
    return await promise;
  } finally {
    child.stdout.destroy();
    child.unref();
  }
}
