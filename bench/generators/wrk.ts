/** wrk: HTTP/1.1 over keep-alive or one-request connections, closed loop, so for CPU cost and not for tails. */
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';
import type { LoadResult } from './load-result.ts';

const SECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  us: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
};
const SPARE_MS = 15_000;

/** Throws when the text is no report of wrk. */
export function parseWrk(text: string): LoadResult {
  const summary = /^\s*(\d+) requests in ([\d.]+)(us|ms|s|m|h), /m.exec(text);
  if (summary === null) {
    throw new RangeError(`no summary in the output of wrk: "${text.slice(0, 200)}"`);
  }
  const errors = /^\s*Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/m.exec(
    text,
  );
  const refused = /^\s*Non-2xx or 3xx responses: (\d+)/m.exec(text)?.[1] ?? '0';
  const socketErrors = (errors?.slice(1) ?? []).reduce((sum, count) => sum + Number(count), 0);
  return {
    requests: Number(summary[1]),
    seconds: Number(summary[2]) * (SECONDS_PER_UNIT[summary[3] ?? 's'] ?? 1),
    failed: socketErrors + Number(refused),
  };
}

export interface HttpLoad {
  readonly url: string;
  readonly seconds: number;
  readonly connections: number;
  readonly headers: Readonly<Record<string, string>>;
}

export async function runWrk(netns: Netns, load: HttpLoad): Promise<LoadResult> {
  // wrk drops a header without a space after the colon, in silence.
  const headers = Object.entries(load.headers).flatMap(([name, value]) => [
    '-H',
    `${name}: ${value}`,
  ]);
  const size = ['-t', '1', '-c', String(load.connections), '-d', `${load.seconds}s`];
  const program = Program.start(netns, ['wrk', ...size, '--timeout', '10s', ...headers, load.url]);
  return parseWrk(await program.finish(load.seconds * 1_000 + SPARE_MS));
}
