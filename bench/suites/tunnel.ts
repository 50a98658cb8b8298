/**
 * The tunnel: what it costs to carry bytes, small requests, new connections and idle connections from pod to pod.
 *
 * CPU is that of the two proxies together; generator and server are not counted, but share the machine.
 */
import { availableParallelism } from 'node:os';
import { openLoopProgram } from '../generators/open-loop.ts';
import { Capacity } from '../measure/capacity.ts';
import { type Program, temporaryFolder } from '../measure/program.ts';
import type { Metric } from '../measure/result.ts';
import { runRounds } from '../measure/rounds.ts';
import { startOrigin } from '../peers/nginx.ts';
import { writeTlsFiles } from '../peers/tls-files.ts';
import { ensureTools, toolVersion } from '../peers/tools.ts';
import { type BenchLab, CONGESTION, MESH, PLAIN } from './bench-lab.ts';
import { startBenchLab } from './mesh-start.ts';
import { chosenCases, type Suite, type SuiteOptions, type SuiteResult } from './suite.ts';
import {
  CONNECTING,
  KEEP_ALIVE_CONNECTIONS,
  LOAD,
  measureTunnel,
  RATE,
  TUNNEL_CASES,
  type TunnelCase,
  type TunnelSettings,
} from './tunnel-measures.ts';
import {
  ambitSubject,
  bareNodeSubject,
  directSubject,
  haproxySubject,
  relaySubject,
  SERVER_PORTS,
  type TunnelSubject,
} from './tunnel-subjects.ts';
import { TUNNEL_MESH_YAML, TUNNEL_PLAIN_YAML } from './tunnel-world.ts';

const metric = (
  caseName: TunnelCase,
  key: string,
  title: string,
  digits: number,
  more: Partial<Metric> = {},
): Metric => ({ case: caseName, key, title, digits, better: 'lower', ...more });

const HIGHER = { better: 'higher' } as const;
const ADDED = { above: 'direct' } as const;
/** To HAProxy, at most, or at least where more is better. */
const goal = (ratio: number, peer = 'haproxy') => ({
  goals: [{ subject: 'ambit', peer, ratio }],
});

const METRICS: readonly Metric[] = [
  metric('bytes-1', 'cpuSecondsPerGib', 'CPU-s per GiB, 1 connection', 2, goal(1)),
  metric('bytes-8', 'cpuSecondsPerGib', 'CPU-s per GiB, 8 connections', 2, goal(1)),
  metric('bytes-1', 'gigabitsPerSecond', 'Gb/s, 1 connection', 1, { ...HIGHER, ...goal(1) }),
  metric('bytes-8', 'gigabitsPerSecond', 'Gb/s, 8 connections', 1, { ...HIGHER, ...goal(1) }),
  metric('requests', 'cpuMsPer1000', 'CPU-ms per 1000 requests of 1 KB', 1, goal(0.75)),
  metric('requests', 'perSecond', 'requests per second', 0, HIGHER),
  metric('load', 'perSecond', 'requests offered per second at 60 % of the machine', 0),
  metric('load', 'p50', 'P50 there, added, ms', 2, { ...ADDED, ...goal(1) }),
  metric('load', 'p90', 'P90 there, added, ms', 2, { ...ADDED, ...goal(1) }),
  metric('load', 'p99', 'P99 there, added, ms', 2, { ...ADDED, ...goal(1) }),
  metric('rate', 'cpus', 'vCPU at 1000 requests/s, open loop', 3, goal(0.85)),
  metric('rate', 'p50', 'P50 there, added, ms', 2, { ...ADDED, ...goal(1) }),
  metric('rate', 'p90', 'P90 there, added, ms', 2, { ...ADDED, ...goal(1) }),
  metric('rate', 'p99', 'P99 there, added, ms', 2, { ...ADDED, ...goal(1) }),
  metric(
    'connections',
    'cpuMsPer1000',
    'CPU-ms per 1000 new connections, 1 request each',
    0,
    goal(0.14),
  ),
  metric('connections', 'perSecond', 'new connections per second', 0, HIGHER),
  metric('idle', 'residentMegabytes', 'RSS of one idle proxy, MB', 1, goal(1.4, 'bare-node')),
  metric('idle', 'kilobytesPerConnection', 'KB per idle connection, both ends', 1, goal(0.22)),
];

