/** So many requests a second by a schedule that waits for nobody (programs/open-loop): what is offered, not what is taken. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { goProgram } from '@ambit/core/go-programs';
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';
import { type LoadResult, requireAnswered } from './load-result.ts';

const SOURCE = join(import.meta.dirname, '..', 'programs', 'open-loop', 'main.go');
const MODULE = 'golang.org/x/net@v0.62.0';
const SPARE_MS = 20_000;

export interface RateLoad {
  readonly url: string;
  readonly http: 1 | 2;
  readonly headers: Readonly<Record<string, string>>;
  readonly connections: number;
  readonly perSecond: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

/** Milliseconds from when a request was due. */
export interface RateResult extends LoadResult {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

/** Throws when the text is no report of the program. */
export function parseOpenLoop(text: string): RateResult {
  const line = /^\{.*\}$/m.exec(text)?.[0];
  if (line === undefined) {
    throw new RangeError(`no report in "${text.slice(-200)}"`);
  }
  const { requests, failed, seconds, p50, p90, p99 } = JSON.parse(line) as RateResult;
  const numbers = { requests, failed, seconds, p50, p90, p99 };
  if (!Object.values(numbers).every((one) => Number.isFinite(one))) {
    throw new RangeError(`a number is missing in ${line}`);
  }
  return numbers;
}

/** Built before the first sample: a build beside one would be measured. */
export function openLoopProgram(): string {
  const main = readFileSync(SOURCE, 'utf8');
  const version = createHash('sha256').update(MODULE).update(main).digest('hex').slice(0, 12);
  const sources = { 'main.go': main };
  return goProgram({ name: 'open-loop', version, modules: [MODULE], build: '.', sources });
}

/** `onCounting` is called when the warm-up is over. Throws when requests failed. */
export async function runOpenLoop(
  netns: Netns,
  load: RateLoad,
  onCounting: () => void,
): Promise<RateResult> {
  const { Host: host = '', ...rest } = load.headers;
  const [header] = Object.entries(rest);
  const program = Program.start(netns, [
    ...[openLoopProgram(), String(load.http), load.url, host, header?.join('=') ?? ''],
    ...[load.connections, load.perSecond, load.seconds, load.warmUpSeconds].map(String),
  ]);
  await program.waitForOutput('counting', load.warmUpSeconds * 1_000 + SPARE_MS);
  onCounting();
  const result = parseOpenLoop(await program.finish(load.seconds * 1_000 + SPARE_MS));
  requireAnswered(result);
  return result;
}
