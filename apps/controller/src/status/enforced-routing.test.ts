/** `Enforced` of routing objects as the model says where they are followed, with proxies that have everything. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseObject } from '@ambit/api';
import { MeshModel } from '@ambit/model';
import { stream } from './enforcement.testing.ts';
import { Enforcement } from './enforcement.ts';

type Json = Readonly<Record<string, unknown>>;

function enforcedOf(key: string, waypoint: string, written: readonly Json[]): string {
  const names = { trustDomain: 'cluster.local', clusterDomain: 'cluster.local' };
  const model = new MeshModel({
    ...{ ...names, rootNamespace: 'istio-system' },
    ...{ clusterId: 'Kubernetes', network: '' },
  });
  const upserts = written.map((value) => {
    const { object, findings } = parseObject(value);
    assert.ok(object, JSON.stringify(findings));
    return object;
  });
  model.apply({ upserts });
  const settled = { acked: {}, isSettled: true };
  const enforcement = new Enforcement({
    outputs: () => model.outputs,
    generation: () => 1,
    version: () => '1',
    streams: () => [
      stream({ pod: 'agent', ...settled }),
      stream({ pod: 'waypoint', type: 'waypoint', ...settled }),
    ],
    unreachable: () => [],
    waypointOf: ({ type }) => (type === 'waypoint' ? waypoint : undefined),
  });
  enforcement.evaluate();
  const found = enforcement.conditions.get(key);
  return `${found?.status} ${found?.reason}`;
}

const object = (apiVersion: string, kind: string, metadata: Json, rest: Json = {}): Json => ({
  ...{ apiVersion, kind, ...rest },
  metadata: { namespace: 'shop', ...metadata },
});
const networking = (kind: string, namespace: string, spec: Json): Json =>
  object('networking.istio.io/v1', kind, { name: 'r', namespace }, { spec });
const rule = (namespace: string, host: string): Json =>
  networking('DestinationRule', namespace, {
    ...{ host, trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } },
  });
const HOST = 'reviews.shop.svc.cluster.local';
const routed = (namespace: string, host: string): Json =>
  networking('VirtualService', namespace, {
    hosts: [host],
    http: [{ route: [{ destination: { host: HOST } }] }],
  });
const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';
const service = (name: string, labels: Json = {}): Json =>
  object('v1', 'Service', { name, labels }, { spec: { ports: [{ name: 'http', port: 80 }] } });
/** As the controller makes them, with an instance that takes calls or does not yet. */
const waypoint = (namespace: string, isReady: boolean): readonly Json[] => [
  object(
    'gateway.networking.k8s.io/v1',
    'Gateway',
    { name: 'waypoint', namespace },
    {
      spec: {
        gatewayClassName: 'istio-waypoint',
        listeners: [
          {
            ...{ name: 'mesh', port: 15008, protocol: 'HBONE' },
            allowedRoutes: { namespaces: { from: 'All' } },
          },
        ],
      },
    },
  ),
  object(
    'v1',
    'Pod',
    { name: 'waypoint-1', namespace, labels: { [GATEWAY_NAME]: 'waypoint' } },
    {
      spec: { nodeName: 'n', serviceAccountName: 'waypoint', containers: [] },
      status: {
        ...{ phase: 'Running', podIPs: [{ ip: '10.0.9.9' }] },
        conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
      },
    },
  ),
];

describe('Enforced of a wildcard', () => {
  const OWN = service('waypoint', { [GATEWAY_NAME]: 'waypoint' });
  const shop = [
    object('v1', 'Namespace', { name: 'shop', namespace: '' }),
    ...[service('reviews'), OWN, ...waypoint('shop', true)],
  ];
  // It was False of all but the last as soon as the waypoint had its Service, which is always.
  for (const [written, key, expected] of [
    [rule('istio-system', '*.local'), 'DestinationRule/istio-system/r', 'True Enforced'],
    [
      rule('istio-system', '*.svc.cluster.local'),
      'DestinationRule/istio-system/r',
      'True Enforced',
    ],
    [rule('shop', '*.shop.svc.cluster.local'), 'DestinationRule/shop/r', 'True Enforced'],
    [routed('shop', '*.shop.svc.cluster.local'), 'VirtualService/shop/r', 'True Enforced'],
    [rule('shop', 'waypoint'), 'DestinationRule/shop/r', 'False WaypointOptedOut'],
  ] as const) {
    it(`is ${expected} of ${key}: ${JSON.stringify(written['spec'])}`, () => {
      assert.equal(enforcedOf(key, 'shop/waypoint', [...shop, written]), expected);
    });
  }
});

describe('Enforced of what the waypoint of another namespace follows', () => {
  const TO_INFRA = {
    'istio.io/use-waypoint': 'waypoint',
    'istio.io/use-waypoint-namespace': 'infra',
  };
  const shop = (isReady: boolean): readonly Json[] => [
    ...['shop', 'infra'].map((name) => object('v1', 'Namespace', { name, namespace: '' })),
    ...[service('reviews', TO_INFRA), ...waypoint('infra', isReady)],
  ];
  const hidden = networking('DestinationRule', 'shop', {
    ...{ host: HOST, exportTo: ['infra'] },
    trafficPolicy: { loadBalancer: { simple: 'RANDOM' } },
  });
  // Of the namespace of the waypoint, and for it alone, it was True while nothing went by them.
  for (const [written, key] of [
    [routed('infra', HOST), 'VirtualService/infra/r'],
    [rule('infra', HOST), 'DestinationRule/infra/r'],
    [rule('istio-system', HOST), 'DestinationRule/istio-system/r'],
    [hidden, 'DestinationRule/shop/r'],
    [routed('shop', HOST), 'VirtualService/shop/r'],
    [rule('shop', HOST), 'DestinationRule/shop/r'],
  ] as const) {
    it(`waits for its ready instance: ${key} ${JSON.stringify(written['spec'])}`, () => {
      const said = (isReady: boolean) =>
        enforcedOf(key, 'infra/waypoint', [...shop(isReady), written]);
      assert.equal(said(false), 'Unknown Waiting');
      assert.equal(said(true), 'True Enforced');
    });
  }

  it('is none of what it does not follow', () => {
    const said = enforcedOf('VirtualService/evil/r', 'infra/waypoint', [
      ...[...shop(false), routed('evil', HOST)],
    ]);
    assert.equal(said, 'False NotAttached');
  });
});