export const runTunnel: Suite = async (options) => {
  ensureTools(['haproxy', 'nginx', 'wrk', 'iperf3'], options.onProgress);
  openLoopProgram();
  const settings = settingsOf(options);
  using folder = temporaryFolder();
  const { lab: started, skipped } = await startBenchLab(options, {
    extraEnv: { agent: { AMBIT_WORKERS: String(settings.threads) } },
    plainYaml: TUNNEL_PLAIN_YAML,
    meshYaml: TUNNEL_MESH_YAML,
    check: async (lab) => await lab.waitForAgents(),
  });
  await using lab = started;
  const hasMesh = lab.lab.mesh !== undefined;
  const origins = await startOrigins(lab, folder.path, hasMesh);
  try {
    const tls = writeTlsFiles(folder.path);
    const subjects: TunnelSubject[] = [
      directSubject(lab),
      haproxySubject(lab, {
        folder: folder.path,
        tls,
        threads: settings.threads,
        version: toolVersion('haproxy', '-v'),
      }),
      relaySubject(lab, tls),
      ...(hasMesh ? [bareNodeSubject(lab, settings.threads)] : []),
      ...(hasMesh ? [ambitSubject(lab, { workers: settings.threads, version: '' })] : []),
    ];
    await using _subjects = {
      [Symbol.asyncDispose]: async () => {
        await Promise.all(subjects.map(async (one) => await one.close?.()));
      },
    };
    const capacity = new Capacity();
    const rounds = {
      rounds: options.rounds,
      subjectsOf: (name: string) =>
        subjects.map(({ subject }) => subject.name).filter((subject) => takesPart(subject, name)),
      measure: async (name: string, subject: string) => {
        const found = subjects.find((one) => one.subject.name === subject);
        if (found === undefined) {
          throw new Error(`no subject ${subject}`);
        }
        return await measureTunnel(found, name as TunnelCase, settings, capacity);
      },
      onProgress: options.onProgress,
      signal: options.signal,
    };
    const cases = chosenCases(TUNNEL_CASES, options);
    // Agents are new for each sample of idle memory. The other cases find them as they are on a node.
    const idle = await runRounds({ ...rounds, cases: cases.filter((name) => name === 'idle') });
    const busy = await runRounds({
      ...{ ...rounds, warmUpRounds: settings.warmUpRounds },
      cases: cases.filter((name) => name !== 'idle'),
    });
    return {
      settings: {
        ...describe(settings),
        congestionControl: `${CONGESTION}, by route`,
      },
      subjects: subjects.map(({ subject }) => subject),
      skipped,
      metrics: METRICS,
      samples: [...idle.samples, ...busy.samples],
      failures: [...idle.failures, ...busy.failures],
    };
  } finally {
    await Promise.all(origins.map(async (origin) => await origin.stop()));
  }
};

function takesPart(subject: string, name: string): boolean {
  switch (subject) {
    case 'direct':
      return name !== 'idle';
    case 'bare-node':
      return name === 'idle';
    case 'relay':
      // Where a wake-up is what costs. Under load it has a thread and a connection for each client, and nothing to gather.
      return name === 'rate';
    default:
      return true;
  }
}

function settingsOf({ quick }: SuiteOptions): TunnelSettings {
  return {
    threads: Math.min(2, availableParallelism()),
    warmUpRounds: quick ? 0 : 1,
    warmUpSeconds: quick ? 1 : 2,
    seconds: quick ? 1 : 3,
    idleConnections: quick ? 500 : 4_000,
  };
}

function describe(settings: TunnelSettings): SuiteResult['settings'] {
  return {
    ...settings,
    keepAliveConnections: KEEP_ALIVE_CONNECTIONS,
    connectingClients: CONNECTING,
    loadShare: LOAD.share,
    loadConnections: LOAD.connections,
    ratePerSecond: RATE.perSecond,
    rateConnections: RATE.connections,
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
