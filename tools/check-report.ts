/**
 * What the steps of tools/check.ts report: one line a step, what a failed one said, and the counts of the last line.
 */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';

export const root = dirname(import.meta.dirname);
export const bin = (name: string): string => join(root, 'node_modules', '.bin', name);

export const counts = { passed: 0, failed: 0 };
export const failures: string[] = [];

/** `failure` is what a failed step says; nothing when it passed. */
export function record(name: string, failure: string | undefined, startedAt: number): void {
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  if (failure === undefined) {
    counts.passed += 1;
    console.log(`  ok    ${name} (${seconds} s)`);
    return;
  }
  counts.failed += 1;
  failures.push(name);
  console.log(`  FAIL  ${name} (${seconds} s)\n${failure.trim().replaceAll(/^/gmu, '        ')}`);
}

export interface Command {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
}

export async function runCommand({ name, command, args, cwd = root }: Command): Promise<void> {
  const startedAt = performance.now();
  const chunks: Buffer[] = [];
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => chunks.push(chunk));
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  child.on('error', (error) => resolve(error.message));
  child.on('close', (code) =>
    resolve(code === 0 ? undefined : `${Buffer.concat(chunks).toString()}\nexit code ${code}`),
  );
  record(name, await promise, startedAt);
}

/** Two at a time: more only makes two cores wait for memory. */
export async function runAll(commands: readonly Command[]): Promise<void> {
  const queue = [...commands];
  const drainQueue = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await runCommand(next);
    }
  };
  await Promise.all([drainQueue(), drainQueue()]);
}
