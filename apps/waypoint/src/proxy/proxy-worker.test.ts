import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import { describe, it } from 'node:test';
import { type MeshObject, parseObject } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { HboneError } from '@ambit/hbone';
import type { Address } from '@ambit/model';
import { Recorder } from '@ambit/proxy/testing';
import { mergedText } from '@ambit/telemetry';
import type { TestIdentity } from '@ambit/testkit';
import { HOST, PORT, service, VIP, WAYPOINT_ADDRESS, workload } from '../testing.ts';
import {
  ask,
  CONFIG,
  client,
  policy,
  startRig,
  stranger,
  waypointId,
} from './proxy-worker.testing.ts';

const LOOKS_MAX = 400;

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

  it('names nobody who was asked before where policy refuses the next endpoint', async () => {
    await using rig = await startRig();
    rig.tell(
      [
        { kind: 'service', service: service('TCP') },
        { kind: 'workload', workload: workload('closed', rig.backendPort) },
        {
          kind: 'workload',
          workload: workload('gone', rig.backendPort, {
            addresses: ['127.0.0.99'],
            tunnelProtocol: 'NONE',
          }),
        },
      ],
      [
        policy('closed', {
          selector: { matchLabels: { app: 'closed' } },
          action: 'DENY',
          rules: [{}],
        }),
      ],
    );
    for (let i = 0; i < 16; i += 1) {
      await assert.rejects(rig.tunnel(client), { code: 'HBONE_STATUS', status: 401 });
    }
    const refused = rig.lines.filter((line) => line['policy'] === 'shop/closed');
    assert.equal(refused.length, 16);
    for (const line of refused) assert.equal(line['dst.workload'], undefined);
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

  it('gives up the tunnel to a pod that has left once its last connection has ended', async () => {
    await using rig = await startRig();
    const once = {
      apiVersion: 'networking.istio.io/v1',
      kind: 'DestinationRule',
      metadata: { name: 'once', namespace: 'shop' },
      spec: {
        host: HOST,
        trafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } },
      },
    };
    const { object } = parseObject(once);
    assert.ok(object !== undefined);
    const left = workload('reviews', rig.backendPort);
    rig.tell(
      [
        { kind: 'service', service: service('HTTP11') },
        { kind: 'workload', workload: left },
      ],
      [object],
    );
    const tunnels = (): unknown => {
      rig.worker.receive({ kind: 'report', id: 1, what: 'metrics' });
      const reports = rig.said.filter((message) => message.kind === 'report');
      const text = JSON.stringify(reports.at(-1));
      return /"ambit_hbone_upstream_tunnels".*?"value":(\d+)/.exec(text)?.[1];
    };
    assert.equal((await ask(await rig.tunnel(client))).status, 200);
    assert.equal(tunnels(), '1', 'kept for the next request');
    rig.worker.receive({ kind: 'addresses', sequence: 7, changed: [], removed: [left.uid] });
    for (let looks = 0; looks < LOOKS_MAX && tunnels() !== '0'; looks += 1) {
      await systemClock.sleep(5);
    }
    assert.equal(tunnels(), '0');
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
