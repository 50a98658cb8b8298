/** A VirtualService beside Gateway API routes of its namespace: its status says what a waypoint does that has all of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';
import { matchHttp, matchTcp } from '@ambit/routing';

import { AMBIENT, REVIEWS } from '../mesh.testing.ts';
import { gateway, modelOf, networking, parsed, service } from '../objects.testing.ts';
import { MeshIndex } from '../view/mesh-index.ts';
import { WaypointView } from '../view/waypoint-view.ts';

const HOST = 'reviews.shop.svc.cluster.local';
const V = 'VirtualService/shop/v';
const PORTS = { http: 80, 'http-b': 81, tcp: 90, other: 95 };
const SERVICE = service('reviews', '10.1.0.1', {
  ports: Object.entries(PORTS).map(([name, port]) => ({ name, port, targetPort: port })),
});
const ONE_HTTP = service('reviews', '10.1.0.1', {
  ports: [
    { name: 'http', port: 80, targetPort: 80 },
    { name: 'tcp', port: 90, targetPort: 90 },
  ],
});
const to = (port: number) => [{ destination: { host: HOST, port: { number: port } } }];
const virtual = (spec: object): MeshObject =>
  networking('VirtualService', 'v', { hosts: [HOST], ...spec });
const HTTP = virtual({ http: [{ route: to(81) }] });
const TCP = virtual({ tcp: [{ route: to(90) }] });
const AT_80 = virtual({ http: [{ match: [{ port: 80 }], route: to(81) }] });
const TCP_AT_90 = virtual({ tcp: [{ match: [{ port: 90 }], route: to(90) }] });
const BOTH = virtual({ http: [{ route: to(81) }], tcp: [{ route: to(90) }] });
const route = (kind: string, ports: readonly (number | undefined)[]): MeshObject =>
  parsed({
    apiVersion: `gateway.networking.k8s.io/${kind === 'TCPRoute' ? 'v1alpha2' : 'v1'}`,
    kind,
    metadata: { name: 'r', namespace: 'shop' },
    spec: {
      parentRefs: ports.map((port) => ({
        ...{ group: '', kind: 'Service', name: 'reviews' },
        ...(port === undefined ? {} : { port }),
      })),
      rules: [{ backendRefs: [{ name: 'reviews', port: 80 }] }],
    },
  });

/** Ports at which the waypoint goes by the VirtualService. */
function routedAt({ outputs }: ReturnType<typeof modelOf>): readonly number[] {
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: outputs.addresses.values(), removed: [] });
  const view = new WaypointView(index, {
    ...{ namespace: 'shop', name: 'waypoint', className: 'istio-waypoint' },
    ...{ trustDomain: 'cluster.local', rootNamespace: 'istio-system' },
    clusterDomain: 'cluster.local',
  });
  const scope = outputs.scopes.get('shop/waypoint') ?? new Set();
  view.apply({ changed: [...scope].flatMap((key) => outputs.objects.get(key) ?? []), removed: [] });
  const found = index.service('shop', HOST);
  assert.ok(found);
  const { http, tcp } = view.routes(found);
  const source = { namespace: 'shop', labels: {} };
  const from = { source, scheme: 'http', method: 'GET', path: '/', query: '', authority: HOST };
  return found.ports.flatMap(({ servicePort: port, appProtocol }) => {
    const request = { ...from, port, headers: { get: () => undefined } };
    const isStream = appProtocol === 'TCP' || appProtocol === 'TLS';
    const byRequest = matchHttp(http, request as never);
    const rules = [
      ...(!isStream && 'rule' in byRequest ? [byRequest.rule] : []),
      ...(isStream || appProtocol === 'UNKNOWN' ? [tcpRule({ port, source }, tcp)] : []),
    ];
    return rules.some((rule) => rule?.origin.object === V) ? [port] : [];
  });
}

function tcpRule(
  to: {
    readonly port: number;
    readonly source: { readonly namespace: string; readonly labels: object };
  },
  table: Parameters<typeof matchTcp>[0],
) {
  const found = matchTcp(table, { destinationIp: new Uint8Array(4), ...to } as never);
  return 'rule' in found ? found.rule : undefined;
}

