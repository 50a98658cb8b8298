/** A whole waypoint proxy in this process: real sockets, real TLS, a fake CA, a fake destination agent. */
import assert from 'node:assert/strict';
import { Agent, createServer as createHttpServer, type IncomingMessage, request } from 'node:http';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { systemClock } from '@ambit/core';
import {
  type ConnectAnswer,
  type ConnectRequest,
  HboneError,
  HbonePool,
  HboneServer,
} from '@ambit/hbone';
import type { Address } from '@ambit/model';
import { type ByteConn, copyBoth, duplexFromConn, SocketConn } from '@ambit/proxy';
import { Recorder } from '@ambit/proxy/testing';
import { mergedText } from '@ambit/telemetry';
import { TestCa, type TestIdentity } from '@ambit/testkit';
import { HOST, PORT, service, VIP, WAYPOINT_ADDRESS, workload } from '../testing.ts';
import type { FromWorker, WorkerConfig } from './messages.ts';
import { ProxyWorker } from './proxy-worker.ts';

const ca = new TestCa();
const waypointId = ca.workload('shop', 'waypoint');
const CONFIG: WorkerConfig = {
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

function policy(name: string, spec: unknown): MeshObject {
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

interface Rig extends AsyncDisposable {
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
}

async function startRig(
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
            copyBoth(conn, new SocketConn(socket, { side: 'upstream' })).catch(() => undefined);
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
function ask(
  conn: ByteConn,
  options: { path?: string; headers?: Record<string, string> } = {},
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

const client = ca.workload('shop', 'client');
const stranger = ca.workload('other', 'stranger');

describe('ProxyWorker', () => {
  it('carries a request to the destination agent, and names the caller there', async () => {
    await using rig = await startRig();
    rig.tell([
      { kind: 'service', service: service('HTTP11') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort) },
    ]);
    const answer = await ask(await rig.tunnel(client), { path: '/a' });
    assert.equal(answer.status, 200);
    const { headers } = JSON.parse(answer.body) as { headers: Record<string, string> };
    assert.equal(
      headers['x-forwarded-client-cert'],
      `By=${waypointId.identity};URI=${client.identity}`,
    );
    const [seen] = rig.connects;
    assert.equal(seen?.peer.uri, waypointId.identity);
    assert.equal(seen?.headers['x-ambit-source'], client.identity);
    assert.equal(seen?.authority, `127.0.0.1:${rig.backendPort}`);
    const line = rig.lines.find((entry) => entry['message'] === 'request complete');
    assert.equal(line?.['scope'], 'access');
    assert.equal(line?.['src.identity'], client.identity);
    assert.equal(line?.['dst.service'], HOST);
    assert.equal(line?.['response_code'], 200);
    assert.equal(line?.['response_flags'], '-');
  });

  it('passes on what the source says of itself, and names the service that was meant', async () => {
    await using rig = await startRig();
    rig.tell([
      { kind: 'service', service: service('HTTP11') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort) },
    ]);
    const baggages: readonly (readonly [sent: string, passedOn: string | undefined])[] = [
      ['service.name=web,k8s.pod.name=web-1', 'k8s.pod.name=web-1,service.name=web'],
      ['service.name=other', 'service.name=other'],
      ['secret=1,k8s.namespace.name=shop', 'k8s.namespace.name=shop'],
      ['nonsense', undefined],
    ];
    for (const [baggage] of baggages) {
      const forwarded = 'for="9.9.9.9:9";host=forged.example';
      const conn = await rig.tunnel(client, undefined, { baggage, forwarded });
      assert.equal((await ask(conn)).status, 200);
    }
    assert.deepEqual(
      rig.connects.map(({ headers }) => headers['baggage']),
      baggages.map(([, passedOn]) => passedOn),
      'a connection is shared only by those who say the same',
    );
    for (const { headers } of rig.connects) {
      assert.match(headers['forwarded'] ?? '', /^for="127\.0\.0\.1:\d+";host=reviews\.shop\.svc/);
    }
  });

  it('decides selector and targetRefs policies for the real caller', async () => {
    await using rig = await startRig();
    rig.tell(
      [
        { kind: 'service', service: service('HTTP11') },
        { kind: 'workload', workload: workload('reviews', rig.backendPort) },
      ],
      [
        policy('no-admin', {
          selector: { matchLabels: { app: 'reviews' } },
          action: 'DENY',
          rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }],
        }),
        policy('callers', {
          targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
          action: 'ALLOW',
          rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/client'] } }] }],
        }),
      ],
    );
    assert.equal((await ask(await rig.tunnel(client), { path: '/x' })).status, 200);
    assert.equal((await ask(await rig.tunnel(client), { path: '/admin' })).status, 403);
    assert.equal((await ask(await rig.tunnel(stranger), { path: '/x' })).status, 403);
    const headers = { 'x-forwarded-client-cert': `By=x;URI=${client.identity}` };
    assert.equal((await ask(await rig.tunnel(stranger), { headers })).status, 403);
    assert.equal(rig.connects.length, 1);
    const denied = rig.lines.filter((line) => line['response_code'] === 403);
    assert.deepEqual(
      denied.map((line) => [line['policy'], line['error']]),
      [
        ['shop/no-admin', 'denied by AuthorizationPolicy shop/no-admin rule 0 (to)'],
        [
          'shop/callers',
          'allow policies exist, but none allowed: shop/callers (rule 0 of shop/callers fails at from)',
        ],
        [
          'shop/callers',
          'allow policies exist, but none allowed: shop/callers (rule 0 of shop/callers fails at from)',
        ],
      ],
    );
  });

  it('decides for the endpoint that was chosen where endpoints differ', async () => {
    await using rig = await startRig();
    rig.tell(
      [
        { kind: 'service', service: service('HTTP11') },
        { kind: 'workload', workload: workload('v1', rig.backendPort) },
        { kind: 'workload', workload: workload('v2', rig.backendPort) },
      ],
      [
        policy('closed', {
          selector: { matchLabels: { app: 'v2' } },
          action: 'DENY',
          rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
        }),
      ],
    );
    const statuses = new Set<number>();
    for (let index = 0; index < 20; index += 1) {
      statuses.add((await ask(await rig.tunnel(client))).status);
    }
    assert.deepEqual([...statuses].sort(), [200, 403]);
  });

  it('refuses while a policy that guards the workload has not arrived', async () => {
    await using rig = await startRig();
    const guard = {
      waypointIdentities: [waypointId.identity],
      ports: [],
      exclusive: true,
      because: ['AuthorizationPolicy/shop/late'],
    };
    rig.tell([
      { kind: 'service', service: service('HTTP11') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort, { guard }) },
    ]);
    assert.equal((await ask(await rig.tunnel(client))).status, 403);
    const line = rig.lines.find((entry) => entry['response_code'] === 403);
    assert.equal(line?.['error'], 'refused until policy shop/late has arrived');
  });

  it('serves a workload by its own address, under its policies', async () => {
    await using rig = await startRig();
    const own = workload('reviews', rig.backendPort, { waypoint: WAYPOINT_ADDRESS });
    rig.tell(
      [
        { kind: 'service', service: service('HTTP11') },
        { kind: 'workload', workload: own },
      ],
      [
        policy('no-admin', {
          selector: { matchLabels: { app: 'reviews' } },
          action: 'DENY',
          rules: [{ to: [{ operation: { paths: ['/admin*'] } }] }],
        }),
      ],
    );
    const authority = `127.0.0.1:${rig.backendPort}`;
    assert.equal((await ask(await rig.tunnel(client, authority))).status, 200);
    assert.equal((await ask(await rig.tunnel(client, authority), { path: '/admin' })).status, 403);
    assert.doesNotMatch(rig.connects[0]?.headers['forwarded'] ?? '', /host=/);
  });

  it('serves what is bound to it under the name that its Gateway gives its Service', async () => {
    await using rig = await startRig({ config: { ...CONFIG, serviceName: 'front' } });
    const hostname = { namespace: 'shop', hostname: 'front.shop.svc.cluster.local' };
    const waypoint = { ...WAYPOINT_ADDRESS, destination: { kind: 'hostname', hostname } as const };
    // Nobody guards it: an endpoint outside of the mesh.
    const { guard: _none, ...outside } = workload('reviews', rig.backendPort);
    rig.tell([
      { kind: 'service', service: service('HTTP11', { waypoint }) },
      { kind: 'workload', workload: outside },
    ]);
    assert.equal((await ask(await rig.tunnel(client))).status, 200);
  });

  const refusals: readonly (readonly [string, string, TestIdentity])[] = [
    ['an unknown address', '10.96.0.9:80', client],
    ['a port that the service lacks', `${VIP}:81`, client],
    ['a service of another waypoint', `10.96.0.2:${PORT}`, client],
    ['itself', `${VIP}:${PORT}`, waypointId],
  ];
  for (const [what, authority, identity] of refusals) {
    it(`refuses a tunnel to ${what}`, async () => {
      await using rig = await startRig();
      const { waypoint: _none, ...unbound } = service('HTTP11', {
        name: 'other',
        hostname: 'other.shop.svc.cluster.local',
        addresses: [{ network: '', address: '10.96.0.2' }],
      });
      rig.tell([
        { kind: 'service', service: service('HTTP11') },
        { kind: 'service', service: unbound },
        { kind: 'workload', workload: workload('reviews', rig.backendPort) },
      ]);
      await assert.rejects(
        rig.tunnel(identity, authority),
        (error) => error instanceof HboneError && error.status === 400,
      );
      assert.match(JSON.stringify(rig.lines), /connection failed/);
    });
  }

  it('decides TCP before it accepts, and cuts what a new policy forbids', async () => {
    const echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
    await using rig = await startRig({ backend: echo });
    const addresses: readonly Address[] = [
      { kind: 'service', service: service('TCP') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort) },
    ];
    const onlyClient = policy('callers', {
      action: 'DENY',
      rules: [{ from: [{ source: { notPrincipals: ['cluster.local/ns/shop/sa/client'] } }] }],
    });
    rig.tell(addresses, [onlyClient]);
    await assert.rejects(
      rig.tunnel(stranger),
      (error) => error instanceof HboneError && error.status === 401,
    );
    const conn = await rig.tunnel(client);
    const echoed = Promise.withResolvers<string>();
    const closed = Promise.withResolvers<void>();
    conn.start({
      onData: (chunk) => echoed.resolve(Buffer.from(chunk).toString()),
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: () => closed.resolve(),
    });
    conn.write(Buffer.from('ping'));
    assert.equal(await echoed.promise, 'ping');
    rig.tell(addresses, [policy('nobody', { action: 'DENY', rules: [{}] })]);
    await closed.promise;
    const line = rig.lines.findLast((entry) => entry['message'] === 'connection complete');
    assert.equal(line?.['error'], 'connection closed due to policy change');
    assert.equal(line?.['policy'], 'shop/nobody');
  });

  it('takes a TCP connection to another endpoint where one is not there', async () => {
    const echo = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
    await using rig = await startRig({ backend: echo });
    rig.tell([
      { kind: 'service', service: service('TCP') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort) },
      {
        kind: 'workload',
        workload: workload('gone', rig.backendPort, { addresses: ['127.0.0.99'] }),
      },
    ]);
    // More than chance would let by.
    for (let i = 0; i < 16; i += 1) {
      const conn = await rig.tunnel(client);
      const recorder = Recorder.on(conn);
      conn.write(Buffer.from('ping'));
      await recorder.until(({ text }) => text === 'ping');
      conn.end();
      await recorder.closed;
    }
  });

  for (const [status, asked, answered] of [
    [401, 1, 401],
    [403, 1, 401],
    [503, 2, 503],
  ] as const) {
    it(`asks ${asked} of two endpoints for TCP whose agents answer ${status}`, async () => {
      await using rig = await startRig({ refusal: { status, reason: 'no' } });
      rig.tell([
        { kind: 'service', service: service('TCP') },
        { kind: 'workload', workload: workload('one', rig.backendPort) },
        { kind: 'workload', workload: workload('two', rig.backendPort) },
      ]);
      await assert.rejects(
        rig.tunnel(client),
        (error) => error instanceof HboneError && error.status === answered,
      );
      assert.equal(rig.connects.length, asked);
    });
  }

  it('reports metrics that merge into one text', async () => {
    await using rig = await startRig();
    rig.tell([
      { kind: 'service', service: service('HTTP11') },
      { kind: 'workload', workload: workload('reviews', rig.backendPort) },
    ]);
    await ask(await rig.tunnel(client));
    rig.worker.receive({ kind: 'report', id: 1, what: 'metrics' });
    const report = rig.said.find((message) => message.kind === 'report');
    const text = await mergedText([report?.value as never, report?.value as never]);
    for (const line of [
      /istio_requests_total\{reporter="waypoint",[^}]*response_code="200"[^}]*\} 2/,
      /istio_request_duration_milliseconds_bucket\{[^}]*le="\+Inf"\} 2/,
      /istio_request_duration_milliseconds_count\{[^}]*\} 2/,
    ]) {
      assert.ok(line.test(text), String(line));
    }
  });

  it('rejects an object by key and goes on', async () => {
    await using rig = await startRig();
    const odd = { ...policy('x', { rules: [{}] }), kind: 'Strange' } as unknown as MeshObject;
    rig.worker.receive({ kind: 'objects', sequence: 9, changed: [odd], removed: [] });
    const applied = rig.said.find(
      (message) => message.kind === 'applied' && message.sequence === 9,
    );
    assert.match(JSON.stringify(applied), /Strange\/shop\/x/);
  });
});
