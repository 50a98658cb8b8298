/** One sample of an HTTP proxy: it answers and refuses as it should, then load for a fixed time between two looks at its CPU. */
import { systemClock } from '@ambit/core';
import { runH2load } from '../generators/h2load.ts';
import { requireEnforcing } from '../generators/http-status.ts';
import { requireAnswered } from '../generators/load-result.ts';
import { runOpenLoop } from '../generators/open-loop.ts';
import { runWrk } from '../generators/wrk.ts';
import type { Capacity } from '../measure/capacity.ts';
import { MANY_REQUEST, REQUEST } from '../peers/http-rules.ts';
import { LOAD, RATE_PER_SECOND } from './waypoint-cases.ts';
import type { CpuSplit, HttpCase, HttpSubject } from './waypoint-subjects.ts';

export const CONNECTIONS = 64;
export const RATE_CONNECTIONS = 4;
const PEER_START_MS = 5_000;
/** Who is idle gives back what a burst left, after some seconds. */
const SETTLE_MS = 10_000;

export interface HttpSettings {
  readonly seconds: number;
  readonly warmUpSeconds: number;
}

/** Values by the keys of the metrics. */
export async function measureHttp(
  subject: HttpSubject,
  what: HttpCase,
  settings: HttpSettings,
  capacity: Capacity,
): Promise<Record<string, number>> {
  try {
    const target = await subject.prepare(what);
    const http = target.http ?? what.http;
    if (what.load === 'idle') {
      await systemClock.sleep(SETTLE_MS);
      return { residentMegabytes: (subject.residentBytes() ?? 0) / 1e6 };
    }
    const request = what.routes === 'few' ? REQUEST : MANY_REQUEST;
    const url = `http://${target.address}:${target.port}${request.path}`;
    if (subject.subject.name !== 'direct') {
      const check = { url, http, request, timeoutMs: PEER_START_MS };
      await requireEnforcing(subject.client, check);
    }
    const load = { url, headers: request.headers, ...settings };
    const kind = `${what.way} HTTP/${what.http}`;
    if (what.load === 'rate') {
      const offered = { connections: RATE_CONNECTIONS, perSecond: RATE_PER_SECOND };
      return await measureRate(subject, http, load, offered);
    }
    if (what.load === 'share') {
      const perSecond = capacity.shareOfLeast(kind, LOAD.share);
      const offered = { connections: LOAD.connections, perSecond };
      return { ...(await measureRate(subject, http, load, offered)), perSecond };
    }
    const values = await measureSaturated(subject, http, load);
    if (what.routes === 'few' && subject.cpu() !== undefined) {
      capacity.note(kind, subject.subject.name, values['perSecond'] ?? 0);
    }
    return values;
  } finally {
    await subject.release();
  }
}

interface Load extends HttpSettings {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
}

async function measureSaturated(
  subject: HttpSubject,
  http: 1 | 2,
  { seconds, warmUpSeconds, ...to }: Load,
): Promise<Record<string, number>> {
  const run = http === 1 ? runWrk : runH2load;
  const load = { ...to, connections: CONNECTIONS };
  await run(subject.client, { ...load, seconds: warmUpSeconds });
  const before = subject.cpu();
  const result = requireAnswered(await run(subject.client, { ...load, seconds }));
  const after = subject.cpu();
  const per1000 = (from = 0, to = 0): number => ((to - from) / result.requests) * 1_000;
  return {
    ...(after === undefined ? {} : { cpuMsPer1000: per1000(before?.proxyMs, after.proxyMs) }),
    ...(after?.endsMs === undefined
      ? {}
      : { endsCpuMsPer1000: per1000(before?.endsMs, after.endsMs) }),
    perSecond: result.requests / result.seconds,
  };
}

async function measureRate(
  subject: HttpSubject,
  http: 1 | 2,
  { seconds, warmUpSeconds, ...to }: Load,
  offered: { readonly connections: number; readonly perSecond: number },
): Promise<Record<string, number>> {
  const load = { http, ...offered };
  let before: CpuSplit | undefined;
  const result = await runOpenLoop(
    subject.client,
    { ...to, ...load, seconds, warmUpSeconds },
    () => {
      before = subject.cpu();
    },
  );
  const after = subject.cpu();
  const { p50, p90, p99 } = result;
  return {
    ...{ p50, p90, p99 },
    ...(after === undefined
      ? {}
      : { cpus: (after.proxyMs - (before?.proxyMs ?? 0)) / 1_000 / seconds }),
  };
}
