/** A Node process that does nothing, in as many workers: the least that a program of Node takes. */
import { join } from 'node:path';
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';

const FILE = join(import.meta.dirname, '..', 'programs', 'bare-node.ts');
const START_MS = 10_000;

export async function startBareNode(netns: Netns, workers: number): Promise<Program> {
  const program = Program.start(netns, [process.execPath, FILE, String(workers)]);
  await program.waitForOutput('up', START_MS);
  return program;
}
