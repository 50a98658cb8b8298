import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type MeshObject, type ObjectKey, parseObject } from '@ambit/api';
import { keyOf } from '@ambit/model';
import { type StreamView, TYPE_URL, type XdsNode } from '@ambit/xds';

import type { RemoteProxy } from '../replicas/remote-book.ts';
import { ProxyTable } from './proxy-table.ts';

function pod(name: string, account: string, labels: Record<string, string>): MeshObject {
  const { object, findings } = parseObject({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels },
    spec: { serviceAccountName: account, nodeName: 'node1', containers: [{ name: 'proxy' }] },
    status: { phase: 'Running', podIP: '10.0.0.1' },
  });
  assert.ok(object !== undefined, JSON.stringify(findings));
  return object;
}

function stream(podName: string, type: string, account = 'waypoint'): StreamView {
  const node: XdsNode = {
    id: `${type}~10.0.0.1~${podName}.shop~shop.svc.cluster.local`,
    type,
    ip: '10.0.0.1',
    podName,
    namespace: 'shop',
    serviceAccount: account,
    nodeName: 'node1',
    metadata: {},
  };
  return {
    id: 1,
    caller: { namespace: 'shop', serviceAccount: account } as StreamView['caller'],
    node,
    connectedAtMs: 0,
    types: new Map(),
  };
}

function table(revision?: string) {
  const objects = new Map<ObjectKey, MeshObject>();
  let nowMs = 0;
  const remote = new Map<string, RemoteProxy>();
  const proxies = new ProxyTable({
    objects,
    trustedNodeAccounts: new Set(['shop/agent']),
    wallNow: () => nowMs,
    capturedOf: () => [],
    waypointOf: () => 'shop/waypoint',
    revision,
    remote: () => remote,
  });
  const key = 'Pod/shop/waypoint-1';
  return {
    proxies,
    objects,
    remote,
    setPod: (isThere: boolean) => {
      if (isThere) {
        const labels = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };
        objects.set(key, pod('waypoint-1', 'waypoint', labels));
      } else {
        objects.delete(key);
      }
      proxies.updatePod(key);
    },
    setNow: (ms: number) => {
      nowMs = ms;
    },
  };
}

