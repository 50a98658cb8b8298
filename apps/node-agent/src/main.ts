/** The node agent: parse settings, build, start, wait for a signal, drain, end. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ambit/core';
import { exitNow } from '@ambit/netns';
import { createLogger, describeError, LogLevels, stdoutSink } from '@ambit/telemetry';
import { parseConfig } from './config.ts';
import { buildAgent } from './wire.ts';

const EXIT_FAILED = 1;

function fail(what: string, error: unknown): never {
  process.stderr.write(`node-agent: ${what}: ${describeError(error)}\n`);
  process.exit(EXIT_FAILED);
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  const value: unknown = JSON.parse(text);
  return typeof value === 'object' && value !== null && 'version' in value
    ? String(value.version)
    : 'unknown';
}

async function main(): Promise<void> {
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
      exitNow(EXIT_FAILED);
    }
    agent.stop().then(
      () => exitNow(0),
      (error: unknown) => fail('cannot stop', error),
    );
  };
  const agent = buildAgent(config, { clock: systemClock, log, levels, version: version(), quit });
  process.on('SIGTERM', quit);
  process.on('SIGINT', quit);
  await agent.start();
  log.info('serving pods', { node: config.nodeName, workers: config.workers });
}

main().catch((error: unknown) => fail('cannot start', error));
