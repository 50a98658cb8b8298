/** One sample of a tunnel: warm up, read the proxies' CPU, load for a fixed time, read it again. */
import { systemClock } from '@ambit/core';
import { holdIdleConnections } from '../generators/idle-connections.ts';
import { runIperf } from '../generators/iperf.ts';
import { requireAnswered } from '../generators/load-result.ts';
import { runOpenLoop } from '../generators/open-loop.ts';
import { type HttpLoad, runWrk } from '../generators/wrk.ts';
import type { Capacity } from '../measure/capacity.ts';
import type { Usage } from '../measure/process-usage.ts';
import { SERVER_PORTS, type TunnelSubject } from './tunnel-subjects.ts';

const GIB = 1024 ** 3;
export const KEEP_ALIVE_CONNECTIONS = 64;
/** Clients that open a connection for each request. */
export const CONNECTING = 16;
export const RATE = { connections: 4, perSecond: 1_000 } as const;
/** Of what the slowest proxy takes: two cores are then at about 60 %, with this generator, which costs more. */
export const LOAD = { connections: 8, share: 0.15 } as const;
/** Who is idle gives back what a burst left, after some seconds. */
const SETTLE_MS = 10_000;

export const TUNNEL_CASES = [
  'idle',
  'bytes-1',
  'bytes-8',
  'requests',
  'load',
  'rate',
  'connections',
] as const;
export type TunnelCase = (typeof TUNNEL_CASES)[number];

export interface TunnelSettings {
  /** Of each HAProxy, and workers of each agent. */
  readonly threads: number;
  /** Whole rounds before the first that counts. */
  readonly warmUpRounds: number;
  /** Before each sample. */
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly idleConnections: number;
}

/** Connections and a schedule. */
interface Offered {
  readonly connections: number;
  readonly perSecond: number;
}

/** Values by the keys of the suite's metrics. */
export async function measureTunnel(
  subject: TunnelSubject,
  name: TunnelCase,
  settings: TunnelSettings,
  capacity: Capacity,
): Promise<Record<string, number>> {
  await subject.prepare({ isFresh: name === 'idle' });
  try {
    switch (name) {
      case 'bytes-1':
        return await measureBytes(subject, 1, settings);
      case 'bytes-8':
        return await measureBytes(subject, 8, settings);
      case 'requests': {
        const how = { connections: KEEP_ALIVE_CONNECTIONS, headers: {} };
        const values = await measureRequests(subject, settings, how);
        if (subject.usage() !== undefined) {
          capacity.note(name, subject.subject.name, values['perSecond'] ?? 0);
        }
        return values;
      }
      case 'load': {
        const perSecond = capacity.shareOfLeast('requests', LOAD.share);
        const offered = { connections: LOAD.connections, perSecond };
        return { ...(await measureRate(subject, settings, offered)), perSecond };
      }
      case 'rate':
        return await measureRate(subject, settings, RATE);
      case 'connections':
        return await measureRequests(subject, settings, {
          connections: CONNECTING,
          headers: { Connection: 'close' },
        });
      case 'idle':
        return await measureIdle(subject, settings);
    }
  } finally {
    await subject.release();
  }
}

async function measureBytes(
  subject: TunnelSubject,
  connections: number,
  { warmUpSeconds, seconds }: TunnelSettings,
): Promise<Record<string, number>> {
  const { client, server } = subject;
  const load = { client, server, serverPort: SERVER_PORTS.bytes, connections };
  const target = subject.target('bytes');
  await runIperf({ ...load, ...target, seconds: warmUpSeconds });
  const before = subject.usage();
  const result = await runIperf({ ...load, ...target, seconds });
  const cpuMs = cpuSince(subject, before);
  return {
    ...(cpuMs === undefined ? {} : { cpuSecondsPerGib: cpuMs / 1_000 / (result.bytes / GIB) }),
    gigabitsPerSecond: (result.bytes * 8) / result.seconds / 1e9,
  };
}

async function measureRequests(
  subject: TunnelSubject,
  { warmUpSeconds, seconds }: TunnelSettings,
  how: Pick<HttpLoad, 'connections' | 'headers'>,
): Promise<Record<string, number>> {
  const { address, port } = subject.target('web');
  const load = { url: `http://${address}:${port}/`, ...how };
  await runWrk(subject.client, { ...load, seconds: warmUpSeconds });
  const before = subject.usage();
  const result = requireAnswered(await runWrk(subject.client, { ...load, seconds }));
  const cpuMs = cpuSince(subject, before);
  return {
    ...(cpuMs === undefined ? {} : { cpuMsPer1000: (cpuMs / result.requests) * 1_000 }),
    perSecond: result.requests / result.seconds,
  };
}

async function measureRate(
  subject: TunnelSubject,
  { warmUpSeconds, seconds }: TunnelSettings,
  offered: Offered,
): Promise<Record<string, number>> {
  const { address, port } = subject.target('web');
  const load = { url: `http://${address}:${port}/`, http: 1, headers: {}, ...offered } as const;
  let before: Usage | undefined;
  const result = await runOpenLoop(subject.client, { ...load, seconds, warmUpSeconds }, () => {
    before = subject.usage();
  });
  const cpuMs = cpuSince(subject, before);
  const { p50, p90, p99 } = result;
  return {
    ...{ p50, p90, p99 },
    ...(cpuMs === undefined ? {} : { cpus: cpuMs / 1_000 / seconds }),
  };
}

/** Undefined where there is no proxy. */
function cpuSince(subject: TunnelSubject, before: Usage | undefined): number | undefined {
  const after = subject.usage();
  return after === undefined || before === undefined ? undefined : after.cpuMs - before.cpuMs;
}

async function measureIdle(
  subject: TunnelSubject,
  { idleConnections }: TunnelSettings,
): Promise<Record<string, number>> {
  await systemClock.sleep(SETTLE_MS);
  const before = subject.usage()?.residentBytes ?? 0;
  if (subject.subject.name === 'bare-node') {
    return { residentMegabytes: before / 1e6 };
  }
  const after = await holdIdleConnections(
    {
      client: subject.client,
      server: subject.server,
      serverPort: SERVER_PORTS.idle,
      ...subject.target('idle'),
      connections: idleConnections,
    },
    async () => {
      await systemClock.sleep(SETTLE_MS);
      return subject.usage()?.residentBytes ?? 0;
    },
  );
  return {
    residentMegabytes: before / 2 / 1e6,
    kilobytesPerConnection: (after - before) / idleConnections / 1_000,
  };
}
