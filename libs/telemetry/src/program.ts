/** What every proxy's main does: log, start, drain at the first signal, end at the second. */
import { readFileSync } from 'node:fs';
import { createLogger, describeError, type Logger, LogLevels, stdoutSink } from './log.ts';

const EXIT_OK = 0;
const EXIT_FAILED = 1;

export interface Program {
  start(): Promise<void>;
  /** Drains; idempotent. */
  stop(): Promise<void>;
}

export interface ProgramSurroundings {
  readonly log: Logger;
  readonly levels: LogLevels;
  /** As a signal does. */
  readonly quit: () => void;
}

export interface ProgramOptions {
  /** Before every message on standard error. */
  readonly name: string;
  /** Of its log. */
  readonly scope: string;
  readonly logLevel: string;
  readonly wallNow: () => number;
  readonly build: (around: ProgramSurroundings) => Program;
  /** Ends the process; default `process.exit`. */
  readonly exit?: (status: number) => never;
}

/** Resolves with the program's log when it has started. What it throws is the caller's to report. */
export async function runProgram(options: ProgramOptions): Promise<Logger> {
  const { name, scope, logLevel, wallNow, build } = options;
  const exit = options.exit ?? ((status: number): never => process.exit(status));
  const levels = new LogLevels(logLevel);
  const log = createLogger({ scope, levels, sink: stdoutSink, wallNow });
  let signals = 0;
  const quit = (): void => {
    signals += 1;
    if (signals > 1) {
      exit(EXIT_FAILED);
    }
    program.stop().then(
      () => exit(EXIT_OK),
      (error: unknown) => failProgram(name, 'cannot stop', error),
    );
  };
  const program = build({ log, levels, quit });
  process.on('SIGTERM', quit);
  process.on('SIGINT', quit);
  await program.start();
  return log;
}

/** One line on standard error, and exit code 1. */
export function failProgram(name: string, what: string, error: unknown): never {
  process.stderr.write(`${name}: ${what}: ${describeError(error)}\n`);
  process.exit(EXIT_FAILED);
}

/** Of a `package.json`. */
export function packageVersion(manifest: URL): string {
  const value: unknown = JSON.parse(readFileSync(manifest, 'utf8'));
  return typeof value === 'object' && value !== null && 'version' in value
    ? String(value.version)
    : 'unknown';
}
