/** The node agent: parse settings, build, start, wait for a signal, drain, end. Or clean the node up and end. */
import { systemClock } from '@ambit/core';
import { exitNow, trimMemory, useProcDir } from '@ambit/netns';
import {
  describeHeaps,
  failProgram,
  IdleCollector,
  packageVersion,
  readContainerLimits,
  runProgram,
} from '@ambit/telemetry';
import { cleanUp } from './cleanup/clean-up.ts';
import { type CleanupSettings, EXIT, HELP, parseCommandLine } from './cleanup/command-line.ts';
import { parseConfig } from './config.ts';
import { buildAgent } from './wire.ts';

const NAME = 'node-agent';
const VERSION = packageVersion(new URL('../package.json', import.meta.url));

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    process.stdout.write(`ambit-node-agent ${VERSION} (Node ${process.version})\n`);
    return;
  }
  const command = parseCommandLine(args, process.env);
  switch (command.kind) {
    case 'serve':
      await serve().catch((error: unknown) => failProgram(NAME, 'cannot start', error));
      break;
    case 'cleanup':
      process.exitCode = await clean(command.settings);
      break;
    case 'help':
      process.stdout.write(HELP);
      break;
    case 'wrong':
      process.stderr.write(`node-agent: ${command.problem}\n\n${HELP}`);
      process.exitCode = EXIT.usage;
  }
}

async function serve(): Promise<void> {
  const config = parseConfig(process.env, readContainerLimits());
  useProcDir(config.hostProc);
  const log = await runProgram({
    name: NAME,
    scope: 'agent',
    logLevel: config.logLevel,
    wallNow: () => systemClock.wallNow(),
    build: (around) => buildAgent(config, { ...around, clock: systemClock, version: VERSION }),
    exit: exitNow,
  });
  const { memoryBytes } = config.limits;
  const memory = { memoryLimitBytes: memoryBytes, onCollected: trimMemory };
  new IdleCollector({ clock: systemClock, ...memory }).start();
  log.info('serving pods', { node: config.nodeName, ...describeHeaps(config) });
}

async function clean(settings: CleanupSettings): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
  useProcDir(settings.hostProc ?? '/proc');
  const outcome = await cleanUp({ ...settings, clock: systemClock, say });
  switch (outcome.kind) {
    case 'clean':
      say('nothing of the agent is left on this node');
      return EXIT.ok;
    case 'agent-runs':
      process.stderr.write(
        `node-agent: an agent serves at ${outcome.socket}: end it first, or use --stop\n`,
      );
      return EXIT.agentRuns;
    case 'left':
      for (const problem of outcome.problems) {
        process.stderr.write(`node-agent: left: ${problem}\n`);
      }
      return EXIT.failed;
  }
}

main().catch((error: unknown) => failProgram(NAME, 'failed', error));
