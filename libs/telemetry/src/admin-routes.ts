/**
 * The admin pages that every program has: readiness, log levels, metrics, profiles.
 *
 * Profiles run in the thread that serves the page; one at a time, bounded in time.
 */
import { Session } from 'node:inspector/promises';

import type { Clock } from '@ambit/core';
import type { Registry } from 'prom-client';

import { type AdminRoute, textResponse } from './admin-server.ts';
import { LOG_LEVELS, LogLevelError, type LogLevels } from './log.ts';
import type { Readiness } from './readiness.ts';

const PROFILE_SECONDS_MAX = 300;
const PROFILE_SECONDS_DEFAULT = 10;

const LOGGING_USAGE = `
usage: POST /logging                                      (To list current level)
usage: POST /logging?level=<level>                        (To change global levels)
usage: POST /logging?level={scope1}:{level1},{scope2}:{level2}  (To change specific scopes' logging level)
usage: POST /logging?reset                                (To go back to the level at start)

hint: loglevel:  ${LOG_LEVELS.join('|')}
`;

export function readinessRoute(path: string, readiness: Readiness): AdminRoute {
  return {
    method: 'GET',
    path,
    summary: 'readiness, and what is pending',
    handle: () =>
      readiness.isReady
        ? textResponse('ready\n')
        : textResponse(`not ready, pending: ${readiness.pending.join(', ')}\n`, 500),
  };
}

export function loggingRoute(levels: LogLevels): AdminRoute {
  return {
    method: 'POST',
    path: '/logging',
    summary: 'show or change log levels; params: level, reset',
    handle: ({ query }) => {
      try {
        if (query.has('reset')) {
          levels.reset();
        }
        levels.apply(query.get('level') ?? '');
      } catch (error) {
        if (error instanceof LogLevelError) {
          return textResponse(`${error.message}\n${LOGGING_USAGE}`, 400);
        }
        throw error;
      }
      return textResponse(`current log level is ${levels.toString()}\n`);
    },
  };
}

/** `text` is asked at each scrape; for one registry pass `() => registry.metrics()`. */
export function metricsRoute(path: string, text: () => Promise<string>): AdminRoute {
  return {
    method: 'GET',
    path,
    summary: 'metrics in Prometheus text format',
    handle: async ({ accept }) => {
      const isOpenMetrics = accept.includes('application/openmetrics-text');
      const body = await text();
      return {
        contentType: isOpenMetrics
          ? 'application/openmetrics-text;charset=utf-8;version=1.0.0'
          : 'text/plain; charset=utf-8',
        body: body.endsWith('# EOF\n') || !isOpenMetrics ? body : `${body}# EOF\n`,
      };
    },
  };
}

export const registryText =
  (registry: Registry): (() => Promise<string>) =>
  () =>
    registry.metrics();

export function profileRoutes(clock: Clock): readonly AdminRoute[] {
  let isRunning = false;
  const exclusively = async (run: (session: Session) => Promise<string>) => {
    if (isRunning) {
      return textResponse('another profile is running, try again later\n', 409);
    }
    isRunning = true;
    const session = new Session();
    session.connect();
    try {
      return { contentType: 'application/json', body: await run(session) };
    } finally {
      session.disconnect();
      isRunning = false;
    }
  };
  return [
    {
      method: 'GET',
      path: '/debug/pprof/profile',
      summary: `CPU profile (.cpuprofile); params: seconds (1-${PROFILE_SECONDS_MAX}, default ${PROFILE_SECONDS_DEFAULT})`,
      handle: async ({ query }) => {
        const seconds = Number(query.get('seconds') ?? PROFILE_SECONDS_DEFAULT);
        if (!(seconds >= 1 && seconds <= PROFILE_SECONDS_MAX)) {
          return textResponse(`seconds is outside 1..${PROFILE_SECONDS_MAX}\n`, 400);
        }
        return await exclusively(async (session) => {
          await session.post('Profiler.enable');
          await session.post('Profiler.start');
          await clock.sleep(seconds * 1000);
          const { profile } = await session.post('Profiler.stop');
          return JSON.stringify(profile);
        });
      },
    },
    {
      method: 'GET',
      path: '/debug/pprof/heap',
      summary: 'heap snapshot (.heapsnapshot)',
      handle: () =>
        exclusively(async (session) => {
          const chunks: string[] = [];
          session.on('HeapProfiler.addHeapSnapshotChunk', (message) => {
            chunks.push(message.params.chunk);
          });
          await session.post('HeapProfiler.takeHeapSnapshot');
          return chunks.join('');
        }),
    },
  ];
}
