/** The waypoint: parse settings, build, start, wait for a signal, drain, end. */
import { systemClock } from '@ambit/core';
import { trimMemory } from '@ambit/netns';
import {
  answerAndExit,
  failProgram,
  IdleCollector,
  packageVersion,
  readContainerLimits,
  runProgram,
} from '@ambit/telemetry';
import { parseConfig } from './config.ts';
import { buildWaypoint } from './wire.ts';

async function main(): Promise<void> {
  const version = packageVersion(new URL('../package.json', import.meta.url));
  answerAndExit(process.argv.slice(2), {
    name: 'ambit-waypoint',
    version,
    summary:
      'the HTTP proxy of a namespace: waypoint of the services and workloads that a Gateway names.',
    required: ['GATEWAY', 'POD_NAME', 'POD_NAMESPACE', 'SERVICE_ACCOUNT'],
  });
  const config = parseConfig(process.env, readContainerLimits());
  const { memoryBytes } = config.limits;
  const memory = { memoryLimitBytes: memoryBytes, onCollected: trimMemory };
  new IdleCollector({ clock: systemClock, ...memory }).start();
  await runProgram({
    name: 'waypoint',
    scope: 'waypoint',
    logLevel: config.logLevel,
    wallNow: () => systemClock.wallNow(),
    build: (around) => buildWaypoint(config, { ...around, clock: systemClock, version }),
  });
}

main().catch((error: unknown) => failProgram('waypoint', 'cannot start', error));
