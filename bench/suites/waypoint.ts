/**
 * The waypoint: what one HTTP proxy costs for a request of 1 KB with 20 routes and 20 allow rules, over 64 connections
 * that are kept, beside the proxies that people use.
 */

import { runH2load } from '../generators/h2load.ts';
import { requireEnforcing } from '../generators/http-status.ts';
import { requireAnswered } from '../generators/load-result.ts';
import { runWrk } from '../generators/wrk.ts';
import { temporaryFolder } from '../measure/program.ts';
import type { Metric } from '../measure/result.ts';
import { runRounds } from '../measure/rounds.ts';
import { ensureEnvoyPeer } from '../peers/envoy.ts';
import { haproxyPeer } from '../peers/haproxy-http.ts';
import type { HttpPeer } from '../peers/http-proxy.ts';
import { REQUEST_HEADERS, REQUEST_PATH } from '../peers/http-rules.ts';
import { nginxPeer, startOrigin } from '../peers/nginx.ts';
import { writeTlsFiles } from '../peers/tls-files.ts';
import { ensureTools, toolVersion } from '../peers/tools.ts';
import { type BenchLab, CONGESTION, holderPod, MESH, PLAIN } from './bench-lab.ts';
import { startBenchLab } from './mesh-start.ts';
import type { Suite, SuiteOptions } from './suite.ts';
import {
  ambitHttp,
  directHttp,
  type HttpCase,
  type HttpSubject,
  ORIGIN_PORT,
  type PeerGround,
  peerHttp,
  SERVICE_PORT,
  WAYS,
} from './waypoint-subjects.ts';
import { WAYPOINT_MESH_YAML, WAYPOINT_PLAIN_YAML, waypointPod } from './waypoint-world.ts';

const CONNECTIONS = 64;
const START_MS = 60_000;
const PEER_START_MS = 5_000;

const CASES: ReadonlyMap<string, HttpCase> = new Map(
  WAYS.flatMap((way) =>
    ([1, 2] as const).map((http) => [`${way}-http${http}`, { way, http }] as const),
  ),
);

const WAY_TITLES = {
  clear: 'clear text',
  mtls: 'mTLS from the client',
  chain: 'mTLS on both sides',
} as const;

const METRICS: readonly Metric[] = [...CASES].flatMap(([name, { way, http }]) => {
  const title = `HTTP/${http === 1 ? '1.1' : '2'}, ${WAY_TITLES[way]}`;
  const metric = (key: string, what: string, digits: number, better: Metric['better']): Metric => ({
    case: name,
    key,
    title: `${title}: ${what}`,
    digits,
    better,
  });
  return [
    metric('cpuMsPer1000', 'CPU-ms per 1000 requests', 1, 'lower'),
    metric('endsCpuMsPer1000', 'CPU-ms per 1000 of both tunnel ends', 1, 'lower'),
    metric('perSecond', 'requests per second', 0, 'higher'),
  ];
});

