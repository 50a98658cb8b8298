/**
 * Who is measured as a tunnel: nothing between client and server, HAProxy at both ends, Ambit's two agents.
 *
 * All three use pods of the same lab, so the wires between them are alike. HAProxy is new for every sample; agents
 * stay, as they do on a node, and are restarted before idle memory is measured.
 */
import { systemClock } from '@ambit/core';
import type { Netns } from '@ambit/netns';
import { startBareNode } from '../generators/bare-node.ts';
import { startRelay } from '../generators/tls-relay.ts';
import { type Usage, usageOf } from '../measure/process-usage.ts';
import type { Program } from '../measure/program.ts';
import type { Subject } from '../measure/result.ts';
import {
  clientEndConfig,
  serverEndConfig,
  startHaproxy,
  type TunnelPort,
} from '../peers/haproxy-tunnel.ts';
import type { TlsFiles } from '../peers/tls-files.ts';
import { type BenchLab, MESH, PLAIN } from './bench-lab.ts';

/** What listens in the server's pod. */
export const SERVER_PORTS = { web: 8080, bytes: 5201, idle: 7000 } as const;
export type TunnelTarget = keyof typeof SERVER_PORTS;
const TARGETS: readonly TunnelTarget[] = ['web', 'bytes', 'idle'];
const ENTRY_OFFSET = 10_000;
const WIRE_OFFSET = 20_000;
const TUNNEL_PORTS: readonly TunnelPort[] = TARGETS.map((target) => ({
  entry: SERVER_PORTS[target] + ENTRY_OFFSET,
  wire: SERVER_PORTS[target] + WIRE_OFFSET,
  exit: SERVER_PORTS[target],
}));
/** HAProxy listens on the others at other times. */
const RELAY_PORT: TunnelPort = { entry: 19_080, wire: 29_080, exit: SERVER_PORTS.web };
const SETTLE_MS = 1_500;

export interface TunnelSubject {
  readonly subject: Subject;
  readonly client: Netns;
  readonly server: Netns;
  /** What the client dials. */
  target(target: TunnelTarget): { readonly address: string; readonly port: number };
  /** The two ends running and idle. `fresh`: as after a start. */
  prepare(options: { readonly isFresh: boolean }): Promise<void>;
  /** Of both ends together; undefined where there is no proxy. */
  usage(): Usage | undefined;
  release(): Promise<void>;
  /** After the last sample. */
  close?(): Promise<void>;
}

export function directSubject(lab: BenchLab): TunnelSubject {
  const server = lab.place(`${PLAIN}/server`);
  return {
    subject: {
      name: 'direct',
      title: 'direct',
      version: '',
      note: 'no proxy: what generator, server and kernel can do at most',
    },
    client: lab.place(`${PLAIN}/client`).netns,
    server: server.netns,
    target: (target) => ({ address: server.address, port: SERVER_PORTS[target] }),
    prepare: async () => undefined,
    usage: () => undefined,
    release: async () => undefined,
  };
}

export function haproxySubject(
  lab: BenchLab,
  options: {
    readonly folder: string;
    readonly tls: TlsFiles;
    readonly threads: number;
    readonly version: string;
  },
): TunnelSubject {
  const { folder, tls, threads } = options;
  const client = lab.place(`${PLAIN}/client`);
  const server = lab.place(`${PLAIN}/server`);
  const ports = TUNNEL_PORTS;
  let ends: Program[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(ends.map(async (end) => await end.stop()));
    ends = [];
  };
  const start = async (): Promise<void> => {
    const expectedHost = tls.leaves.server.host;
    const clientEnd = { tls, threads, ports, expectedHost, serverAddress: server.address };
    const serverEnd = await startHaproxy(server.netns, {
      ...{ folder, name: 'tunnel-server', config: serverEndConfig({ tls, threads, ports }) },
      ports: ports.map(({ wire }) => wire),
    });
    ends.push(serverEnd);
    ends.push(
      await startHaproxy(client.netns, {
        ...{ folder, name: 'tunnel-client', config: clientEndConfig(clientEnd) },
        ports: ports.map(({ entry }) => entry),
      }),
    );
  };
  return {
    subject: {
      name: 'haproxy',
      title: 'HAProxy',
      version: options.version,
      note: `TCP over mutual TLS 1.3 (AES-256-GCM, X25519, P-256), ${threads} threads, buffers of 64 KiB, a handshake for each connection (sessions resumed, as is its default), no log; no HTTP/2, so it does less`,
    },
    client: client.netns,
    server: server.netns,
    target: (target) => ({ address: '127.0.0.1', port: SERVER_PORTS[target] + ENTRY_OFFSET }),
    prepare: start,
    usage: () => usageOf(ends.map(({ pid }) => pid)),
    release: stop,
  };
}