describe('a VirtualService beside routes of Gateway API', () => {
  // All but the first and those that say Conflicted were said to be Conflicted, and the waypoint went by them.
  for (const [title, world, ports, said] of [
    ['none of them', [SERVICE, HTTP], [80, 81, 95], /^True .*waypoint$/],
    [
      'an HTTPRoute at one port',
      [SERVICE, HTTP, route('HTTPRoute', [80])],
      [81, 95],
      /^True .*: shop\/\S+ at 80$/,
    ],
    [
      'an HTTPRoute at two',
      [SERVICE, HTTP, route('HTTPRoute', [80, 81])],
      [95],
      /^True .* at 80 and 81$/,
    ],
    [
      'an HTTPRoute at another',
      [SERVICE, HTTP, route('HTTPRoute', [99])],
      [80, 81, 95],
      /^True .*waypoint$/,
    ],
    [
      'a GRPCRoute at one port',
      [SERVICE, HTTP, route('GRPCRoute', [81])],
      [80, 95],
      /^True .* at 81$/,
    ],
    [
      'a TCPRoute',
      [SERVICE, HTTP, route('TCPRoute', [undefined])],
      [80, 81, 95],
      /^True .*waypoint$/,
    ],
    [
      'an HTTPRoute, of streams',
      [SERVICE, TCP, route('HTTPRoute', [undefined])],
      [90, 95],
      /^True .*waypoint$/,
    ],
    [
      'a TCPRoute at one port, of streams',
      [SERVICE, TCP, route('TCPRoute', [90])],
      [95],
      /^True .* at 90$/,
    ],
    [
      'an HTTPRoute, of both',
      [SERVICE, BOTH, route('HTTPRoute', [undefined])],
      [90, 95],
      /^True .* at 80 and 81 and 95$/,
    ],
    ['an HTTPRoute', [SERVICE, HTTP, route('HTTPRoute', [undefined])], [], /^False Conflicted/],
    [
      'a TCPRoute, of streams',
      [SERVICE, TCP, route('TCPRoute', [undefined])],
      [],
      /^False Conflicted/,
    ],
    [
      'a TCPRoute at the one port of its streams',
      [SERVICE, TCP_AT_90, route('TCPRoute', [90])],
      [],
      /^False Conflicted/,
    ],
    // At another one it answers that there is no route.
    [
      'an HTTPRoute at the one port of its rules',
      [SERVICE, AT_80, route('HTTPRoute', [80])],
      [],
      /^True .* at 80$/,
    ],
    [
      'an HTTPRoute at the only one of HTTP',
      [ONE_HTTP, HTTP, route('HTTPRoute', [80])],
      [],
      /^False Conflicted/,
    ],
    [
      'an HTTPRoute at all of HTTP',
      [SERVICE, HTTP, route('HTTPRoute', [80, 81, 95])],
      [],
      /^False Conflicted/,
    ],
  ] as const) {
    it(`is said to be followed at ${ports.join(', ') || 'no port'}: ${title}`, () => {
      const model = modelOf(AMBIENT, REVIEWS, ...world);
      const { conditions = [] } = model.outputs.statuses.get(V) ?? {};
      const attached = conditions.find(({ type }) => type === 'Attached');
      assert.match(`${attached?.status} ${attached?.reason} ${attached?.message}`, said);
      const ready = conditions.some(({ type }) => type === 'WaypointReady');
      assert.equal(ready, attached?.status === 'True', 'what is followed waits for the waypoint');
      assert.deepEqual(routedAt(model), ports);
    });
  }
});

