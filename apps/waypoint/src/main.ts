/** The waypoint: parse settings, build, start, wait for a signal, drain, end. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ambit/core';
import {
  answerAndExit,
  createLogger,
  describeError,
  LogLevels,
  stdoutSink,
} from '@ambit/telemetry';
import { parseConfig } from './config.ts';
import { buildWaypoint } from './wire.ts';

const EXIT_FAILED = 1;

function fail(what: string, error: unknown): never {
  process.stderr.write(`waypoint: ${what}: ${describeError(error)}\n`);
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
  answerAndExit(process.argv.slice(2), {
    name: 'ambit-waypoint',
    version: version(),
    summary:
      'the HTTP proxy of a namespace: waypoint of the services and workloads that a Gateway names.',
    required: ['GATEWAY', 'POD_NAME', 'POD_NAMESPACE', 'SERVICE_ACCOUNT'],
  });
  const config = parseConfig(process.env);
  const levels = new LogLevels(config.logLevel);
  const log = createLogger({
    scope: 'waypoint',
    levels,
    sink: stdoutSink,
    wallNow: () => systemClock.wallNow(),
  });
  let signals = 0;
  const quit = (): void => {
    signals += 1;
    if (signals > 1) {
      process.exit(EXIT_FAILED);
    }
    waypoint.stop().then(
      () => process.exit(0),
      (error: unknown) => fail('cannot stop', error),
    );
  };
  const waypoint = buildWaypoint(config, {
    clock: systemClock,
    log,
    levels,
    version: version(),
    quit,
  });
  process.on('SIGTERM', quit);
  process.on('SIGINT', quit);
  await waypoint.start();
}

main().catch((error: unknown) => fail('cannot start', error));
