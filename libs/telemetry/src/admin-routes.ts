/**
 * The admin pages that every program has: readiness, log levels, metrics, profiles.
 *
 * Profiles are of the thread that serves the page, and of heaps of any thread that is asked for: connections and requests are held
 * by workers. One at a time, bounded in time.
 */
import { Session } from 'node:inspector/promises';
import type { Readable } from 'node:stream';
import { getHeapSnapshot } from 'node:v8';

import type { Clock } from '@ambit/core';
import type { Registry } from 'prom-client';

import { type AdminResponse, type AdminRoute, textResponse } from './admin-server.ts';
import { LOG_LEVELS, LogLevelError, type LogLevels } from './log.ts';
import type { Readiness } from './readiness.ts';

const PROFILE_SECONDS_MAX = 300;
const PROFILE_SECONDS_DEFAULT = 10;
const MAIN_THREAD = 'main';
/** A thread that turns in a loop never takes a snapshot, nor does one that ends meanwhile. */
const SNAPSHOT_MS_MAX = 60_000;

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

/** Takes a snapshot of the heap of a thread that lives, by the thread's name. Stops that thread meanwhile. */
export type ThreadHeaps = ReadonlyMap<string, () => Promise<Readable>>;

/** `workers`: the threads that there are now beside the one that serves the page. */
export function profileRoutes(
  clock: Clock,
  workers: () => ThreadHeaps = () => new Map(),
): readonly AdminRoute[] {
  let isRunning = false;
  const exclusively = async (run: () => Promise<AdminResponse>): Promise<AdminResponse> => {
    if (isRunning) {
      return textResponse('another profile is running, try again later\n', 409);
    }
    isRunning = true;
    try {
      return await run();
    } finally {
      isRunning = false;
    }
  };
  return [
    {
      method: 'GET',
      path: '/debug/pprof/profile',
      summary: `CPU profile (.cpuprofile) of the main thread; params: seconds (1-${PROFILE_SECONDS_MAX}, default ${PROFILE_SECONDS_DEFAULT})`,
      handle: async ({ query }) => {
        const seconds = Number(query.get('seconds') ?? PROFILE_SECONDS_DEFAULT);
        if (!(seconds >= 1 && seconds <= PROFILE_SECONDS_MAX)) {
          return textResponse(`seconds is outside 1..${PROFILE_SECONDS_MAX}\n`, 400);
        }
        return await exclusively(async () => await cpuProfile(clock, seconds));
      },
    },
    {
      method: 'GET',
      path: '/debug/pprof/heap',
      summary: `heap snapshot (.heapsnapshot) of a thread, which stops meanwhile; params: thread (${MAIN_THREAD}, worker-0, …, default ${MAIN_THREAD})`,
      handle: async ({ query }) => {
        const name = query.get('thread') ?? MAIN_THREAD;
        const heaps: ThreadHeaps = new Map([
          [MAIN_THREAD, () => Promise.resolve(getHeapSnapshot())],
          ...workers(),
        ]);
        const take = heaps.get(name);
        if (take === undefined) {
          return textResponse(`no such thread, there are ${[...heaps.keys()].join(', ')}\n`, 400);
        }
        return await exclusively(async () => await heapSnapshot(clock, take));
      },
    },
  ];
}

async function cpuProfile(clock: Clock, seconds: number): Promise<AdminResponse> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await clock.sleep(seconds * 1000);
    const { profile } = await session.post('Profiler.stop');
    return { contentType: 'application/json', body: JSON.stringify(profile) };
  } finally {
    session.disconnect();
  }
}

/** In memory outside of heaps, of which the main thread's is small. */
async function heapSnapshot(clock: Clock, take: () => Promise<Readable>): Promise<AdminResponse> {
  const over = new AbortController();
  const taken = take();
  const late = clock.sleep(SNAPSHOT_MS_MAX, over.signal).then(() => undefined);
  // Ended by `over`: the snapshot came first.
  late.catch(() => undefined);
  try {
    const snapshot = await Promise.race([taken, late]);
    if (snapshot === undefined) {
      // One that comes later is nobody's.
      taken.then(
        (stream) => stream.destroy(),
        () => undefined,
      );
      return textResponse(`the thread took no snapshot within ${SNAPSHOT_MS_MAX} ms\n`, 504);
    }
    const chunks: Uint8Array[] = await snapshot.toArray();
    return { contentType: 'application/json', body: Buffer.concat(chunks) };
  } finally {
    over.abort();
  }
}
