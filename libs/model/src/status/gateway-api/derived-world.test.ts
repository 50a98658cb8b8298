import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { modelOf, namespace, parsed, pod, service } from '../../objects.testing.ts';
import type { Condition, ObjectStatus } from '../../types.ts';
import { GATEWAY_CONTROLLER } from './derived-world.ts';

const AMBIENT = namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
const PORTS = [{ port: 80 }, { port: 9090 }];
const REVIEWS = service('reviews', '10.1.0.1', { ports: PORTS });
const ELSEWHERE = service('ratings', '10.1.0.2', { namespace: 'other', ports: PORTS });

function route(kind: string, more: object = {}, name = kind.toLowerCase()): MeshObject {
  const version = kind === 'TCPRoute' ? 'v1alpha2' : 'v1';
  return parsed({
    apiVersion: `gateway.networking.k8s.io/${version}`,
    kind,
    metadata: { name, namespace: 'shop', generation: 4 },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
      rules: [{ backendRefs: [{ name: 'reviews', port: 80 }] }],
      ...more,
    },
  });
}

function at(port: number) {
  return { parentRefs: [{ group: '', kind: 'Service', name: 'reviews', port }] };
}

function gateway(more: object = {}): MeshObject {
  return parsed({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name: 'w', namespace: 'shop', generation: 2 },
    spec: {
      gatewayClassName: 'istio-waypoint',
      listeners: [{ name: 'mesh', port: 15_008, protocol: 'HBONE' }],
      ...more,
    },
  });
}