/** What two ends take in Node that do nothing but TLS. They stay, as agents do: V8 needs its time. */
export function relaySubject(lab: BenchLab, tls: TlsFiles): TunnelSubject {
  const client = lab.place(`${PLAIN}/client`);
  const server = lab.place(`${PLAIN}/server`);
  const ends: Program[] = [];
  return {
    subject: {
      name: 'relay',
      title: 'node:tls relay',
      version: process.version,
      note: 'two Node programs of fifty lines, one thread each, a TLS connection for each client connection, no HTTP/2, log or policy: what a tunnel on node:tls takes at least where little is to do',
    },
    client: client.netns,
    server: server.netns,
    target: () => ({ address: '127.0.0.1', port: RELAY_PORT.entry }),
    prepare: async () => {
      if (ends.length > 0) {
        return;
      }
      const options = { tls, serverAddress: server.address, ports: [RELAY_PORT] };
      ends.push(await startRelay(server.netns, 'exit', options));
      ends.push(await startRelay(client.netns, 'entry', options));
    },
    usage: () => usageOf(ends.map(({ pid }) => pid)),
    release: async () => undefined,
    close: async () => {
      await Promise.all(ends.map(async (end) => await end.stop()));
    },
  };
}

/** A Node process with as many workers, all idle: what an agent takes at least. */
export function bareNodeSubject(lab: BenchLab, workers: number): TunnelSubject {
  const { netns, address } = lab.place(`${PLAIN}/server`);
  let running: Program | undefined;
  return {
    subject: {
      name: 'bare-node',
      title: 'bare Node',
      version: process.version,
      note: `a Node process with ${workers} idle workers: what an agent takes at least`,
    },
    client: netns,
    server: netns,
    target: () => ({ address, port: 0 }),
    prepare: async () => {
      running = await startBareNode(netns, workers);
    },
    usage: () => usageOf(running === undefined ? [] : [running.pid]),
    release: async () => {
      await running?.stop();
      running = undefined;
    },
  };
}

export function ambitSubject(
  lab: BenchLab,
  options: { readonly workers: number; readonly version: string },
): TunnelSubject {
  const address = lab.serviceAddress(`${MESH}/server`);
  const restart = async (): Promise<void> => {
    for (const name of ['agent/node1', 'agent/node2']) {
      await lab.lab.stopComponent(name);
      lab.lab.startComponent(name);
    }
    await lab.waitForAgents();
    await systemClock.sleep(SETTLE_MS);
  };
  return {
    subject: {
      name: 'ambit',
      title: 'Ambit',
      version: options.version,
      note: `two node agents as their image holds them, ${options.workers} workers each, HBONE (HTTP/2 CONNECT over mutual TLS 1.3) to a service address, access log and metrics on as by default`,
    },
    client: lab.place(`${MESH}/client`).netns,
    server: lab.place(`${MESH}/server`).netns,
    target: (target) => ({ address, port: SERVER_PORTS[target] }),
    prepare: async ({ isFresh }) => {
      if (isFresh) {
        await restart();
      }
    },
    usage: () => usageOf(lab.agentPids),
    release: async () => undefined,
  };
}
