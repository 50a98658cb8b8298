/** `meshctl lab logs`: what a program or pod of a lab has printed. */
import { closeSync, fstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { systemClock } from '@ambit/core';
import { LabError, readLiveRecord } from '@ambit/lab';
import type { Command } from 'commander';
import { LAB_NAME_DEFAULT, labTarget } from './lab-target.ts';

const POLL_MS = 200;
const CHUNK_BYTES = 64 * 1024;
const EXAMPLES = `
Examples:
  meshctl lab logs controller
  meshctl lab logs agent/node1 -f
  meshctl lab logs shop/reviews-v1`;

interface LogOptions {
  readonly name: string;
  readonly follow: boolean;
}

export function registerLabLogs(lab: Command): void {
  lab
    .command('logs')
    .summary('show what a program or pod printed')
    .description('Shows the log of the controller, an agent, a waypoint or a pod.')
    .argument('<component>', 'controller, agent/NODE, or a pod or Deployment with its namespace')
    .option('-f, --follow', 'go on until Ctrl-C or the end of the lab', false)
    .option('--name <name>', 'name of the lab', LAB_NAME_DEFAULT)
    .addHelpText('after', EXAMPLES)
    .action(labLogs);
}

async function labLogs(component: string, options: LogOptions): Promise<void> {
  const { paths } = labTarget(options.name);
  const file = openSync(findLog(paths.logs, component), 'r');
  try {
    let at = copyFrom(file, 0);
    while (options.follow && readLiveRecord(paths) !== undefined) {
      await systemClock.sleep(POLL_MS);
      // A log that grew too large was emptied: start over.
      at = copyFrom(file, fstatSync(file).size < at ? 0 : at);
    }
  } finally {
    closeSync(file);
  }
}

function findLog(folder: string, component: string): string {
  const wanted = component.replace(/^waypoint\//, '').replaceAll('/', '.');
  let files: string[];
  try {
    files = readdirSync(folder);
  } catch (error) {
    throw new LabError(
      'LAB_NOT_RUNNING',
      `there are no logs in "${folder}"; is the lab running?`,
      error,
    );
  }
  const names = files.map((name) => name.replace(/\.log$/, '')).sort();
  const isOf = (name: string): boolean => name === wanted || name.startsWith(`${wanted}-`);
  const withoutNamespace = (name: string): string => name.slice(name.indexOf('.') + 1);
  const found =
    names.find((name) => name === wanted) ??
    names.findLast((name) => isOf(name) || isOf(withoutNamespace(name)));
  if (found === undefined) {
    const known = names.map((name) => name.replace('.', '/')).join(', ');
    throw new LabError('LAB_COMPONENT_NOT_FOUND', `no log of "${component}"; there are: ${known}`);
  }
  return join(folder, `${found}.log`);
}

/** Returns the position after what was copied to standard output. */
function copyFrom(file: number, start: number): number {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  let at = start;
  for (;;) {
    const length = readSync(file, chunk, 0, chunk.length, at);
    if (length === 0) {
      return at;
    }
    process.stdout.write(Buffer.from(chunk.subarray(0, length)));
    at += length;
  }
}
