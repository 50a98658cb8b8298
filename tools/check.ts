/**
 * `npm test` and its parts: lint, types, unit tests, lab tests. Ends with a line that CI reads.
 *
 * Usage: check.ts [all|unit|lab|soak] [--minutes N] [-- FILE…]. Every step counts as one check, so the
 * last line, `N passed, N failed`, is wrong about nothing. A step that finds nothing to run fails.
 */
import { spawn, spawnSync } from 'node:child_process';
import { globSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { run } from 'node:test';

const root = dirname(import.meta.dirname);
const bin = (name: string): string => join(root, 'node_modules', '.bin', name);
const TIERS = ['all', 'unit', 'lab', 'soak'] as const;
type Tier = (typeof TIERS)[number];

const UNIT_TIMEOUT_MS = 60_000;
const LAB_TIMEOUT_MS = 300_000;
/** What is kept of a test file's own output, shown when it fails. */
const OUTPUT_CHARS_MAX = 8_000;
const SOAK_MINUTES_DEFAULT = 10;

const counts = { passed: 0, failed: 0 };
const failures: string[] = [];

function record(name: string, failure: string | undefined, startedAt: number): void {
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

interface Command {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd?: string;
}

async function runCommand({ name, command, args, cwd = root }: Command): Promise<void> {
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
async function runAll(commands: readonly Command[]): Promise<void> {
  const queue = [...commands];
  const drainQueue = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await runCommand(next);
    }
  };
  await Promise.all([drainQueue(), drainQueue()]);
}

async function lint(): Promise<void> {
  console.log('lint');
  await runAll([
    { name: 'biome', command: bin('biome'), args: ['check', '--error-on-warnings', '.'] },
    { name: 'oxlint', command: bin('oxlint'), args: ['--type-aware', '--deny-warnings'] },
    { name: 'boundaries', command: process.execPath, args: ['tools/check-boundaries.ts'] },
  ]);
}

async function types(): Promise<void> {
  console.log('types');
  const packages = globSync('{{apps,libs}/*,bench}/tsconfig.json', { cwd: root }).sort();
  if (packages.length === 0) {
    record('types', 'no {apps,libs}/*/tsconfig.json', performance.now());
  }
  await runAll(
    packages.map((path) => ({
      name: dirname(path),
      command: bin('tsc'),
      args: ['-p', 'tsconfig.json'],
      cwd: join(root, dirname(path)),
    })),
  );
}

function describeError(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}

interface TestStep {
  readonly name: string;
  readonly files: readonly string[];
  readonly concurrency: number;
  readonly timeoutMs: number;
}

/** What one test file said. Events of shared suites carry the suite's file, so counts come from the summary. */
interface FileTally {
  readonly messages: string[];
  output: string;
}

/** The fields of node:test's events that are read here. */
interface EventFields {
  readonly file?: string;
  readonly name: string;
  readonly message?: string;
  readonly duration_ms: number;
  readonly details?: { readonly error?: Error & { failureType?: string } };
  readonly counts?: Readonly<Record<'tests' | 'passed' | 'failed' | 'cancelled', number>>;
}

interface FileResult {
  readonly passed: number;
  readonly failed: number;
  readonly durationMs: number;
}

/** Runs test files, each in a process of its own; one progress line a file. */
async function runTests({ name, files, concurrency, timeoutMs }: TestStep): Promise<void> {
  console.log(`${name}: ${files.length} files`);
  if (files.length === 0) {
    record(name, 'no test files found', performance.now());
    return;
  }
  const waiting = new Set(files.map((file) => join(root, file)));
  const tallies = new Map<string, FileTally>();
  const options = { files: [...waiting], cwd: root, concurrency, timeout: timeoutMs };
  for await (const { type, data } of run(options)) {
    const fields = data as EventFields;
    const path = fields.file ?? '';
    if (type === 'test:summary' && waiting.delete(path)) {
      const counts = fields.counts;
      const failed = (counts?.failed ?? 0) + (counts?.cancelled ?? 0);
      const result = { passed: counts?.passed ?? 0, failed, durationMs: fields.duration_ms };
      reportFile(path, tallies, result);
    } else {
      noteEvent(tallies, path, { type, fields });
    }
  }
  // A file that crashes, or holds no test, has no summary.
  for (const path of waiting) {
    reportFile(path, tallies, { passed: 0, failed: 1, durationMs: 0 });
  }
}

interface TestEvent {
  readonly type: string;
  readonly fields: EventFields;
}

function noteEvent(
  tallies: Map<string, FileTally>,
  path: string,
  { type, fields }: TestEvent,
): void {
  const tally = tallies.get(path) ?? { messages: [], output: '' };
  const error = fields.details?.error;
  if (type === 'test:stderr' || type === 'test:stdout') {
    tally.output = `${tally.output}${fields.message ?? ''}`.slice(-OUTPUT_CHARS_MAX);
  } else if (type === 'test:fail' && error?.failureType !== 'subtestsFailed') {
    tally.messages.push(`${fields.name}: ${describeError(error)}`);
  } else {
    return;
  }
  tallies.set(path, tally);
}

function reportFile(
  path: string,
  tallies: Map<string, FileTally>,
  { passed, failed, durationMs }: FileResult,
): void {
  const file = path.slice(root.length + 1);
  const isEmpty = passed + failed === 0;
  counts.passed += passed;
  counts.failed += isEmpty ? 1 : failed;
  const seconds = (durationMs / 1_000).toFixed(1);
  if (failed === 0 && !isEmpty) {
    console.log(`  ok    ${file}: ${passed} (${seconds} s)`);
    return;
  }
  failures.push(file);
  console.log(`  FAIL  ${file}: ${failed} failed, ${passed} passed (${seconds} s)`);
  // What a shared suite said stands under the suite's own file.
  const foreign = [...tallies].filter(([other]) => !other.endsWith('.test.ts'));
  for (const [other] of foreign) {
    tallies.delete(other);
  }
  const own = tallies.get(path);
  const said = [...(own === undefined ? [] : [own]), ...foreign.map(([, tally]) => tally)];
  const messages = said.flatMap((tally) => tally.messages);
  const text = messages.length === 0 ? 'no test in this file, or it crashed' : messages.join('\n');
  console.log(`${text}\n${own?.output ?? ''}`.trim().replaceAll(/^/gmu, '        '));
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
const isClusterTest = (file: string): boolean => file.endsWith('.cluster.test.ts');

async function unitTests(only: readonly string[]): Promise<void> {
  await runTests({
    name: 'unit',
    files: testFiles((file) => !isLabTest(file) && !isClusterTest(file), only),
    concurrency: availableParallelism(),
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
  // One at a time: each is a whole cluster, and two of them measure each other. Those that mostly wait run beside.
  const timeoutMs = LAB_TIMEOUT_MS + soakMinutes * 2 * 60_000;
  const name = soakMinutes > 0 ? `soak, ${soakMinutes} minutes` : 'lab';
  const files = testFiles(isLabTest, only);
  const lanes = [false, true]
    .map((waits) => files.filter((file) => file.includes('.waiting.') === waits))
    .filter((lane) => lane.length > 0);
  const steps = lanes.length === 0 ? [[]] : lanes;
  await Promise.all(
    steps.map((lane) => runTests({ name, files: lane, concurrency: 1, timeoutMs })),
  );
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
  readonly only: readonly string[];
}

function parseArguments(argv: readonly string[]): Arguments {
  const only: string[] = [];
  let tier: Tier = 'all';
  let minutes = SOAK_MINUTES_DEFAULT;
  for (let i = 0; i < argv.length; i += 1) {
    const argument = argv[i] ?? '';
    if (argument === '--minutes') {
      i += 1;
      minutes = Number(argv[i]);
    } else if ((TIERS as readonly string[]).includes(argument)) {
      tier = argument as Tier;
    } else if (argument.startsWith('-')) {
      throw new Error(`unknown option "${argument}"`);
    } else {
      only.push(argument);
    }
  }
  if (!(minutes > 0)) {
    throw new Error('--minutes takes a number above 0');
  }
  return { tier, minutes, only };
}

async function main(): Promise<void> {
  const { tier, minutes, only } = parseArguments(process.argv.slice(2));
  if (tier !== 'unit') {
    enterUserNamespace();
  }
  const startedAt = performance.now();
  if (tier === 'all' && only.length === 0) {
    await lint();
    await types();
  }
  if (tier === 'all' || tier === 'unit') {
    await unitTests(only);
  }
  if (tier === 'soak') {
    process.env['AMBIT_SOAK_MINUTES'] = String(minutes);
    await labTests(only, minutes);
  } else if (tier !== 'unit') {
    await labTests(only, 0);
  }
  const seconds = Math.round((performance.now() - startedAt) / 1_000);
  console.log(`\n${tier}: ${seconds} s`);
  if (failures.length > 0) {
    console.log(`failed: ${failures.join(', ')}`);
  }
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}

await main();
