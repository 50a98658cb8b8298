/**
 * `npm test` and its parts: lint, types, unit tests, lab tests; and, apart from it, `npm run test:cluster`. Ends with a line
 * that CI reads.
 *
 * Usage: check.ts [all|unit|lab|fuzz|soak|cluster] [--minutes N] [--inputs N] [--seed N] [-- FILE…]. Every step counts
 * as one check, so the last line, `N passed, N failed`, is wrong about nothing. A step that finds nothing to run fails.
 *
 * Rule: what is made by seed has another one in each run, which is in the output; `--seed` repeats it. What promises a million
 * in `soak` ends by its count; `--minutes` is of what goes on for a time.
 */
import { spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { clusterTests } from './check-cluster.ts';
import { bin, counts, failures, record, root, runAll } from './check-report.ts';
import { runTests } from './check-tests.ts';
import { printTimes } from './check-times.ts';

const TIERS = ['all', 'unit', 'lab', 'fuzz', 'soak', 'cluster'] as const;
type Tier = (typeof TIERS)[number];

/** What Node has made of sources, so that hundreds of processes do not make it again. Of no use to another version of Node. */
const COMPILE_CACHE = join(root, 'node_modules', '.cache', 'compile');

/** Of a process, which may run a dozen of files. */
const UNIT_TIMEOUT_MS = 120_000;
const LAB_TIMEOUT_MS = 300_000;
/** Beside the minutes that are asked for. A million requests fail by themselves after an hour. */
const SOAK_TIMEOUT_MS = 5_400_000;
const SOAK_MINUTES_DEFAULT = 10;

interface FuzzRun {
  /** Of all targets together, at the least. */
  readonly inputs: number;
  readonly seconds: number;
}

/** Beside the lab tests: a minute, in which a machine that is slow makes what proves something still. */
const FUZZ: FuzzRun = { inputs: 100_000, seconds: 60 };
const SOAK_FUZZ: FuzzRun = { inputs: 10_000_000, seconds: 0 };
const FUZZ_TIMEOUT_MS = 300_000;
const SOAK_FUZZ_TIMEOUT_MS = 3 * 3_600_000;
/** Unit tests whose inputs soak multiplies, to a million of each kind. */
const MULTIPLIED = /^libs\/http\/src\/(?:judged|advisories\/bytes)\.test\.ts$/;
const SOAK_FACTOR = 1_000;

async function staticChecks(): Promise<void> {
  console.log('lint, types');
  await runAll([
    { name: 'tsc', command: bin('tsc'), args: ['-p', 'tsconfig.all.json'] },
    { name: 'oxlint', command: bin('oxlint'), args: ['--type-aware', '--deny-warnings'] },
    { name: 'biome', command: bin('biome'), args: ['check', '--error-on-warnings', '.'] },
    { name: 'boundaries', command: process.execPath, args: ['tools/check-boundaries.ts'] },
  ]);
}

function testFiles(isWanted: (file: string) => boolean, only: readonly string[]): string[] {
  return globSync('{apps,bench,libs,tools}/**/*.test.ts', {
    cwd: root,
    exclude: (path) => path.includes('node_modules'),
  })
    .filter(isWanted)
    .filter((file) => only.length === 0 || only.some((part) => file.includes(part)))
    .sort();
}

const isLabTest = (file: string): boolean => file.endsWith('.lab.test.ts');
const isSoakTest = (file: string): boolean => file.endsWith('.soak.test.ts');
const isFuzzTest = (file: string): boolean => file.endsWith('.fuzz.test.ts');
const isClusterTest = (file: string): boolean => file.endsWith('.cluster.test.ts');

/** Lab tests that mostly wait, and those of tools, which build: nobody measures them. */
const runsBeside = (file: string): boolean =>
  file.includes('.waiting.') || file.startsWith('tools/');

async function unitTests(only: readonly string[]): Promise<void> {
  await runTests({
    name: 'unit',
    files: testFiles(
      (file) => ![isLabTest, isSoakTest, isClusterTest, isFuzzTest].some((is) => is(file)),
      only,
    ),
    // Some wait for timers; meanwhile another computes.
    concurrency: availableParallelism() + 1,
    isGrouped: only.length === 0,
    timeoutMs: UNIT_TIMEOUT_MS,
  });
}

async function labTests(only: readonly string[], soakMinutes: number): Promise<void> {
  if (process.getuid?.() !== 0) {
    record(
      'lab',
      'lab tests need root, or a user namespace with all capabilities, and `unshare -Urnm` gave none: ' +
        'run `sudo npm test`, or allow unprivileged user namespaces ' +
        '(sysctl kernel.apparmor_restrict_unprivileged_userns=0)',
      performance.now(),
    );
    return;
  }
  // One at a time: each is a whole cluster, and two of them measure each other.
  // A file has several scenarios of so many minutes each, and some have a least time.
  const least = soakMinutes > 0 ? SOAK_TIMEOUT_MS : LAB_TIMEOUT_MS;
  const timeoutMs = least + soakMinutes * 5 * 60_000;
  const name = soakMinutes > 0 ? `soak, ${soakMinutes} minutes` : 'lab';
  const files = testFiles((file) => isLabTest(file) || (soakMinutes > 0 && isSoakTest(file)), only);
  const lanes = [
    { files: files.filter((file) => !runsBeside(file)), concurrency: 1 },
    // The builds first, beside tests of the agent alone. Who waits leaves the cores to another who does.
    { files: files.filter(runsBeside).reverse(), concurrency: 2 },
  ];
  const steps =
    files.length === 0 ? lanes.slice(0, 1) : lanes.filter((lane) => lane.files.length > 0);
  await Promise.all(steps.map((lane) => runTests({ name, ...lane, timeoutMs })));
}

/** One file at a time, beside whatever else runs: nothing of it waits, and nobody measures it. */
async function fuzzTests(only: readonly string[], { inputs, seconds }: FuzzRun): Promise<void> {
  process.env['AMBIT_FUZZ_INPUTS'] = String(inputs);
  process.env['AMBIT_FUZZ_SECONDS'] = String(seconds);
  const size = seconds > 0 ? `${seconds} s and at least ${inputs} inputs` : `${inputs} inputs`;
  await runTests({
    name: `fuzz, ${size}, --seed ${process.env['AMBIT_FUZZ_SEED']}`,
    files: testFiles(isFuzzTest, only),
    concurrency: 1,
    timeoutMs: inputs > FUZZ.inputs ? SOAK_FUZZ_TIMEOUT_MS : FUZZ_TIMEOUT_MS,
  });
}

/** As `fuzzTests`, of what is mutated and of what has a new name each time. */
async function multipliedTests(files: readonly string[]): Promise<void> {
  process.env['AMBIT_FUZZ_FACTOR'] = String(SOAK_FACTOR);
  await runTests({
    name: `soak, ${SOAK_FACTOR} times the inputs, --seed ${process.env['AMBIT_FUZZ_SEED']}`,
    files,
    concurrency: 1,
    timeoutMs: SOAK_FUZZ_TIMEOUT_MS,
  });
}

/** Files that are named run in the part that has them. */
async function soakTests(
  only: readonly string[],
  minutes: number,
  fuzzRun: FuzzRun,
): Promise<void> {
  process.env['AMBIT_SOAK_MINUTES'] = String(minutes);
  const multiplied = testFiles((file) => MULTIPLIED.test(file), only);
  const beside = async (): Promise<void> => {
    if (only.length === 0) {
      await fuzzTests(only, fuzzRun);
    }
    await multipliedTests(multiplied);
  };
  const isNoneOfLab = testFiles((file) => isLabTest(file) || isSoakTest(file), only).length === 0;
  await Promise.all([
    ...(isNoneOfLab && multiplied.length > 0 ? [] : [labTests(only, minutes)]),
    ...(multiplied.length > 0 ? [beside()] : []),
  ]);
}

/** Becomes root of a user namespace. Returns when that is not possible or not needed. */
function enterUserNamespace(): void {
  if (process.getuid?.() === 0) {
    return;
  }
  const prefix = ['-Urnm', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  if (spawnSync('unshare', [...prefix, 'true'], { env }).status !== 0) {
    return;
  }
  const again = [process.execPath, ...process.argv.slice(1)];
  const inside = spawnSync('unshare', [...prefix, ...again], { env, stdio: 'inherit' });
  process.exit(inside.status ?? 1);
}

interface Arguments {
  readonly tier: Tier;
  readonly minutes: number;
  /** Of the fuzz targets, in whatever time; undefined: those of the tier. */
  readonly inputs: number | undefined;
  readonly seed: number | undefined;
  readonly only: readonly string[];
}

const NUMBERS = { '--minutes': 'minutes', '--inputs': 'inputs', '--seed': 'seed' } as const;
type NumberOption = keyof typeof NUMBERS;

function parseArguments(argv: readonly string[]): Arguments {
  const only: string[] = [];
  const numbers: { -readonly [K in 'minutes' | 'inputs' | 'seed']?: number } = {};
  let tier: Tier = 'all';
  for (let i = 0; i < argv.length; i += 1) {
    const argument = argv[i] ?? '';
    if (argument in NUMBERS) {
      i += 1;
      const number = Number(argv[i]);
      if (!(number > 0)) {
        throw new Error(`${argument} takes a number above 0`);
      }
      numbers[NUMBERS[argument as NumberOption]] = number;
    } else if ((TIERS as readonly string[]).includes(argument)) {
      tier = argument as Tier;
    } else if (argument.startsWith('-')) {
      throw new Error(`unknown option "${argument}"`);
    } else {
      only.push(argument);
    }
  }
  const { minutes = SOAK_MINUTES_DEFAULT, inputs, seed } = numbers;
  return { tier, minutes, inputs, seed, only };
}

/** Of what is made by seed from then on. Seconds since the epoch, if none is asked for: another run each time. */
function useSeed(seed = Math.floor(Date.now() / 1_000)): void {
  process.env['AMBIT_FUZZ_SEED'] = String(seed);
}

async function runTier({ tier, minutes, inputs, seed, only }: Arguments): Promise<void> {
  const asked = inputs === undefined ? undefined : { inputs, seconds: 0 };
  switch (tier) {
    case 'all':
      if (only.length === 0) {
        await staticChecks();
      }
      await unitTests(only);
      useSeed(seed);
      await Promise.all([
        labTests(only, 0),
        ...(only.length === 0 ? [fuzzTests(only, asked ?? FUZZ)] : []),
      ]);
      return;
    case 'unit':
      if (only.length === 0) {
        await staticChecks();
      }
      await unitTests(only);
      return;
    case 'lab':
      await labTests(only, 0);
      return;
    case 'fuzz':
      useSeed(seed);
      await fuzzTests(only, asked ?? FUZZ);
      return;
    case 'soak':
      useSeed(seed);
      await soakTests(only, minutes, asked ?? SOAK_FUZZ);
      return;
    case 'cluster':
      await clusterTests(testFiles(isClusterTest, only));
  }
}

async function main(): Promise<void> {
  const chosen = parseArguments(process.argv.slice(2));
  const { tier } = chosen;
  if (tier !== 'unit' && tier !== 'fuzz' && tier !== 'cluster') {
    enterUserNamespace();
  }
  process.env['NODE_COMPILE_CACHE'] ??= COMPILE_CACHE;
  const startedAt = performance.now();
  await runTier(chosen);
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  printTimes();
  console.log(`\n${tier}: ${seconds} s`);
  if (failures.length > 0) {
    console.log(`failed: ${failures.join(', ')}`);
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

await main();
