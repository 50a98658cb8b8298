/** The node agent: parse settings, build, start, wait for a signal, drain, end. Or clean the node up and end. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ambit/core';
import { exitNow } from '@ambit/netns';
import { createLogger, describeError, LogLevels, stdoutSink } from '@ambit/telemetry';
import { cleanUp } from './cleanup/clean-up.ts';
import { type CleanupSettings, EXIT, HELP, parseCommandLine } from './cleanup/command-line.ts';
import { parseConfig } from './config.ts';
import { buildAgent } from './wire.ts';

function fail(what: string, error: unknown): never {
  process.stderr.write(`node-agent: ${what}: ${describeError(error)}\n`);
  process.exit(EXIT.failed);
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null && 'version' in value
    ? String(value.version)
    : 'unknown';
}

async function main(): Promise<void> {
  const args = process.argv.slice(2);
  if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
    process.stdout.write(`ambit-node-agent ${version()} (Node ${process.version})\n`);
    return;
  }
  const command = parseCommandLine(args, process.env);
  switch (command.kind) {
    case 'serve':
      await serve().catch((error: unknown) => fail('cannot start', error));
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
  const config = parseConfig(process.env);
  const levels = new LogLevels(config.logLevel);
  const log = createLogger({
    scope: 'agent',
    levels,
    sink: stdoutSink,
    wallNow: () => systemClock.wallNow(),
  });
  let signals = 0;
  const quit = (): void => {
    signals++;
    if (signals > 1) {
      exitNow(EXIT.failed);
    }
    agent.stop().then(
      () => exitNow(EXIT.ok),
      (error: unknown) => fail('cannot stop', error),
    );
  };
  const agent = buildAgent(config, { clock: systemClock, log, levels, version: version(), quit });
  process.on('SIGTERM', quit);
  process.on('SIGINT', quit);
  await agent.start();
  log.info('serving pods', { node: config.nodeName, workers: config.workers });
}

async function clean(settings: CleanupSettings): Promise<number> {
  const say = (line: string): void => void process.stdout.write(`${line}\n`);
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

main().catch((error: unknown) => fail('failed', error));
