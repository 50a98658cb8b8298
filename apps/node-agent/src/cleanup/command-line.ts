/** The agent's command line. Without words it serves; settings come from the environment. Pure. */
import { isAbsolute } from 'node:path';
import { parseArgs } from 'node:util';
import type { Environment } from '@ambit/core';

export const EXIT = { ok: 0, failed: 1, usage: 2, agentRuns: 3 } as const;

export const HELP = `usage: node-agent [--version]
       node-agent cleanup [--run-dir DIR] [--host-netns PATH] [--stop]

Without a command: serves the pods of this node, with settings from the environment.

cleanup: takes everything of the agent off this node, for good: the rules, routes and settings in every pod that
it captured, the node's rule for probes, the files in its run directory, and the CNI plugin where AMBIT_CNI_BIN_DIR and
AMBIT_CNI_CONF_DIR say it is. Afterwards the pods' traffic is plain, as without a
mesh. Needs no controller and may be repeated.

  --run-dir DIR      of the agent; default AMBIT_RUN_DIR or /var/run/ambit
  --host-netns PATH  of the node; default AMBIT_HOST_NETNS or /proc/self/ns/net
  --stop             end an agent that still serves first, instead of refusing
  --help             this text

exit codes: 0 nothing is left, 1 something is left (said on stderr; run it again), 2 wrong usage, 3 an agent serves
`;

export interface CleanupSettings {
  readonly runDir: string;
  readonly hostNetns: string;
  /** Where the node's proc is mounted, if not at /proc. */
  readonly hostProc?: string;
  /** Absent: there is no CNI plugin to take away. */
  readonly cni?: { readonly binDir: string; readonly confDir: string };
  readonly stopsAgent: boolean;
}

export type CommandLine =
  | { readonly kind: 'serve' }
  | { readonly kind: 'help' }
  | { readonly kind: 'cleanup'; readonly settings: CleanupSettings }
  | { readonly kind: 'wrong'; readonly problem: string };

/** `argv` without the program's own name. */
export function parseCommandLine(argv: readonly string[], env: Environment): CommandLine {
  let values: Readonly<Record<string, string | boolean | undefined>>;
  let words: readonly string[];
  try {
    ({ values, positionals: words } = parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        'run-dir': { type: 'string' },
        'host-netns': { type: 'string' },
        stop: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }));
  } catch (error) {
    return { kind: 'wrong', problem: error instanceof Error ? error.message : String(error) };
  }
  if (values['help'] === true) {
    return { kind: 'help' };
  }
  const [command, ...more] = words;
  if (command === undefined) {
    const [option] = Object.keys(values);
    return option === undefined
      ? { kind: 'serve' }
      : { kind: 'wrong', problem: `--${option} is an option of cleanup` };
  }
  if (command !== 'cleanup' || more.length > 0) {
    return { kind: 'wrong', problem: `found "${words.join(' ')}", want cleanup or nothing` };
  }
  return cleanupOf(values, env);
}

function cleanupOf(
  values: Readonly<Record<string, string | boolean | undefined>>,
  env: Environment,
): CommandLine {
  const path = (option: string, variable: string, fallback: string): string =>
    String(values[option] ?? (env[variable] || fallback));
  const binDir = env['AMBIT_CNI_BIN_DIR'] ?? '';
  const confDir = env['AMBIT_CNI_CONF_DIR'] ?? '';
  const hostProc = env['AMBIT_HOST_PROC'] ?? '';
  const settings = {
    runDir: path('run-dir', 'AMBIT_RUN_DIR', '/var/run/ambit'),
    hostNetns: path('host-netns', 'AMBIT_HOST_NETNS', '/proc/self/ns/net'),
    ...(hostProc === '' ? {} : { hostProc }),
    ...(binDir === '' || confDir === '' ? {} : { cni: { binDir, confDir } }),
    stopsAgent: values['stop'] === true,
  };
  const wrong = [settings.runDir, settings.hostNetns].find((found) => !isAbsolute(found));
  return wrong === undefined
    ? { kind: 'cleanup', settings }
    : { kind: 'wrong', problem: `found "${wrong}", want a path that begins with /` };
}
