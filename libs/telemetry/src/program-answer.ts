/** `--version` and `--help` of the programs that take their settings from the environment and have no other argument. */
import { writeSync } from 'node:fs';

export interface ProgramFacts {
  /** As in its container image, `ambit-waypoint`. */
  readonly name: string;
  readonly version: string;
  /** One sentence. */
  readonly summary: string;
  /** Settings without which it does not start. */
  readonly required: readonly string[];
}

export interface ProgramAnswer {
  readonly text: string;
  /** 0, or 2 for wrong usage. */
  readonly exitCode: number;
}

const EXIT_USAGE = 2;
const STDOUT = 1;
const STDERR = 2;
const SHOWN_CHARS_MAX = 80;

/** What to print instead of running; undefined when the program shall run. `args` as in `process.argv.slice(2)`. */
export function answerArguments(
  args: readonly string[],
  facts: ProgramFacts,
): ProgramAnswer | undefined {
  const [first] = args;
  if (first === undefined) {
    return undefined;
  }
  if (args.length === 1 && (first === '--version' || first === '-V')) {
    return { text: `${facts.name} ${facts.version} (Node ${process.version})\n`, exitCode: 0 };
  }
  if (args.length === 1 && (first === '--help' || first === '-h')) {
    return { text: helpText(facts), exitCode: 0 };
  }
  const unknown = args.find((arg) => !['--version', '-V', '--help', '-h'].includes(arg)) ?? first;
  const text = `${facts.name}: unknown argument "${unknown.slice(0, SHOWN_CHARS_MAX)}"; allowed: --version, --help (settings are environment variables)\n`;
  return { text, exitCode: EXIT_USAGE };
}

/** Prints the answer and ends the process, or returns when the program shall run. */
export function answerAndExit(args: readonly string[], facts: ProgramFacts): void {
  const answer = answerArguments(args, facts);
  if (answer !== undefined) {
    writeSync(answer.exitCode === 0 ? STDOUT : STDERR, answer.text);
    process.exit(answer.exitCode);
  }
}

function helpText({ name, summary, required }: ProgramFacts): string {
  return `${name}: ${summary}

Usage: ${name} [--version | --help]

Settings are environment variables. Required: ${required.join(', ')}.
SIGTERM drains and ends it; a second one ends it now.
`;
}
