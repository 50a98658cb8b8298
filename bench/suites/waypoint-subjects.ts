/**
 * Who is measured as an HTTP proxy, and by which way requests reach it.
 *
 * `clear`: in clear text on both sides. `mtls`: mutual TLS from the client's side. `chain`: mutual TLS on both sides,
 * which is the work of a waypoint. Generators speak clear text always: in the client's and the server's pod an end of
 * a tunnel does the TLS (HAProxy for the peers, Ambit's agents for Ambit), whose CPU is kept apart.
 */
import { join } from 'node:path';
import type { Netns } from '@ambit/netns';
import { startBareNode } from '../generators/bare-node.ts';
import { processesIn, usageOf } from '../measure/process-usage.ts';
import { Program } from '../measure/program.ts';
import type { Subject } from '../measure/result.ts';
import { clientEndConfig, serverEndConfig, startHaproxy } from '../peers/haproxy-tunnel.ts';
import { type HttpPeer, type HttpUpstream, PEER_PORTS } from '../peers/http-proxy.ts';
import { HTTP_RULES, MANY_ROUTES } from '../peers/http-rules.ts';
import type { TlsFiles } from '../peers/tls-files.ts';
import { type BenchLab, MESH, PLAIN } from './bench-lab.ts';
import { waypointPod } from './waypoint-pod.ts';

export const ORIGIN_PORT = 8080;
export const SERVICE_PORT = 80;
const ENTRY_PORT = 18_080;
const WIRE_PORT = 28_080;
/** Below those that outgoing connections take. */
const ENGINE_PORT = 18_080;
const ENGINE_START_MS = 20_000;
const ENGINE = join(import.meta.dirname, '..', 'programs', 'http-engine.ts');

export const WAYS = ['clear', 'mtls', 'chain'] as const;
export type Way = (typeof WAYS)[number];

export interface HttpCase {
  readonly way: Way;
  readonly http: 1 | 2;
  /** As fast as 64 connections can, so many a second, or nothing. */
  readonly load: 'saturated' | 'share' | 'rate' | 'idle';
  readonly routes: 'few' | 'many';
}

export interface CpuSplit {
  readonly proxyMs: number;
  /** Of the tunnel ends beside client and server; undefined where there are none. */
  readonly endsMs: number | undefined;
}

export interface HttpTarget {
  readonly address: string;
  readonly port: number;
  /** Where it cannot do what the case says. */
  readonly http?: 1;
}

export interface HttpSubject {
  readonly subject: Subject;
  readonly client: Netns;
  canDo(what: HttpCase): boolean;
  /** Running, and where the client dials. */
  prepare(what: HttpCase): Promise<HttpTarget>;
  cpu(): CpuSplit | undefined;
  /** Of the proxy alone; undefined where nobody asks. */
  residentBytes(): number | undefined;
  release(): Promise<void>;
  /** What stayed between samples ends. */
  close?(): Promise<void>;
}

export function directHttp(lab: BenchLab): HttpSubject {
  return {
    subject: { name: 'direct', title: 'direct', version: '', note: 'the origin itself' },
    client: lab.place(`${PLAIN}/client`).netns,
    // Where a schedule says what is asked, because what the others add is counted from it.
    canDo: ({ way, http, load, routes }) =>
      load === 'rate' || load === 'share' || (way === 'clear' && http === 1 && routes === 'few'),
    prepare: async () => ({
      ...{ address: lab.place(`${PLAIN}/server`).address, port: ORIGIN_PORT, http: 1 },
    }),
    cpu: () => undefined,
    residentBytes: () => undefined,
    release: async () => undefined,
  };
}

export interface PeerGround {
  readonly lab: BenchLab;
  readonly folder: string;
  readonly tls: TlsFiles;
}

/** A peer in a pod of its own, new for each sample. */
export function peerHttp(peer: HttpPeer, ground: PeerGround): HttpSubject {
  const { lab, folder, tls } = ground;
  const client = lab.place(`${PLAIN}/client`);
  const proxy = lab.place(`${PLAIN}/proxy`);
  let running: Program | undefined;
  let ends: Program[] = [];
  return {
    subject: {
      name: peer.name,
      title: peer.title,
      version: peer.version,
      note: 'one worker, log off; mutual TLS reaches it through an HAProxy in the pod of the client (and of the server)',
    },
    client: client.netns,
    canDo: ({ load, routes }) => load !== 'idle' && routes === 'few',
    prepare: async (what) => {
      const upstream = await startUpstream(ground, what, ends);
      running = await peer.start({ netns: proxy.netns, folder, tls, upstream });
      if (what.way === 'clear') {
        const port = what.http === 1 ? PEER_PORTS.http1 : PEER_PORTS.http2;
        return { address: proxy.address, port };
      }
      ends.push(await startClientEnd(ground, what.http));
      return { address: '127.0.0.1', port: ENTRY_PORT };
    },
    cpu: () => ({
      proxyMs: usageOf(running === undefined ? [] : [running.pid]).cpuMs,
      endsMs: ends.length === 0 ? undefined : usageOf(ends.map(({ pid }) => pid)).cpuMs,
    }),
    residentBytes: () => undefined,
    release: async () => {
      await Promise.all([running, ...ends].map(async (program) => await program?.stop()));
      running = undefined;
      ends = [];
    },
  };
}