export const runWaypoint: Suite = async (options) => {
  ensureTools(['haproxy', 'nginx', 'wrk', 'h2load'], options.onProgress);
  const { peers, skipped } = findPeers(options);
  using folder = temporaryFolder();
  const started = await startBenchLab(options, {
    extraEnv: { waypoint: { AMBIT_WORKERS: '1' } },
    plainYaml: WAYPOINT_PLAIN_YAML,
    meshYaml: WAYPOINT_MESH_YAML,
    check: async (lab) => await checkMesh(lab, folder.path),
  });
  await using lab = started.lab;
  const waypoint = waypointPod(lab.lab);
  // Beside the waypoint, so that both are as far from client and server.
  await lab.addPod(holderPod(PLAIN, 'proxy', waypoint?.node.name ?? 'node2'));
  const ground: PeerGround = { lab, folder: folder.path, tls: writeTlsFiles(folder.path) };
  await using _origin = await startOrigin(lab.place(`${PLAIN}/server`).netns, {
    ...{ folder: folder.path, name: 'origin-plain', port: ORIGIN_PORT },
  });
  await using _meshOrigin = await startMeshOrigin(lab, folder.path);
  const subjects: HttpSubject[] = [
    directHttp(lab),
    ...peers.map((peer) => peerHttp(peer, ground)),
    ...(waypoint?.network === undefined ? [] : [ambitHttp(lab, waypoint.network.netns)]),
  ];
  const seconds = options.quick ? 1 : 3;
  const warmUpSeconds = 1;
  const measured = await runRounds({
    rounds: options.rounds,
    cases: [...CASES.keys()],
    subjectsOf: (name) =>
      subjects.filter((one) => one.canDo(caseOf(name))).map(({ subject }) => subject.name),
    measure: async (name, subjectName) => {
      const subject = subjects.find((one) => one.subject.name === subjectName);
      if (subject === undefined) {
        throw new Error(`no subject ${subjectName}`);
      }
      return await measureOne(subject, caseOf(name), { seconds, warmUpSeconds });
    },
    onProgress: options.onProgress,
    signal: options.signal,
  });
  return {
    settings: {
      ...{ seconds, warmUpSeconds, connections: CONNECTIONS },
      congestionControl: `${CONGESTION}, by route`,
      waypointNode: waypoint?.node.name ?? 'none',
      wrk: toolVersion('wrk', '-v'),
      h2load: toolVersion('h2load', '--version'),
      origin: `nginx ${toolVersion('nginx', '-v')}`,
    },
    subjects: subjects.map(({ subject }) => subject),
    skipped: [...started.skipped, ...skipped],
    metrics: METRICS,
    ...measured,
  };
};

async function measureOne(
  subject: HttpSubject,
  what: HttpCase,
  { seconds, warmUpSeconds }: { readonly seconds: number; readonly warmUpSeconds: number },
): Promise<Record<string, number>> {
  const run = what.http === 1 ? runWrk : runH2load;
  try {
    const { address, port } = await subject.prepare(what);
    const url = `http://${address}:${port}${REQUEST_PATH}`;
    if (subject.subject.name !== 'direct') {
      await requireEnforcing(subject.client, { url, http: what.http, timeoutMs: PEER_START_MS });
    }
    const load = { url, connections: CONNECTIONS, headers: REQUEST_HEADERS };
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
  } finally {
    await subject.release();
  }
}

function caseOf(name: string): HttpCase {
  const found = CASES.get(name);
  if (found === undefined) {
    throw new Error(`no case ${name}`);
  }
  return found;
}

function findPeers({ cache, onProgress }: SuiteOptions): {
  readonly peers: HttpPeer[];
  readonly skipped: { readonly subject: string; readonly reason: string }[];
} {
  const peers = [nginxPeer(toolVersion('nginx', '-v')), haproxyPeer(toolVersion('haproxy', '-v'))];
  try {
    return { peers: [...peers, ensureEnvoyPeer(cache, onProgress)], skipped: [] };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    onProgress(`without Envoy: ${reason}`);
    return { peers, skipped: [{ subject: 'envoy', reason }] };
  }
}

async function startMeshOrigin(lab: BenchLab, folder: string): Promise<AsyncDisposable> {
  if (lab.lab.mesh === undefined) {
    return { [Symbol.asyncDispose]: async () => undefined };
  }
  const origin = { folder, name: 'origin-mesh', port: ORIGIN_PORT };
  return await startOrigin(lab.place(`${MESH}/server`).netns, origin);
}

/** The waypoint is there, lets through what is allowed and refuses what is not. */
async function checkMesh(lab: BenchLab, folder: string): Promise<void> {
  await using _origin = await startMeshOrigin(lab, folder);
  await lab.lab.waitFor(() => waypointPod(lab.lab)?.isReady === true, {
    timeoutMs: START_MS,
    what: 'a waypoint',
  });
  const url = `http://${lab.serviceAddress(`${MESH}/app`)}:${SERVICE_PORT}${REQUEST_PATH}`;
  const { netns } = lab.place(`${MESH}/client`);
  await requireEnforcing(netns, { url, http: 1, timeoutMs: START_MS });
}
