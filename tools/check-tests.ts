/**
 * Runs test files for tools/check.ts, each in a process of its own or several in one, and prints one line a process. A file
 * without a test fails.
 */
import { join } from 'node:path';
import { run } from 'node:test';
import { groupFiles, ofOne, type TestGroup } from './check-groups.ts';
import { counts, failures, record, root } from './check-report.ts';
import { countFile, countStep, startCounting } from './check-times.ts';

const stopping = new AbortController();

/** Ends the processes of test files that run, for a run that was told to end. */
export function stopTests(): void {
  stopping.abort();
}

/** What is kept of a test file's own output, shown when it fails. */
const OUTPUT_CHARS_MAX = 8_000;

/**
 * How a diagnostic of a test, or a line that it prints, begins that is shown though the test passes: what it has measured. A
 * line is shown as it comes, so that a long run says how far it is.
 */
const REPORT = 'report: ';

function describeError(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}

export interface TestStep {
  readonly name: string;
  readonly files: readonly string[];
  readonly concurrency: number;
  readonly timeoutMs: number;
  /** Files that may share a process do. */
  readonly isGrouped?: boolean;
  /** Ends a file with its last test, whatever that has left open. */
  readonly forceExit?: boolean;
}

/** What one test file said. Events of shared suites carry the suite's file, so counts come from the summary. */
interface FileTally {
  readonly messages: string[];
  output: string;
}

/** What was heard so far, by file. */
interface Told {
  readonly tallies: Map<string, FileTally>;
  /** Files with a test that has ended. */
  readonly seen: Set<string>;
}

/** The fields of node:test's events that are read here. */
interface EventFields {
  readonly file?: string;
  readonly nesting?: number;
  readonly name: string;
  readonly message?: string;
  readonly duration_ms: number;
  readonly details?: {
    readonly error?: Error & { failureType?: string };
    readonly duration_ms?: number;
  };
  readonly counts?: Readonly<Record<'tests' | 'passed' | 'failed' | 'cancelled', number>>;
}

interface FileResult {
  readonly passed: number;
  readonly failed: number;
  readonly durationMs: number;
}

/** One progress line a process. */
export async function runTests({
  name,
  files,
  concurrency,
  timeoutMs,
  isGrouped = false,
  forceExit = false,
}: TestStep): Promise<void> {
  console.log(`${name}: ${files.length} files`);
  if (files.length === 0) {
    record(name, 'no test files found', performance.now());
    return;
  }
  const groups = isGrouped ? groupFiles(files) : files.map(ofOne);
  const waiting = new Map(groups.map((group) => [group.path, group]));
  const names = new Map(groups.map((group) => [group.path, group.name]));
  const told: Told = { tallies: new Map(), seen: new Set() };
  const { signal } = stopping;
  const options = {
    files: groups.map(({ path }) => path),
    cwd: root,
    concurrency,
    timeout: timeoutMs,
    signal,
    forceExit,
  };
  const startedAt = performance.now();
  let cpuMs = 0;
  startCounting();
  for await (const { type, data } of run(options)) {
    const fields = data as EventFields;
    const path = fields.file ?? '';
    // The process of a file counts as a test of its name, and this event comes as soon as it ends.
    if (type === 'test:complete' && fields.nesting === 0 && fields.name === path) {
      cpuMs += countFile(names.get(path) ?? path, fields.details?.duration_ms ?? 0);
    }
    if (type === 'test:diagnostic' || type === 'test:stdout') {
      showReports(fields.message ?? '');
    }
    const group = waiting.get(path);
    if (type === 'test:summary' && group !== undefined) {
      waiting.delete(path);
      const counts = fields.counts;
      const failed = (counts?.failed ?? 0) + (counts?.cancelled ?? 0);
      const result = { passed: counts?.passed ?? 0, failed, durationMs: fields.duration_ms };
      reportGroup(group, told, result);
    } else {
      noteEvent(told, path, { type, fields });
    }
  }
  // A file that crashes, or holds no test, has no summary.
  for (const group of waiting.values()) {
    reportGroup(group, told, { passed: 0, failed: 1, durationMs: 0 });
  }
  countStep(`${name}: ${files.length} files`, { wallMs: performance.now() - startedAt, cpuMs });
}

function showReports(text: string): void {
  for (const line of text.split('\n')) {
    if (line.startsWith(REPORT)) {
      console.log(`        ${line.slice(REPORT.length).trimEnd()}`);
    }
  }
}

interface TestEvent {
  readonly type: string;
  readonly fields: EventFields;
}

function noteEvent({ tallies, seen }: Told, path: string, { type, fields }: TestEvent): void {
  const tally = tallies.get(path) ?? { messages: [], output: '' };
  const error = fields.details?.error;
  if (type === 'test:pass' || type === 'test:fail') {
    seen.add(path);
  }
  if (type === 'test:stderr' || type === 'test:stdout') {
    tally.output = `${tally.output}${fields.message ?? ''}`.slice(-OUTPUT_CHARS_MAX);
  } else if (type === 'test:fail' && error?.failureType !== 'subtestsFailed') {
    tally.messages.push(`${fields.name}: ${describeError(error)}`);
  } else {
    return;
  }
  tallies.set(path, tally);
}

function reportGroup(
  group: TestGroup,
  told: Told,
  { passed, failed, durationMs }: FileResult,
): void {
  const { name, path } = group;
  const seconds = (durationMs / 1_000).toFixed(1);
  const empty = emptyOnes(group, told, passed + failed);
  counts.passed += passed;
  counts.failed += failed + empty.length;
  if (failed === 0 && empty.length === 0) {
    console.log(`  ok    ${name}: ${passed} (${seconds} s)`);
    return;
  }
  console.log(`  FAIL  ${name}: ${failed} failed, ${passed} passed (${seconds} s)`);
  const messages = messagesOf(group, told);
  messages.push(...empty.map((file) => `no test in ${file}, or it crashed`));
  const text = messages.length === 0 ? 'no test in this file, or it crashed' : messages.join('\n');
  const { output = '' } = told.tallies.get(path) ?? {};
  console.log(`${text}\n${output}`.trim().replaceAll(/^/gmu, '        '));
}

/** Files of a group of which no test was heard. */
function emptyOnes({ name, files }: TestGroup, { seen }: Told, tests: number): readonly string[] {
  if (files.length === 1 || tests === 0) {
    return tests === 0 ? [name] : [];
  }
  return files.filter((file) => !seen.has(join(root, file)));
}

/** What failed, and in which file; notes the files. What a shared suite said stands under the suite's own file. */
function messagesOf({ name, files }: TestGroup, { tallies }: Told): string[] {
  const foreign = [...tallies].filter(([other]) => !/\.test\.ts$|\.mjs$/.test(other));
  const messages = foreign.flatMap(([other, tally]) => {
    tallies.delete(other);
    return tally.messages;
  });
  const failed = files.filter((file) => (tallies.get(join(root, file))?.messages.length ?? 0) > 0);
  failures.push(...(failed.length === 0 ? [name] : failed));
  const prefix = (file: string): string => (files.length === 1 ? '' : `${file}: `);
  for (const file of failed) {
    const own = tallies.get(join(root, file))?.messages ?? [];
    messages.push(...own.map((message) => `${prefix(file)}${message}`));
  }
  return messages;
}