/** The mesh as it is deployed: client's agent, waypoint, server's agent; only `chain` exists. */
export function ambitHttp(lab: BenchLab): HttpSubject {
  const waypoint = (): Netns => {
    const network = waypointPod(lab.lab)?.network;
    if (network === undefined) {
      throw new Error('there is no waypoint');
    }
    return network.netns;
  };
  /** What it holds after a load is not what it holds idle. */
  const startAnew = async (): Promise<void> => {
    const key = waypointPod(lab.lab)?.key ?? '';
    const first = waypointPod(lab.lab);
    lab.lab.deletePod(key);
    const isNew = (): boolean => {
      const now = waypointPod(lab.lab);
      return now !== undefined && now !== first && now.isReady;
    };
    await lab.lab.waitFor(isNew, { what: 'a new waypoint', timeoutMs: ENGINE_START_MS });
  };
  return {
    subject: {
      name: 'ambit',
      title: 'Ambit waypoint',
      version: '',
      note: 'as its image holds it, one worker, access log and metrics on as by default; HBONE (mutual TLS and HTTP/2 CONNECT) on both sides, the ends are node agents',
    },
    client: lab.place(`${MESH}/client`).netns,
    canDo: ({ way }) => way === 'chain',
    prepare: async ({ routes, load }) => {
      if (load === 'idle') {
        await startAnew();
      }
      const name = routes === 'few' ? 'app' : 'many';
      return { address: lab.serviceAddress(`${MESH}/${name}`), port: SERVICE_PORT };
    },
    cpu: () => ({
      proxyMs: usageOf(waypointPids(waypoint())).cpuMs,
      endsMs: usageOf(lab.agentPids).cpuMs,
    }),
    residentBytes: () => usageOf(waypointPids(waypoint())).residentBytes,
    release: async () => undefined,
  };
}

function waypointPids(waypoint: Netns): number[] {
  const pids = ['apps/waypoint/src/main.ts', 'waypoint/dist/main.mjs'].flatMap((part) =>
    processesIn(waypoint.id, part),
  );
  if (pids.length === 0) {
    throw new Error('the waypoint is not running');
  }
  return pids;
}

/** The waypoint's engine without TLS and HBONE. It stays, as a waypoint does: one for few routes and one for many. */
export function engineHttp(ground: PeerGround): HttpSubject {
  const { lab } = ground;
  const proxy = lab.place(`${PLAIN}/proxy`);
  const server = lab.place(`${PLAIN}/server`);
  const engines = new Map<number, Program>();
  let current: Program | undefined;
  const start = async (port: number, routes: number): Promise<Program> => {
    const args = [port, server.address, ORIGIN_PORT, routes].map(String);
    const program = Program.start(proxy.netns, [process.execPath, ENGINE, ...args]);
    engines.set(port, program);
    await program.waitForOutput('listening', ENGINE_START_MS);
    return program;
  };
  return {
    subject: {
      name: 'engine',
      title: 'Ambit engine',
      version: '',
      note: "the waypoint's HTTP engine alone in one process, with the same routes and rules, access log (to the null device) and metrics on, without TLS and HBONE: beside peers in clear text",
    },
    client: lab.place(`${PLAIN}/client`).netns,
    canDo: ({ way, load }) => way === 'clear' && load !== 'idle',
    prepare: async ({ routes }) => {
      const [port, count] =
        routes === 'few' ? [ENGINE_PORT, HTTP_RULES.length] : [ENGINE_PORT + 1, MANY_ROUTES];
      current = engines.get(port) ?? (await start(port, count));
      return { address: proxy.address, port };
    },
    cpu: () => ({
      proxyMs: usageOf(current === undefined ? [] : [current.pid]).cpuMs,
      endsMs: undefined,
    }),
    residentBytes: () => undefined,
    release: async () => undefined,
    close: async () => {
      await Promise.all([...engines.values()].map(async (engine) => await engine.stop()));
    },
  };
}

/** A Node process with as many workers, all idle: what a waypoint takes at least. */
export function bareNode(netns: Netns, workers: number): HttpSubject {
  let running: Program | undefined;
  return {
    subject: {
      name: 'bare-node',
      title: 'bare Node',
      version: process.version,
      note: `a Node process with ${workers} idle worker: what a waypoint takes at least`,
    },
    client: netns,
    canDo: ({ load }) => load === 'idle',
    prepare: async () => {
      running = await startBareNode(netns, workers);
      return { address: '', port: 0 };
    },
    cpu: () => undefined,
    residentBytes: () => usageOf(running === undefined ? [] : [running.pid]).residentBytes,
    release: async () => {
      await running?.stop();
      running = undefined;
    },
  };
}

async function startUpstream(
  { lab, folder, tls }: PeerGround,
  { way }: HttpCase,
  ends: Program[],
): Promise<HttpUpstream> {
  const { netns, address } = lab.place(`${PLAIN}/server`);
  if (way !== 'chain') {
    return { address, port: ORIGIN_PORT, isTls: false };
  }
  const ports = [{ wire: WIRE_PORT, exit: ORIGIN_PORT }];
  const config = serverEndConfig({ tls, threads: 1, ports });
  ends.push(await startHaproxy(netns, { folder, name: 'server-end', config, ports: [WIRE_PORT] }));
  return { address, port: WIRE_PORT, isTls: true };
}

async function startClientEnd({ lab, folder, tls }: PeerGround, http: 1 | 2): Promise<Program> {
  const config = clientEndConfig({
    tls,
    threads: 1,
    serverAddress: lab.place(`${PLAIN}/proxy`).address,
    ports: [{ entry: ENTRY_PORT, wire: PEER_PORTS.tls }],
    expectedHost: tls.leaves.proxy.host,
    ...(http === 2 ? { alpn: 'h2' } : {}),
  });
  const { netns } = lab.place(`${PLAIN}/client`);
  return await startHaproxy(netns, { folder, name: 'client-end', config, ports: [ENTRY_PORT] });
}
