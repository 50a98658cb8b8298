/**
 * Who is measured as an HTTP proxy, and by which way requests reach it.
 *
 * `clear`: in clear text on both sides. `mtls`: mutual TLS from the client's side. `chain`: mutual TLS on both sides,
 * which is the work of a waypoint. Generators speak clear text always: in the client's and the server's pod an end of
 * a tunnel does the TLS (HAProxy for the peers, Ambit's agents for Ambit), whose CPU is kept apart.
 */
import type { Netns } from '@ambit/netns';
import { processesIn, usageOf } from '../measure/process-usage.ts';
import type { Program } from '../measure/program.ts';
import type { Subject } from '../measure/result.ts';
import { clientEndConfig, serverEndConfig, startHaproxy } from '../peers/haproxy-tunnel.ts';
import { type HttpPeer, type HttpUpstream, PEER_PORTS } from '../peers/http-proxy.ts';
import type { TlsFiles } from '../peers/tls-files.ts';
import { type BenchLab, MESH, PLAIN } from './bench-lab.ts';

export const ORIGIN_PORT = 8080;
export const SERVICE_PORT = 80;
const ENTRY_PORT = 18_080;
const WIRE_PORT = 28_080;
const WAYPOINT_PROGRAM = 'apps/waypoint/src/main.ts';

export const WAYS = ['clear', 'mtls', 'chain'] as const;
export type Way = (typeof WAYS)[number];

export interface HttpCase {
  readonly way: Way;
  readonly http: 1 | 2;
}

export interface CpuSplit {
  readonly proxyMs: number;
  /** Of the tunnel ends beside client and server; undefined where there are none. */
  readonly endsMs: number | undefined;
}

export interface HttpSubject {
  readonly subject: Subject;
  readonly client: Netns;
  canDo(what: HttpCase): boolean;
  /** Running, and where the client dials. */
  prepare(what: HttpCase): Promise<{ readonly address: string; readonly port: number }>;
  cpu(): CpuSplit | undefined;
  release(): Promise<void>;
}

export function directHttp(lab: BenchLab): HttpSubject {
  return {
    subject: { name: 'direct', title: 'direct', version: '', note: 'the origin itself' },
    client: lab.place(`${PLAIN}/client`).netns,
    canDo: ({ way, http }) => way === 'clear' && http === 1,
    prepare: async () => ({ address: lab.place(`${PLAIN}/server`).address, port: ORIGIN_PORT }),
    cpu: () => undefined,
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
    canDo: () => true,
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
    release: async () => {
      await Promise.all([running, ...ends].map(async (program) => await program?.stop()));
      running = undefined;
      ends = [];
    },
  };
}

/** The mesh as it is deployed: client's agent, waypoint, server's agent; only `chain` exists. */
export function ambitHttp(lab: BenchLab, waypoint: Netns): HttpSubject {
  return {
    subject: {
      name: 'ambit',
      title: 'Ambit waypoint',
      version: '',
      note: 'run from source, one worker, access log and metrics on as by default; HBONE (mutual TLS and HTTP/2 CONNECT) on both sides, the ends are node agents',
    },
    client: lab.place(`${MESH}/client`).netns,
    canDo: ({ way }) => way === 'chain',
    prepare: async () => ({ address: lab.serviceAddress(`${MESH}/app`), port: SERVICE_PORT }),
    cpu: () => {
      const pids = processesIn(waypoint.id, WAYPOINT_PROGRAM);
      if (pids.length === 0) {
        throw new Error('the waypoint is not running');
      }
      return { proxyMs: usageOf(pids).cpuMs, endsMs: usageOf(lab.agentPids).cpuMs };
    },
    release: async () => undefined,
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