describe('ProxyTable', () => {
  it('expects no waypoint where a pod only carries the label', () => {
    const { proxies, objects } = table();
    const labels = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };
    const other = { 'gateway.networking.k8s.io/gateway-name': 'ingress' };
    const gateway = (account?: string): void => {
      const annotations =
        account === undefined ? {} : { 'gateway.istio.io/service-account': account };
      const { object } = parseObject({
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { name: 'waypoint', namespace: 'shop', annotations },
        spec: {
          gatewayClassName: 'istio-waypoint',
          listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
        },
      });
      assert.ok(object);
      objects.set('Gateway/shop/waypoint', object);
    };
    objects.set('Pod/shop/web', pod('web', 'web', labels));
    objects.set('Pod/shop/ingress', pod('ingress', 'ingress', other));
    for (const key of objects.keys()) proxies.updatePod(key);
    const names = (): readonly string[] => proxies.unreachable().map((one) => one.pod);
    assert.deepEqual(names(), []);
    gateway('web');
    assert.deepEqual(names(), ['Pod/shop/web']);
    gateway();
    assert.deepEqual(names(), []);
  });

  it('expects no waypoint that leaves its tunnels to its agent, by its Gateway or its class', () => {
    const { proxies, objects } = table();
    const labels = { 'gateway.networking.k8s.io/gateway-name': 'front' };
    objects.set('Pod/shop/front-0', pod('front-0', 'front', labels));
    proxies.updatePod('Pod/shop/front-0');
    const binding = { 'ambient.istio.io/waypoint-inbound-binding': 'PROXY/15088' };
    const expects = (own: object, ofClass: object): boolean => {
      const apiVersion = 'gateway.networking.k8s.io/v1';
      const listeners = [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }];
      for (const object of [
        {
          apiVersion,
          kind: 'Gateway',
          metadata: { name: 'front', namespace: 'shop', annotations: own },
          spec: {
            gatewayClassName: 'istio-waypoint',
            listeners,
            addresses: [{ type: 'IPAddress', value: '10.0.0.9' }],
          },
        },
        {
          apiVersion,
          kind: 'GatewayClass',
          metadata: { name: 'istio-waypoint', annotations: ofClass },
          spec: { controllerName: 'example.com/front' },
        },
      ]) {
        const parsed = parseObject(object).object;
        assert.ok(parsed);
        objects.set(keyOf(parsed), parsed);
      }
      return proxies.unreachable().length > 0;
    };
    assert.equal(expects({}, {}), true);
    assert.equal(expects(binding, {}), false);
    assert.equal(expects({}, binding), false);
  });

  it('counts of two streams of one proxy the newest', () => {
    const { proxies } = table();
    const old = stream('waypoint-1', 'waypoint');
    proxies.onEvent({ kind: 'opened', stream: { ...old, id: 2, connectedAtMs: 7 } });
    proxies.onEvent({ kind: 'opened', stream: old });
    assert.deepEqual(
      proxies.streams.map(({ connectedAtMs }) => connectedAtMs),
      [7],
    );
    assert.equal(proxies.list().length, 1);
  });

  it('takes one that has a newer stream to another replica for connected there', () => {
    const { proxies, setPod, remote } = table();
    setPod(true);
    const view = stream('waypoint-1', 'waypoint');
    const id = view.node?.id ?? '';
    proxies.onEvent({ kind: 'opened', stream: view });
    const [own] = proxies.own();
    assert.ok(own !== undefined);
    const there = { replica: 'controller-2', proxy: { ...own, connectedAtMs: 9 } };
    remote.set(id, { ...there, lostAtMs: undefined });
    assert.deepEqual(proxies.own(), []);
    assert.deepEqual(proxies.unreachable(), []);
    assert.deepEqual(
      proxies.list().map(({ replica, connectedSinceMs }) => ({ replica, connectedSinceMs })),
      [{ replica: 'controller-2', connectedSinceMs: 9 }],
    );
    proxies.onEvent({ kind: 'closed', stream: view });
    assert.equal(proxies.list().length, 1, 'gone here, and shown once');
    remote.set(id, { ...there, lostAtMs: 11 });
    assert.equal(proxies.unreachable().length, 1);
    assert.deepEqual(
      proxies.list().map(({ disconnectedSinceMs }) => disconnectedSinceMs),
      [11],
    );
  });

  it('says which roots a proxy says it has, and that nobody knows of one that is away', () => {
    const { proxies, setPod } = table();
    setPod(true);
    const away = { name: 'waypoint shop/waypoint', names: undefined };
    assert.deepEqual(proxies.trust(), [away]);
    const names = new Set(['file/a', 'certificate/b/a']);
    const view = stream('waypoint-1', 'waypoint');
    proxies.onEvent({ kind: 'opened', stream: view });
    assert.deepEqual(proxies.trust(), [away]);
    const none = { acked: new Map(), rejected: new Map(), lastSequence: 0, ackedSequence: 0 };
    const type = { ...none, names, isWildcard: false, isSettled: true };
    const types: StreamView['types'] = new Map([[TYPE_URL.trust, type]]);
    const speaking = { ...view, types };
    proxies.onEvent({ kind: 'opened', stream: speaking });
    assert.deepEqual(proxies.trust(), [{ ...away, names }]);
    proxies.onEvent({ kind: 'closed', stream: speaking });
    assert.deepEqual(proxies.trust(), [away]);
  });

  it('counts nobody that is no agent and no waypoint by its account, here or at another replica', () => {
    const { proxies, remote } = table();
    const views = [
      stream('agent-1', 'ztunnel', 'agent'),
      stream('waypoint-1', 'waypoint'),
      stream('web-1', 'ztunnel', 'web'),
      stream('web-2', 'waypoint', 'web'),
      // Agents are no waypoints either.
      stream('agent-2', 'waypoint', 'agent'),
    ];
    for (const [id, view] of views.entries()) {
      proxies.onEvent({ kind: 'opened', stream: { ...view, id } });
    }
    const counted = ['node-agent node1', 'waypoint shop/waypoint'];
    assert.deepEqual(
      proxies.meshStreams.map(({ node }) => node?.podName),
      ['agent-1', 'waypoint-1'],
    );
    assert.deepEqual(
      proxies.trust().map(({ name }) => name),
      counted,
    );
    for (const one of proxies.own()) {
      const proxy = { ...one, id: `there ${one.id}` };
      remote.set(proxy.id, { replica: 'controller-2', lostAtMs: undefined, proxy });
    }
    assert.deepEqual(
      proxies.trust().map(({ name }) => name),
      [...counted, ...counted],
    );
    assert.equal(proxies.list().length, 2 * views.length, 'people see all of them');
  });

  for (const [said, version] of [
    ['0.1.0', '0.1.0'],
    ['1.2.3-rc.1+build.7', '1.2.3-rc.1+build.7'],
    [undefined, undefined],
    [7, undefined],
    ['', undefined],
    ['1.0.0\nPROBLEMS', undefined],
    ['1'.repeat(65), undefined],
  ] as const) {
    it(`shows ${version ?? 'no version'} of a proxy that says ${JSON.stringify(said)}`, () => {
      const { proxies } = table();
      const view = stream('waypoint-1', 'waypoint');
      assert.ok(view.node !== undefined);
      const metadata = said === undefined ? {} : { AMBIT_VERSION: said };
      proxies.onEvent({ kind: 'opened', stream: { ...view, node: { ...view.node, metadata } } });
      assert.equal(proxies.list()[0]?.version, version);
    });
  }

  for (const [title, labels, count] of [
    ['expects one of ours', { 'istio.io/rev': 'ambit' }, 1],
    ['expects none of another mesh', { 'istio.io/rev': 'default' }, 0],
    ['expects none of another mesh by default', {}, 0],
  ] as const) {
    it(`${title} beside another mesh`, () => {
      const { proxies, setPod, objects } = table('ambit');
      setPod(true);
      const { object } = parseObject({
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { name: 'waypoint', namespace: 'shop', labels },
        spec: {
          gatewayClassName: 'istio-waypoint',
          listeners: [{ name: 'a', port: 15008, protocol: 'HBONE' }],
        },
      });
      assert.ok(object !== undefined);
      objects.set('Gateway/shop/waypoint', object);
      assert.equal(proxies.unreachable().length, count);
    });
  }

  it('hides no pod of a waypoint that has no stream behind one that has', () => {
    const { proxies, objects, setPod } = table();
    setPod(true);
    const labels = { 'gateway.networking.k8s.io/gateway-name': 'waypoint' };
    objects.set('Pod/shop/waypoint-2', pod('waypoint-2', 'waypoint', labels));
    proxies.updatePod('Pod/shop/waypoint-2');
    const shown = (): readonly (readonly [string | undefined, boolean])[] =>
      proxies.list().map((one) => [one.pod, one.connectedSinceMs !== undefined]);
    const view = stream('waypoint-1', 'waypoint');
    proxies.onEvent({ kind: 'opened', stream: view });
    assert.deepEqual(shown(), [
      ['Pod/shop/waypoint-2', false],
      ['Pod/shop/waypoint-1', true],
    ]);
    proxies.onEvent({ kind: 'closed', stream: view });
    assert.deepEqual(shown(), [
      ['Pod/shop/waypoint-2', false],
      ['Pod/shop/waypoint-1', false],
    ]);
  });

  it('shows a waypoint that went as unreachable while its pod runs', () => {
    const { proxies, setPod, setNow } = table();
    setPod(true);
    const view = stream('waypoint-1', 'waypoint');
    proxies.onEvent({ kind: 'opened', stream: view });
    setNow(5);
    proxies.onEvent({ kind: 'closed', stream: view });
    setNow(3_600_000);
    assert.deepEqual(
      proxies.list().map(({ name, disconnectedSinceMs }) => ({ name, disconnectedSinceMs })),
      [{ name: 'shop/waypoint', disconnectedSinceMs: 5 }],
    );
  });

  it('forgets a waypoint with its pod, so that a replaced one is no laggard', () => {
    const { proxies, setPod } = table();
    setPod(true);
    const view = stream('waypoint-1', 'waypoint');
    proxies.onEvent({ kind: 'opened', stream: view });
    proxies.onEvent({ kind: 'closed', stream: view });
    setPod(false);
    assert.deepEqual(proxies.list(), []);
  });

  it('shows a proxy that has no pod here for ten minutes after it went', () => {
    const { proxies, setNow } = table();
    const view = stream('vm-1', 'ztunnel');
    proxies.onEvent({ kind: 'opened', stream: view });
    proxies.onEvent({ kind: 'closed', stream: view });
    setNow(600_000);
    assert.equal(proxies.list().length, 1);
    setNow(600_001);
    assert.equal(proxies.list().length, 0);
  });
});
