/**
 * `npm run bench -- --help`: measures one thing beside its peers, keeps every sample in `bench/results/DATE-SUITE.json` and renders
 * `docs/benchmarks.md` from the latest of each.
 *
 * A quick run shows that everything works; its numbers mean nothing, so it is kept only where `--out` says.
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { measureAttacks, writeAttacks } from './attacks.ts';
import { describeMachine } from './measure/machine.ts';
import type { BenchResult } from './measure/result.ts';
import { profile, writeProfile } from './profile.ts';
import { writeReport } from './report.ts';
import { runCluster } from './suites/cluster.ts';
import { runController } from './suites/controller.ts';
import type { Suite } from './suites/suite.ts';
import { runTunnel } from './suites/tunnel.ts';
import { runWaypoint } from './suites/waypoint.ts';

const ROUNDS_DEFAULT = 5;
const ROUNDS_MAX = 50;
const ROOT = dirname(import.meta.dirname);
const RESULTS = join(import.meta.dirname, 'results');
const CACHE = join(ROOT, 'node_modules', '.cache', 'ambit-bench');
const SUITES: Readonly<Record<string, Suite>> = {
  tunnel: runTunnel,
  waypoint: runWaypoint,
  controller: runController,
  cluster: runCluster,
};
const USAGE = `usage: npm run bench -- SUITE [option…]

  tunnel        bytes, small requests, a fixed rate, new connections, idle memory
  waypoint      HTTP/1.1 and HTTP/2 with 20 allow rules, and 20 or 2,000 routes
  attacks       what a healthy client feels of an attack beside it, and how much is held
  profile       where agent and waypoint spend their time
  controller    10,000 pods and 100 changes a second on a real API server
  cluster       two nodes: installation, memory of agents
  model         the controller's model at 10,000 workloads
  report        docs/benchmarks.md again, from bench/results

  --rounds N    interleaved rounds, 1 to ${ROUNDS_MAX} (default ${ROUNDS_DEFAULT})
  --cases A,B   some of the suite's; a wrong name lists them
  --peers       without Ambit
  --quick       does it all run? Numbers mean nothing, and are kept only where --out says
  --out FILE    instead of bench/results/DATE-SUITE.json
  --note TEXT   about the circumstances, kept with the result
  --help        this text`;

function progress(line: string): void {
  console.error(line);
}

async function runSuite(name: string, suite: Suite, options: Options): Promise<void> {
  if (process.getuid?.() !== 0) {
    throw new Error('network namespaces need root: sudo npm run bench, or unshare -Urnm');
  }
  const startedAt = new Date();
  const machine = describeMachine(ROOT);
  const { rounds, quick, ambit } = options;
  const stop = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // The second one ends the process at once; the kernel then ends what it started.
    process.once(name, () => {
      progress('stopping after this sample');
      stop.abort(new Error('stopped'));
    });
  }
  const measured = await suite({
    rounds,
    quick,
    ambit,
    cases: options.cases,
    cache: CACHE,
    onProgress: progress,
    signal: stop.signal,
  });
  const result: BenchResult = {
    suite: name,
    startedAt: startedAt.toISOString(),
    finishedAt: new Date().toISOString(),
    quick,
    machine,
    ...(options.note === undefined ? {} : { note: options.note }),
    ...measured,
  };
  const day = startedAt.toISOString().slice(0, 10);
  const file = options.out ?? (quick ? undefined : join(RESULTS, `${day}-${name}.json`));
  if (file === undefined) {
    console.log(JSON.stringify(result, undefined, 2));
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, `${JSON.stringify(result, undefined, 2)}\n`);
    progress(`written: ${file}`);
  }
  if (file?.startsWith(RESULTS) === true) {
    writeReport();
  }
  if (result.failures.length > 0) {
    progress(`${result.failures.length} samples failed`);
    process.exitCode = 1;
  }
}

/** A process of its own with a garbage collector that can be asked, or heap sizes would be guesses. */
function runModel(out: string | undefined): void {
  const day = new Date().toISOString().slice(0, 10);
  const file = out ?? join(RESULTS, `${day}-model.json`);
  const argv = ['--expose-gc', join(import.meta.dirname, 'model.ts'), '--out', file];
  const { status } = spawnSync(process.execPath, argv, { stdio: 'inherit' });
  if (status !== 0) {
    throw new Error(`bench/model.ts ended with ${status}`);
  }
  writeReport();
}

async function runProfile(values: {
  readonly quick: boolean;
  readonly out?: string | undefined;
  readonly note?: string | undefined;
}): Promise<void> {
  const { quick, out, note } = values;
  const options = { quick, cache: CACHE, onProgress: progress };
  const result = await profile({ ...options, ...(note === undefined ? {} : { note }) });
  const file = out ?? join(RESULTS, `${result.startedAt.slice(0, 10)}-profile.json`);
  for (const one of [file, ...writeProfile(result, file)]) {
    progress(`written: ${one}`);
  }
  if (out === undefined) {
    writeReport();
  }
}

interface Options {
  readonly rounds: number;
  readonly quick: boolean;
  readonly ambit: boolean;
  readonly cases: readonly string[];
  readonly out: string | undefined;
  readonly note: string | undefined;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string' },
      quick: { type: 'boolean', default: false },
      /** Only the peers. */
      peers: { type: 'boolean', default: false },
      /** Some of the suite's, by a comma. */
      cases: { type: 'string', default: '' },
      out: { type: 'string' },
      /** About the circumstances, kept with the result. */
      note: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    console.log(USAGE);
    return;
  }
  const [name = '', ...rest] = positionals;
  const rounds = Number(values.rounds ?? (values.quick ? 1 : ROUNDS_DEFAULT));
  if (rest.length > 0 || !Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX) {
    throw new Error(USAGE);
  }
  const suite = SUITES[name];
  if (suite !== undefined) {
    const { quick, peers, out, note } = values;
    const cases = values.cases.split(',').filter((one) => one !== '');
    await runSuite(name, suite, { rounds, quick, ambit: !peers, cases, out, note });
  } else if (name === 'model') {
    runModel(values.out);
  } else if (name === 'profile') {
    await runProfile(values);
  } else if (name === 'attacks') {
    const rounds = values.quick === true ? 1 : undefined;
    const result = await measureAttacks(progress, rounds === undefined ? {} : { rounds });
    const file = values.out ?? join(RESULTS, `${result.startedAt.slice(0, 10)}-attacks.json`);
    writeAttacks(result, file);
    progress(`written: ${file}`);
  } else if (name === 'report') {
    writeReport();
  } else {
    throw new Error(USAGE);
  }
}

try {
  await main();
} catch (error) {
  console.error(
    error instanceof Error ? (process.env['DEBUG'] ? error.stack : error.message) : error,
  );
  process.exitCode = 1;
}
