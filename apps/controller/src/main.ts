/** The controller: reads its settings, starts, and stops on SIGTERM or SIGINT. */
import { systemClock } from '@ambit/core';
import { createLogger, describeError, stdoutSink } from '@ambit/telemetry';

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

const config = readConfig();
const levels = config.logLevels;
const log = createLogger({
  scope: 'controller',
  levels,
  sink: stdoutSink,
  wallNow: () => systemClock.wallNow(),
});
const controller = await Controller.create(config, { clock: systemClock, log, levels });

async function shutDown(signal: string): Promise<void> {
  log.info('stopping', { signal });
  await controller.stop();
  process.exit(0);
}

process.once('SIGTERM', (signal) => void shutDown(signal));
process.once('SIGINT', (signal) => void shutDown(signal));
await controller.start();
