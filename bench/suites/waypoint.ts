/**
 * The waypoint: what one HTTP proxy costs for a request of 1 KB with 20 routes and 20 allow rules, over 64 connections
 * that are kept, beside the proxies that people use.
 */

import { requireEnforcing } from '../generators/http-status.ts';
import { openLoopProgram } from '../generators/open-loop.ts';
import { Capacity } from '../measure/capacity.ts';
import { temporaryFolder } from '../measure/program.ts';
import { runRounds } from '../measure/rounds.ts';
import { ensureEnvoyPeer } from '../peers/envoy.ts';
import { haproxyPeer } from '../peers/haproxy-http.ts';
import type { HttpPeer } from '../peers/http-proxy.ts';
import { REQUEST } from '../peers/http-rules.ts';
import { nginxPeer, startOrigin } from '../peers/nginx.ts';
import { writeTlsFiles } from '../peers/tls-files.ts';
import { ensureTools, toolVersion } from '../peers/tools.ts';
import { type BenchLab, CONGESTION, holderPod, MESH, PLAIN } from './bench-lab.ts';
import { startBenchLab } from './mesh-start.ts';
import { chosenCases, type Suite, type SuiteOptions } from './suite.ts';
import { HTTP_CASES, HTTP_METRICS, LOAD, RATE_PER_SECOND } from './waypoint-cases.ts';
import { CONNECTIONS, measureHttp, RATE_CONNECTIONS } from './waypoint-measures.ts';
import { waypointPod } from './waypoint-pod.ts';
import {
  ambitHttp,
  bareNode,
  directHttp,
  engineHttp,
  type HttpCase,
  type HttpSubject,
  ORIGIN_PORT,
  type PeerGround,
  peerHttp,
  SERVICE_PORT,
} from './waypoint-subjects.ts';
import { WAYPOINT_MESH_YAML, WAYPOINT_PLAIN_YAML } from './waypoint-world.ts';

const START_MS = 60_000;
const WORKERS = 1;

export const runWaypoint: Suite = async (options) => {
  ensureTools(['haproxy', 'nginx', 'wrk', 'h2load'], options.onProgress);
  openLoopProgram();
  const { peers, skipped } = findPeers(options);
  using folder = temporaryFolder();
  const started = await startBenchLab(options, {
    extraEnv: { waypoint: { AMBIT_WORKERS: String(WORKERS) } },
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
    ...(options.ambit
      ? [engineHttp(ground), bareNode(ground.lab.place(`${PLAIN}/proxy`).netns, WORKERS)]
      : []),
    ...(waypoint === undefined ? [] : [ambitHttp(lab)]),
  ];
  const seconds = options.quick ? 1 : 3;
  const warmUpSeconds = 1;
  const warmUpRounds = options.quick ? 0 : 1;
  await using _subjects = {
    [Symbol.asyncDispose]: async () => {
      await Promise.all(subjects.map(async (one) => await one.close?.()));
    },
  };
  const capacity = new Capacity();
  const rounds = {
    rounds: options.rounds,
    subjectsOf: (name: string) =>
      subjects.filter((one) => one.canDo(caseOf(name))).map(({ subject }) => subject.name),
    measure: async (name: string, subjectName: string) => {
      const subject = subjects.find((one) => one.subject.name === subjectName);
      if (subject === undefined) {
        throw new Error(`no subject ${subjectName}`);
      }
      return await measureHttp(subject, caseOf(name), { seconds, warmUpSeconds }, capacity);
    },
    onProgress: options.onProgress,
    signal: options.signal,
  };
  const cases = chosenCases([...HTTP_CASES.keys()], options);
  const isIdle = (name: string): boolean => caseOf(name).load === 'idle';
  // The waypoint is new for each sample of idle memory. The other cases find it as it is after a minute of work.
  const idle = await runRounds({ ...rounds, cases: cases.filter(isIdle) });
  const busy = await runRounds({
    ...{ ...rounds, warmUpRounds },
    cases: cases.filter((name) => !isIdle(name)),
  });
  return {
    settings: {
      ...{ seconds, warmUpSeconds, warmUpRounds, connections: CONNECTIONS },
      ...{
        loadShare: LOAD.share,
        loadConnections: LOAD.connections,
        ratePerSecond: RATE_PER_SECOND,
        rateConnections: RATE_CONNECTIONS,
      },
      congestionControl: `${CONGESTION}, by route`,
      waypointNode: waypoint?.node.name ?? 'none',
      wrk: toolVersion('wrk', '-v'),
      h2load: toolVersion('h2load', '--version'),
      origin: `nginx ${toolVersion('nginx', '-v')}`,
    },
    subjects: subjects.map(({ subject }) => subject),
    skipped: [...started.skipped, ...skipped],
    metrics: HTTP_METRICS,
    samples: [...idle.samples, ...busy.samples],
    failures: [...idle.failures, ...busy.failures],
  };
};

function caseOf(name: string): HttpCase {
  const found = HTTP_CASES.get(name);
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
export async function checkMesh(lab: BenchLab, folder: string): Promise<void> {
  await using _origin = await startMeshOrigin(lab, folder);
  await lab.lab.waitFor(() => waypointPod(lab.lab)?.isReady === true, {
    timeoutMs: START_MS,
    what: 'a waypoint',
  });
  const url = `http://${lab.serviceAddress(`${MESH}/app`)}:${SERVICE_PORT}${REQUEST.path}`;
  const { netns } = lab.place(`${MESH}/client`);
  await requireEnforcing(netns, {
    ...{ url, http: 1, request: REQUEST, timeoutMs: START_MS },
  });
}
