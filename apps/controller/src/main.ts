/** The controller: reads its settings, starts, and stops on SIGTERM or SIGINT. */
import { readFileSync } from 'node:fs';
import { systemClock } from '@ambit/core';
import {
  answerAndExit,
  createLogger,
  createRegistry,
  describeError,
  stdoutSink,
} from '@ambit/telemetry';

import { type ControllerConfig, parseConfig } from './config.ts';
import { Controller } from './wire.ts';

const EXIT_CONFIG = 78;

function readConfig(): ControllerConfig {
  try {
    return parseConfig(process.env);
  } catch (error) {
    process.stderr.write(`ambit-controller: ${describeError(error)}\n`);
    process.exit(EXIT_CONFIG);
  }
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

answerAndExit(process.argv.slice(2), {
  name: 'ambit-controller',
  version: version(),
  summary:
    'turns objects into configuration, and serves it and certificates to agents and waypoints.',
  required: [
    'AMBIT_CONFIG_DIRS (or AMBIT_CONFIG_SOURCE=kubernetes, POD_NAME, POD_NAMESPACE, AMBIT_WAYPOINT_IMAGE)',
  ],
});
const config = readConfig();
const levels = config.logLevels;
const log = createLogger({
  scope: 'controller',
  levels,
  sink: stdoutSink,
  wallNow: () => systemClock.wallNow(),
});
const controller = await Controller.create(config, {
  clock: systemClock,
  log,
  levels,
  registry: createRegistry(),
});

async function shutDown(signal: string): Promise<void> {
  log.info('stopping', { signal });
  await controller.stop();
  process.exit(0);
}

process.once('SIGTERM', (signal) => void shutDown(signal));
process.once('SIGINT', (signal) => void shutDown(signal));
await controller.start();