function grant(name?: string): MeshObject {
  return parsed({
    apiVersion: 'gateway.networking.k8s.io/v1beta1',
    kind: 'ReferenceGrant',
    metadata: { name: 'g', namespace: 'other' },
    spec: {
      from: [{ group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', namespace: 'shop' }],
      to: [{ group: '', kind: 'Service', ...(name === undefined ? {} : { name }) }],
    },
  });
}

function statusOf(key: string, objects: readonly MeshObject[]): ObjectStatus {
  const found = modelOf(...objects).outputs.statuses.get(key);
  assert.ok(found, key);
  return found;
}

function line(conditions: readonly Condition[]): string {
  return conditions.map(({ type, status, reason }) => `${type}=${status}/${reason}`).join(' ');
}

function parentLines(key: string, objects: readonly MeshObject[]): readonly string[] {
  const { gatewayApi } = statusOf(key, objects);
  assert.ok(gatewayApi?.kind === 'parents');
  return gatewayApi.parents.map(({ conditions, controllerName }) => {
    assert.equal(controllerName, GATEWAY_CONTROLLER);
    return line(conditions);
  });
}

const ACCEPTED = 'Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs';
const CONFLICTED = 'Accepted=False/Conflicted ResolvedRefs=True/ResolvedRefs';

describe('statuses of routes, from the model', () => {
  const world = [AMBIENT, REVIEWS, ELSEWHERE];
  const cases: readonly (readonly [
    title: string,
    key: string,
    objects: readonly MeshObject[],
    lines: readonly string[],
  ])[] = [
    ['a GRPCRoute', 'GRPCRoute/shop/grpcroute', [route('GRPCRoute')], [ACCEPTED]],
    [
      'an HTTPRoute beside a GRPCRoute',
      'HTTPRoute/shop/httproute',
      [route('HTTPRoute'), route('GRPCRoute')],
      [CONFLICTED],
    ],
    [
      'a GRPCRoute beside an HTTPRoute',
      'GRPCRoute/shop/grpcroute',
      [route('HTTPRoute'), route('GRPCRoute')],
      [ACCEPTED],
    ],
    [
      'an HTTPRoute that a GRPCRoute leaves a port',
      'HTTPRoute/shop/httproute',
      [route('HTTPRoute'), route('GRPCRoute', at(9090))],
      [ACCEPTED],
    ],
    [
      'an HTTPRoute at the port of a GRPCRoute',
      'HTTPRoute/shop/httproute',
      [route('HTTPRoute', at(9090)), route('GRPCRoute', at(9090))],
      [CONFLICTED],
    ],
    [
      'a TCPRoute beside an HTTPRoute',
      'TCPRoute/shop/tcproute',
      [route('TCPRoute'), route('HTTPRoute')],
      [CONFLICTED],
    ],
    [
      'a port that the service does not have',
      'HTTPRoute/shop/httproute',
      [route('HTTPRoute', at(1))],
      ['Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs'],
    ],
    [
      'two parents, of which one is not there',
      'HTTPRoute/shop/httproute',
      [
        route('HTTPRoute', {
          parentRefs: ['reviews', 'nobody'].map((name) => ({ group: '', kind: 'Service', name })),
        }),
      ],
      [ACCEPTED, 'Accepted=False/NoMatchingParent ResolvedRefs=True/ResolvedRefs'],
    ],
    [
      'a backend of another namespace, which needs no grant in the mesh',
      'HTTPRoute/shop/httproute',
      [
        route('HTTPRoute', {
          rules: [{ backendRefs: [{ name: 'ratings', namespace: 'other', port: 80 }] }],
        }),
      ],
      [ACCEPTED],
    ],
    [
      "another controller's Gateway",
      'HTTPRoute/shop/httproute',
      [route('HTTPRoute', { parentRefs: [{ name: 'edge' }] })],
      [],
    ],
  ];
  for (const [title, key, objects, lines] of cases) {
    it(`of ${title}`, () => {
      assert.deepEqual(parentLines(key, [...world, ...objects]), lines);
    });
  }

  const toOther = route('HTTPRoute', {
    parentRefs: [{ name: 'w' }],
    rules: [{ backendRefs: [{ name: 'ratings', namespace: 'other', port: 80 }] }],
  });
  for (const [title, grants, reason] of [
    ['no grant', [], 'False/RefNotPermitted'],
    ['a grant for all', [grant()], 'True/ResolvedRefs'],
    ['a grant for this one', [grant('ratings')], 'True/ResolvedRefs'],
    ['a grant for another', [grant('reviews')], 'False/RefNotPermitted'],
  ] as const) {
    it(`of one at a Gateway, to another namespace with ${title}`, () => {
      const objects = [...world, gateway(), toOther, ...grants];
      assert.deepEqual(parentLines('HTTPRoute/shop/httproute', objects), [
        `Accepted=False/UnsupportedValue ResolvedRefs=${reason}`,
      ]);
    });
  }

  it('say of the object as a whole that a route of another kind goes before it', () => {
    const objects = [...world, route('HTTPRoute'), route('GRPCRoute')];
    const [accepted] = statusOf('HTTPRoute/shop/httproute', objects).conditions;
    assert.equal(accepted?.reason, 'Conflicted');
    assert.match(accepted.message, /^GRPCRoute\/shop\/grpcroute is bound to the same service/);
  });
});

describe('statuses of Gateways, from the model', () => {
  const ofGateway = (...objects: readonly MeshObject[]) => {
    const { gatewayApi } = statusOf('Gateway/shop/w', [AMBIENT, ...objects]);
    assert.ok(gatewayApi?.kind === 'gateway');
    return gatewayApi.gateway;
  };
  const labels = { 'gateway.networking.k8s.io/gateway-name': 'w' };

  it('wait for an instance', () => {
    const { conditions, addresses, listeners } = ofGateway(gateway());
    assert.equal(line(conditions), 'Accepted=True/Accepted Programmed=False/Pending');
    assert.deepEqual(addresses, []);
    assert.deepEqual(
      listeners.map(({ name, attachedRoutes }) => [name, attachedRoutes]),
      [['mesh', 0]],
    );
    assert.ok(conditions.every(({ observedGeneration }) => observedGeneration === 2));
  });

  it('have the addresses of its Service once it runs', () => {
    const { conditions, addresses } = ofGateway(
      gateway(),
      service('w', '10.1.0.9', { labels }),
      pod('w-1', '10.0.0.9', { labels }),
    );
    assert.equal(line(conditions), 'Accepted=True/Accepted Programmed=True/Programmed');
    assert.deepEqual(addresses, [
      { type: 'IPAddress', value: '10.1.0.9' },
      { type: 'Hostname', value: 'w.shop.svc.cluster.local' },
    ]);
  });

  it('are left to others for classes of theirs', () => {
    const { gatewayApi } = statusOf('Gateway/shop/w', [
      gateway({
        gatewayClassName: 'other',
        listeners: [{ name: 'a', port: 80, protocol: 'HTTP' }],
      }),
    ]);
    assert.equal(gatewayApi, undefined);
  });
});
