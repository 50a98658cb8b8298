/**
 * Runs test files for tools/check.ts, each in a process of its own, and prints one line a file. A file without a test fails.
 */
import { join } from 'node:path';
import { run } from 'node:test';
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
  /** Ends a file with its last test, whatever that has left open. */
  readonly forceExit?: boolean;
}

/** What one test file said. Events of shared suites carry the suite's file, so counts come from the summary. */
interface FileTally {
  readonly messages: string[];
  output: string;
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

/** Runs test files, each in a process of its own; one progress line a file. */
export async function runTests({
  name,
  files,
  concurrency,
  timeoutMs,
  forceExit = false,
}: TestStep): Promise<void> {
  console.log(`${name}: ${files.length} files`);
  if (files.length === 0) {
    record(name, 'no test files found', performance.now());
    return;
  }
  const waiting = new Set(files.map((file) => join(root, file)));
  const tallies = new Map<string, FileTally>();
  const { signal } = stopping;
  const options = {
    files: [...waiting],
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
      cpuMs += countFile(path.slice(root.length + 1), fields.details?.duration_ms ?? 0);
    }
    if (type === 'test:diagnostic' || type === 'test:stdout') {
      showReports(fields.message ?? '');
    }
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