describe('a VirtualService beside ports', () => {
  /** Its waypoint is there whatever asks for one, and gets all. */
  const at = (ports: Readonly<Record<string, number>>): MeshObject =>
    service('reviews', '10.1.0.1', {
      labels: { 'istio.io/use-waypoint': 'waypoint' },
      ports: Object.entries(ports).map(([name, port]) => ({ name, port, targetPort: port })),
    });
  const T = at({ tcp: 90 });
  const H = at({ http: 80 });
  const TLS = virtual({ tls: [{ match: [{ sniHosts: [HOST] }], route: to(90) }] });
  const FRONT = virtual({
    gateways: ['mesh', 'shop/front'],
    tcp: [
      {
        match: [
          { port: 90, gateways: ['shop/front'] },
          { port: 91, gateways: ['mesh'] },
        ],
        route: to(90),
      },
    ],
  });
  const UDP = service('reviews', '10.1.0.1', {
    ports: [{ name: 'http', port: 80, protocol: 'UDP' }],
  });
  const TCP_ROUTE = route('TCPRoute', [undefined]);
  const HTTP_ROUTE = route('HTTPRoute', [undefined]);
  // Each was said to be routed by, or, beside a route, that this goes before it.
  for (const [title, world, expected] of [
    ['http alone, beside one of TCP', [T, HTTP], 'NoEffect'],
    ['http alone, beside one of TCP and a TCPRoute', [T, HTTP, TCP_ROUTE], 'NoEffect'],
    ['http alone, beside one of TCP and an HTTPRoute', [T, HTTP, HTTP_ROUTE], 'NoEffect'],
    ['http alone, beside one of TLS', [at({ https: 443 }), HTTP], 'NoEffect'],
    ['http alone, beside one of UDP', [UDP, HTTP], 'NoEffect'],
    ['tcp alone, beside one of HTTP', [H, TCP], 'NoEffect'],
    ['tcp alone, beside one of HTTP and an HTTPRoute', [H, TCP, HTTP_ROUTE], 'NoEffect'],
    ['tls alone, beside one of gRPC', [at({ grpc: 80 }), TLS], 'NoEffect'],
    ['tcp of another port', [at({ tcp: 91 }), TCP_AT_90], 'NoEffect'],
    ['tcp of this port for other gateways', [T, FRONT], 'NoEffect'],
    ['http alone, beside one of HTTP', [H, HTTP], 'AtWaypoint'],
    ['http alone, beside one that says nothing', [at({ any: 80 }), HTTP], 'AtWaypoint'],
    ['tcp alone, beside one that says nothing', [at({ any: 80 }), TCP], 'AtWaypoint'],
    ['tcp alone, beside one of TCP', [T, TCP], 'AtWaypoint'],
    ['tls alone, beside one of TLS', [at({ https: 443 }), TLS], 'AtWaypoint'],
    ['tcp of this port', [T, TCP_AT_90], 'AtWaypoint'],
    ['http and tcp, beside one of TCP', [T, BOTH], 'AtWaypoint'],
    ['tcp alone, beside one of TCP and a TCPRoute', [T, TCP, TCP_ROUTE], 'Conflicted'],
    ['http and tcp, beside one of TCP and a TCPRoute', [T, BOTH, TCP_ROUTE], 'Conflicted'],
  ] as const) {
    it(`says ${expected} with rules of ${title}`, () => {
      const model = modelOf(AMBIENT, REVIEWS, gateway('waypoint'), ...world);
      const { conditions = [], findings = [] } = model.outputs.statuses.get(V) ?? {};
      const attached = conditions.find(({ type }) => type === 'Attached');
      const isTrue = expected === 'AtWaypoint';
      assert.equal(
        `${attached?.status} ${attached?.reason}`,
        `${isTrue ? 'True' : 'False'} ${expected}`,
      );
      const ready = conditions.some(({ type }) => type === 'WaypointReady');
      assert.equal(ready, isTrue, 'what is followed waits for the waypoint');
      const said = findings.filter(({ code }) => code === 'NO_EFFECT');
      assert.equal(said.length, expected === 'NoEffect' ? 1 : 0);
      assert.ok(
        said.every(({ message, fix }) => message.includes('shop/reviews') && fix !== undefined),
      );
      if (!isTrue) assert.deepEqual(routedAt(model), []);
    });
  }

  it('has no waypoint made where it is for none of them', () => {
    const made = (...objects: readonly MeshObject[]) =>
      modelOf(AMBIENT, REVIEWS, ...objects).outputs.waypoints.get('shop/waypoint')?.because;
    const only = service('reviews', '10.1.0.1', { ports: [{ name: 'tcp', port: 90 }] });
    assert.equal(made(only, HTTP), undefined);
    assert.deepEqual(made(only, BOTH), [V]);
  });
});
