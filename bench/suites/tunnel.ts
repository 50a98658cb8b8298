/**
 * The tunnel: what it costs to carry bytes, small requests, new connections and idle connections from pod to pod.
 *
 * CPU is that of the two proxies together; generator and server are not counted, but share the machine.
 */
import { availableParallelism } from 'node:os';
import { systemClock } from '@ambit/core';
import { holdIdleConnections } from '../generators/idle-connections.ts';
import { runIperf } from '../generators/iperf.ts';
import { requireAnswered } from '../generators/load-result.ts';
import { type HttpLoad, runWrk } from '../generators/wrk.ts';
import type { Usage } from '../measure/process-usage.ts';
import { type Program, temporaryFolder } from '../measure/program.ts';
import type { Metric } from '../measure/result.ts';
import { runRounds } from '../measure/rounds.ts';
import { startOrigin } from '../peers/nginx.ts';
import { writeTlsFiles } from '../peers/tls-files.ts';
import { ensureTools, toolVersion } from '../peers/tools.ts';
import { type BenchLab, CONGESTION, holderPod, MESH, namespaceYaml, PLAIN } from './bench-lab.ts';
import { startBenchLab } from './mesh-start.ts';
import type { Suite, SuiteOptions, SuiteResult } from './suite.ts';
import {
  ambitSubject,
  directSubject,
  haproxySubject,
  SERVER_PORTS,
  type TunnelSubject,
} from './tunnel-subjects.ts';

const GIB = 1024 ** 3;
const KEEP_ALIVE_CONNECTIONS = 64;
/** Of the generator that opens a connection for each request. */
const CONNECTING = 16;
const SETTLE_MS = 1_000;

const CASES = ['idle', 'bytes-1', 'bytes-8', 'requests', 'connections'] as const;
type Case = (typeof CASES)[number];

interface Settings {
  readonly threads: number;
  readonly warmUpSeconds: number;
  readonly seconds: number;
  readonly idleConnections: number;
}

const metric = (
  caseName: Case,
  key: string,
  title: string,
  digits: number,
  better: Metric['better'] = 'lower',
): Metric => ({ case: caseName, key, title, digits, better });

const METRICS: readonly Metric[] = [
  metric('bytes-1', 'cpuSecondsPerGib', 'CPU-s per GiB, 1 connection', 2),
  metric('bytes-8', 'cpuSecondsPerGib', 'CPU-s per GiB, 8 connections', 2),
  metric('bytes-1', 'gigabitsPerSecond', 'Gb/s, 1 connection', 1, 'higher'),
  metric('bytes-8', 'gigabitsPerSecond', 'Gb/s, 8 connections', 1, 'higher'),
  metric('requests', 'cpuMsPer1000', 'CPU-ms per 1000 requests of 1 KB', 1),
  metric('requests', 'perSecond', 'requests per second', 0, 'higher'),
  metric('connections', 'cpuMsPer1000', 'CPU-ms per 1000 new connections, 1 request each', 0),
  metric('connections', 'perSecond', 'new connections per second', 0, 'higher'),
  metric('idle', 'residentMegabytes', 'RSS of one idle proxy, MB', 1),
  metric('idle', 'kilobytesPerConnection', 'KB per idle connection, both ends', 1),
];

