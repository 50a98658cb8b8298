/** h2load: HTTP/2 with prior knowledge over cleartext, one stream at a time on each connection, as wrk does HTTP/1.1. */
import type { Netns } from '@ambit/netns';
import { Program } from '../measure/program.ts';
import type { LoadResult } from './load-result.ts';
import type { HttpLoad } from './wrk.ts';

const SECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  us: 1e-6,
  ms: 1e-3,
  s: 1,
  m: 60,
  h: 3600,
};
const SPARE_MS = 15_000;

/** Throws when the text is no report of h2load. */
export function parseH2load(text: string): LoadResult {
  const time = /^finished in ([\d.]+)(us|ms|s|m|h), /m.exec(text);
  const counts =
    /^requests: \d+ total, \d+ started, (\d+) done, \d+ succeeded, (\d+) failed, (\d+) errored, (\d+) timeout$/m.exec(
      text,
    );
  const codes = /^status codes: (\d+) 2xx, (\d+) 3xx, (\d+) 4xx, (\d+) 5xx$/m.exec(text);
  if (time === null || counts === null || codes === null) {
    throw new RangeError(`no summary in the output of h2load: "${text.slice(-200)}"`);
  }
  const [, , , clientErrors, serverErrors] = codes;
  // "failed" holds "errored", and in some versions answers of 4xx and 5xx as well: the larger one counts.
  const broken = Number(counts[2]) + Number(counts[4]);
  return {
    requests: Number(counts[1]),
    seconds: Number(time[1]) * (SECONDS_PER_UNIT[time[2] ?? 's'] ?? 1),
    failed: Math.max(broken, Number(clientErrors) + Number(serverErrors)),
  };
}

export async function runH2load(netns: Netns, load: HttpLoad): Promise<LoadResult> {
  const headers = Object.entries(load.headers).flatMap(([name, value]) => [
    '-H',
    `${name.toLowerCase() === 'host' ? ':authority' : name}: ${value}`,
  ]);
  const size = ['-t', '1', '-m', '1', '-c', String(load.connections), '-D', String(load.seconds)];
  const program = Program.start(netns, ['h2load', ...size, ...headers, load.url]);
  return parseH2load(await program.finish(load.seconds * 1_000 + SPARE_MS));
}
