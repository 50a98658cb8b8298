/** For tests: a whole waypoint proxy in this process: real sockets, real TLS, a fake CA, a fake destination agent. */
import assert from 'node:assert/strict';
import { Agent, createServer as createHttpServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { type MeshObject, parseObject } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { type ConnectAnswer, type ConnectRequest, HbonePool, HboneServer } from '@ambit/hbone';
import type { Address } from '@ambit/model';
import { type ByteConn, copyBoth, SocketConn } from '@ambit/proxy';
import { duplexFromConn } from '@ambit/proxy/testing';
import { TestCa, type TestIdentity } from '@ambit/testkit';
import { PORT, VIP } from '../testing.ts';
import type { FromWorker, WorkerConfig } from './messages.ts';
import { ProxyWorker } from './proxy-worker.ts';

export const ca = new TestCa();
export const waypointId = ca.workload('shop', 'waypoint');
export const CONFIG: WorkerConfig = {
  namespace: 'shop',
  name: 'waypoint',
  className: 'istio-waypoint',
  serviceName: 'waypoint',
  identity: waypointId.identity,
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  network: '',
  logSpec: 'info',
};

export function policy(name: string, spec: unknown): MeshObject {
  const { object, findings } = parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name, namespace: 'shop' },
    spec,
  });
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

export interface Rig extends AsyncDisposable {
  readonly worker: ProxyWorker;
  readonly said: FromWorker[];
  readonly lines: Record<string, unknown>[];
  /** CONNECTs that the destination's agent saw. */
  readonly connects: ConnectRequest[];
  readonly tell: (addresses: readonly Address[], objects?: readonly MeshObject[]) => void;
  /** A tunnel of this identity to an authority of the waypoint. */
  readonly tunnel: (
    identity: TestIdentity,
    authority?: string,
    headers?: Readonly<Record<string, string>>,
  ) => Promise<ByteConn>;
  readonly backendPort: number;
  /** Of the waypoint, for tunnels. */
  readonly port: number;
}

export async function startRig(
  options: {
    readonly backend?: Server;
    readonly config?: WorkerConfig;
    /** Of the destination's agent, to everybody. */
    readonly refusal?: Exclude<ConnectAnswer, { status: 200 }>;
  } = {},
): Promise<Rig> {
  const backend =
    options.backend ??
    createHttpServer((req, res) => {
      res.end(JSON.stringify({ url: req.url, headers: req.headers }));
    });
  const backendPort = await listen(backend);
  const connects: ConnectRequest[] = [];
  const agentId = ca.workload('shop', 'reviews');
  const agent = new HboneServer({
    clock: systemClock,
    identity: () => agentId,
    onConnect: (connectRequest) => {
      connects.push(connectRequest);
      if (options.refusal !== undefined) return options.refusal;
      return {
        status: 200,
        serve: (conn) => {
          const socket = connect(connectRequest.target.port, '127.0.0.1');
          socket.once('connect', () => {
            copyBoth(conn, new SocketConn(socket, { side: 'upstream' }), {
              onDone: () => undefined,
            });
          });
        },
      };
    },
  });
  const agentListener = createServer((socket) => agent.accept(socket));
  const hbonePort = await listen(agentListener);
  const said: FromWorker[] = [];
  const lines: Record<string, unknown>[] = [];
  const serving = Promise.withResolvers<number>();
  const worker = new ProxyWorker({
    config: options.config ?? CONFIG,
    clock: systemClock,
    hbonePort,
    sink: { write: (line) => void lines.push(JSON.parse(line) as Record<string, unknown>) },
    post: (message) => {
      said.push(message);
      if (message.kind === 'serving') {
        serving.resolve(message.port);
      }
    },
  });
  worker.receive({ kind: 'certificate', material: waypointId });
  worker.receive({ kind: 'serve', at: { host: '127.0.0.1', port: 0 } });
  const port = await serving.promise;
  const pools: HbonePool[] = [];
  let sequence = 0;
  return {
    worker,
    said,
    lines,
    connects,
    backendPort,
    port,
    tell: (addresses, objects = []) => {
      sequence += 1;
      worker.receive({ kind: 'objects', sequence, changed: objects, removed: [] });
      worker.receive({ kind: 'addresses', sequence, changed: addresses, removed: [] });
    },
    tunnel: async (identity, authority = `${VIP}:${PORT}`, headers = {}) => {
      const pool = new HbonePool({
        clock: systemClock,
        identity: () => identity,
        dial: async (key) => {
          const socket = connect(key.port, '127.0.0.1');
          await new Promise((resolve) => socket.once('connect', resolve));
          return socket;
        },
      });
      pools.push(pool);
      const stream = await pool.connect(
        {
          sourceIdentity: identity.identity,
          expectedIdentities: [waypointId.identity],
          address: '127.0.0.1',
          port,
          sourcePod: 'x',
        },
        {
          authority,
          headers: { 'x-ambit-source': 'spiffe://cluster.local/ns/shop/sa/forged', ...headers },
        },
      );
      return stream.conn;
    },
    [Symbol.asyncDispose]: async () => {
      for (const pool of pools) {
        pool.destroy();
      }
      worker.destroy();
      agent.destroy();
      agentListener.close();
      if ('closeAllConnections' in backend) {
        (backend as unknown as { closeAllConnections(): void }).closeAllConnections();
      }
      await new Promise((resolve) => backend.close(resolve));
    },
  };
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

/** One request over a tunnel that is used for nothing else. */
export function ask(
  conn: ByteConn,
  options: { path?: string; method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  const socket = Object.assign(duplexFromConn(conn), {
    setTimeout: () => socket,
    setNoDelay: () => socket,
    setKeepAlive: () => socket,
    ref: () => socket,
    unref: () => socket,
  });
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const agent = new Agent();
  agent.createConnection = () => socket;
  const client = request({
    agent,
    method: options.method ?? 'GET',
    path: options.path ?? '/',
    headers: { host: 'reviews', ...options.headers },
  });
  client.once('error', reject);
  client.once('response', (response: IncomingMessage) => {
    let body = '';
    response.on('data', (chunk: Buffer) => {
      body += chunk.toString();
    });
    response.once('end', () => resolve({ status: response.statusCode ?? 0, body }));
  });
  client.end();
  return promise;
}

export const client = ca.workload('shop', 'client');
export const stranger = ca.workload('other', 'stranger');