export const runTunnel: Suite = async (options) => {
  ensureTools(['haproxy', 'nginx', 'wrk', 'iperf3'], options.onProgress);
  const settings = settingsOf(options);
  using folder = temporaryFolder();
  const { lab: started, skipped } = await startBenchLab(options, {
    extraEnv: { agent: { AMBIT_WORKERS: String(settings.threads) } },
    plainYaml: PLAIN_YAML,
    meshYaml: MESH_YAML,
    check: async (lab) => await lab.waitForAgents(),
  });
  await using lab = started;
  const hasMesh = lab.lab.mesh !== undefined;
  const origins = await startOrigins(lab, folder.path, hasMesh);
  try {
    const subjects: TunnelSubject[] = [
      directSubject(lab),
      haproxySubject(lab, {
        folder: folder.path,
        tls: writeTlsFiles(folder.path),
        threads: settings.threads,
        version: toolVersion('haproxy', '-v'),
      }),
      ...(hasMesh ? [ambitSubject(lab, { workers: settings.threads, version: '' })] : []),
    ];
    const { samples, failures } = await runRounds({
      rounds: options.rounds,
      cases: CASES,
      subjectsOf: (name) =>
        subjects
          .map(({ subject }) => subject.name)
          .filter((subject) => name !== 'idle' || subject !== 'direct'),
      measure: async (name, subject) => {
        const found = subjects.find((one) => one.subject.name === subject);
        if (found === undefined) {
          throw new Error(`no subject ${subject}`);
        }
        return await measureOne(found, name as Case, settings);
      },
      onProgress: options.onProgress,
    });
    return {
      settings: { ...describe(settings), congestionControl: `${CONGESTION}, by route` },
      subjects: subjects.map(({ subject }) => subject),
      skipped,
      metrics: METRICS,
      samples,
      failures,
    };
  } finally {
    await Promise.all(origins.map(async (origin) => await origin.stop()));
  }
};

async function measureOne(
  subject: TunnelSubject,
  name: Case,
  settings: Settings,
): Promise<Record<string, number>> {
  await subject.prepare({ isFresh: name === 'idle' });
  try {
    switch (name) {
      case 'bytes-1':
        return await measureBytes(subject, 1, settings);
      case 'bytes-8':
        return await measureBytes(subject, 8, settings);
      case 'requests':
        return await measureRequests(subject, settings, {
          connections: KEEP_ALIVE_CONNECTIONS,
          headers: {},
        });
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
  { warmUpSeconds, seconds }: Settings,
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
  { warmUpSeconds, seconds }: Settings,
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

/** Undefined where there is no proxy. */
function cpuSince(subject: TunnelSubject, before: Usage | undefined): number | undefined {
  const after = subject.usage();
  return after === undefined || before === undefined ? undefined : after.cpuMs - before.cpuMs;
}

async function measureIdle(
  subject: TunnelSubject,
  { idleConnections }: Settings,
): Promise<Record<string, number>> {
  await systemClock.sleep(SETTLE_MS);
  const before = subject.usage()?.residentBytes ?? 0;
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

function settingsOf({ quick }: SuiteOptions): Settings {
  return {
    threads: Math.min(2, availableParallelism()),
    warmUpSeconds: 1,
    seconds: quick ? 1 : 4,
    idleConnections: quick ? 500 : 4_000,
  };
}

function describe(settings: Settings): SuiteResult['settings'] {
  return {
    ...settings,
    keepAliveConnections: KEEP_ALIVE_CONNECTIONS,
    connectingClients: CONNECTING,
    iperf3: toolVersion('iperf3', '--version'),
    wrk: toolVersion('wrk', '-v'),
    origin: `nginx ${toolVersion('nginx', '-v')}`,
  };
}

async function startOrigins(lab: BenchLab, folder: string, hasMesh: boolean): Promise<Program[]> {
  const pods = [`${PLAIN}/server`, ...(hasMesh ? [`${MESH}/server`] : [])];
  return await Promise.all(
    pods.map(async (pod, index) => {
      const origin = { folder, name: `origin-${index}`, port: SERVER_PORTS.web };
      return await startOrigin(lab.place(pod).netns, origin);
    }),
  );
}

const pods = (namespace: string): string =>
  [holderPod(namespace, 'client', 'node1'), holderPod(namespace, 'server', 'node2')].join('---');
const PLAIN_YAML = [namespaceYaml(PLAIN, false), pods(PLAIN)].join('---');
/** Ports named `tcp-`, so that no proxy looks into them. */
const MESH_YAML = `
${namespaceYaml(MESH, true)}---
${pods(MESH)}---
apiVersion: v1
kind: Service
metadata: { name: server, namespace: ${MESH} }
spec:
  selector: { app: server }
  ports:
${Object.entries(SERVER_PORTS)
  .map(([name, port]) => `    - { name: tcp-${name}, port: ${port}, targetPort: ${port} }`)
  .join('\n')}
`;
