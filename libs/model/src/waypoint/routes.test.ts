/** VirtualServices and DestinationRules whose namespace has no say over a service: nothing is done for them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, REVIEWS, REVIEWS_SERVICE, reasons } from '../mesh.testing.ts';
import {
  gateway,
  modelOf,
  namespace,
  networking,
  parsed,
  policy,
  service,
} from '../objects.testing.ts';

const HOST = 'reviews.shop.svc.cluster.local';
const OWN = networking('VirtualService', 'own', {
  hosts: ['*.shop.svc.cluster.local'],
  http: [
    { match: [{ uri: { prefix: '/admin' } }], directResponse: { status: 403 } },
    { route: [{ destination: { host: HOST } }] },
  ],
});
const LABELLED = namespace('shop', {
  'istio.io/dataplane-mode': 'ambient',
  'istio.io/use-waypoint': 'waypoint',
});
/** The namespace of the waypoint is neither the service's nor `other`. */
const AT_INFRA = namespace('shop', {
  'istio.io/use-waypoint': 'waypoint',
  'istio.io/use-waypoint-namespace': 'infra',
});

function capture(spec: object = {}, space = 'other', to = HOST): MeshObject {
  const all = { hosts: [HOST], http: [{ route: [{ destination: { host: to } }] }], ...spec };
  return networking('VirtualService', 'capture', all, space);
}

function scopeOf(waypoint: string, ...objects: readonly MeshObject[]): readonly string[] {
  return [...(modelOf(...objects).outputs.scopes.get(waypoint) ?? [])];
}

describe('a VirtualService of a namespace without a say', () => {
  const captures = [
    ['with the very host', capture()],
    ['with the very host, for its own callers', capture({ exportTo: ['.'] })],
    ['with a wildcard as narrow', capture({ hosts: ['*.shop.svc.cluster.local'] })],
  ] as const;
  for (const [title, foreign] of captures) {
    it(`takes none of the owner's from the waypoint: ${title}`, () => {
      const world = [LABELLED, REVIEWS, REVIEWS_SERVICE, gateway('waypoint'), OWN, foreign];
      assert.deepEqual(scopeOf('shop/waypoint', ...world), ['VirtualService/shop/own']);
    });
  }

  it('does not take away the waypoint that is made for the owner', () => {
    const { outputs } = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, OWN, capture());
    assert.deepEqual(outputs.waypoints.get('shop/waypoint')?.because, ['VirtualService/shop/own']);
  });

  it('brings no policies and rules of where it sends to', () => {
    const world = [
      LABELLED,
      REVIEWS_SERVICE,
      gateway('waypoint'),
      service('vault', '10.3.0.1', { namespace: 'third' }),
      policy('secret', {}, { namespace: 'third' }),
      networking('DestinationRule', 'vault', { host: 'vault' }, 'third'),
      capture({}, 'other', 'vault.third.svc.cluster.local'),
    ];
    assert.deepEqual(scopeOf('shop/waypoint', ...world), []);
  });

  it('takes nothing from the namespace of the waypoint, which has a say', () => {
    const world = [
      AT_INFRA,
      REVIEWS_SERVICE,
      gateway('waypoint', { namespace: 'infra', from: 'All' }),
    ];
    const infra = capture({ hosts: ['*.shop.svc.cluster.local'] }, 'infra');
    assert.deepEqual(scopeOf('infra/waypoint', ...world, infra, capture()), [
      'VirtualService/infra/capture',
    ]);
    assert.deepEqual(
      scopeOf('infra/waypoint', ...world, OWN, capture({}, 'infra')),
      ['VirtualService/infra/capture'],
      'the more specific of the two that have a say',
    );
  });

  it('is judged anew when the service moves to a waypoint of its namespace', () => {
    const at = gateway('waypoint', { namespace: 'other', from: 'All' });
    const model = modelOf(LABELLED, REVIEWS_SERVICE, gateway('waypoint'), at, OWN, capture());
    model.apply({
      upserts: [
        namespace('shop', {
          'istio.io/use-waypoint': 'waypoint',
          'istio.io/use-waypoint-namespace': 'other',
        }),
      ],
    });
    assert.deepEqual(
      [...(model.outputs.scopes.get('other/waypoint') ?? [])],
      ['VirtualService/other/capture'],
    );
  });
});

describe('VirtualServices of which one has a more specific host', () => {
  const named = (name: string, hosts: readonly string[], spec: object = {}, space = 'shop') =>
    networking(
      'VirtualService',
      name,
      { hosts, http: [{ route: [{ destination: { host: HOST } }] }], ...spec },
      space,
    );
  const exact = (spec: object = {}, space?: string) => named('exact', [HOST], spec, space);
  const wide = named('wide', ['*.shop.svc.cluster.local']);
  const widest = named('widest', ['*.svc.cluster.local']);
  const same = named('wide', [HOST]);
  const RATINGS = service('ratings', '10.1.0.7');
  const NEITHER = { gateways: ['front'] };
  const said = (model: ReturnType<typeof modelOf>, name: string): string => {
    const { conditions = [] } = model.outputs.statuses.get(`VirtualService/shop/${name}`) ?? {};
    const { status, reason, message } = conditions.find(({ type }) => type === 'Attached') ?? {};
    return `${status} ${reason} ${message}`;
  };

  for (const [title, objects, name, expected] of [
    ['the exact one is taken', [exact(), wide], 'exact', /^True AtWaypoint routes shop\/reviews/],
    [
      'the wildcard is not',
      [exact(), wide],
      'wide',
      /^False Conflicted VirtualService\/shop\/exact/,
    ],
    ['a wider wildcard is not', [wide, widest], 'widest', /^False .*VirtualService\/shop\/wide/],
    ['a narrower wildcard is', [wide, widest], 'wide', /^True/],
    ['one with the same host is', [exact(), same], 'wide', /^True/],
    ['a wildcard alone is', [wide], 'wide', /^True/],
    ['beside one without a say it is', [exact({}, 'other'), wide], 'wide', /^True/],
    ['beside one of other gateways it is', [exact(NEITHER), wide], 'wide', /^True/],
    [
      'it is for the services that are left to it, and for no others',
      [RATINGS, exact(), wide],
      'wide',
      /^True AtWaypoint routes shop\/ratings\.shop\.svc\.cluster\.local at/,
    ],
  ] as const) {
    it(`says of the hosts: ${title}`, () => {
      assert.match(said(modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, ...objects), name), expected);
    });
  }

  it('is said no longer once the more specific one is gone', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, exact(), wide);
    assert.match(said(model, 'wide'), /^False Conflicted/);
    model.apply({ removes: ['VirtualService/shop/exact'] });
    assert.match(said(model, 'wide'), /^True/);
  });
});

describe('a route of callers elsewhere', () => {
  const consumer = (kind: string): MeshObject =>
    parsed({
      apiVersion: `gateway.networking.k8s.io/${kind === 'TCPRoute' ? 'v1alpha2' : 'v1'}`,
      kind,
      metadata: { name: 'r', namespace: 'evil' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'reviews', namespace: 'shop' }],
        rules: [{ backendRefs: [{ name: 'reviews', namespace: 'shop', port: 80 }] }],
      },
    });

  for (const kind of ['HTTPRoute', 'GRPCRoute', 'TCPRoute']) {
    it(`makes no waypoint in the namespace of the service, and says so: ${kind}`, () => {
      const key = `${kind}/evil/r`;
      const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, consumer(kind));
      assert.equal(model.outputs.waypoints.size, 0);
      assert.ok(reasons(model, key).includes('Attached=False NamespaceForeign'));
      assert.ok(!reasons(model, key).some((one) => one.startsWith('WaypointReady')));
    });

    it(`goes by the waypoint that the owner has made: ${kind}`, () => {
      const key = `${kind}/evil/r`;
      const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, consumer(kind), OWN);
      const { waypoints, scopes } = model.outputs;
      assert.deepEqual(waypoints.get('shop/waypoint')?.because, ['VirtualService/shop/own']);
      assert.ok(scopes.get('shop/waypoint')?.has(key));
      assert.ok(reasons(model, key).includes('WaypointReady=False WaypointNotReady'));
      assert.ok(!reasons(model, key).some((one) => one.startsWith('Attached')));
      model.apply({ removes: ['VirtualService/shop/own'] });
      assert.equal(model.outputs.waypoints.size, 0, 'it does not keep it');
    });

    it(`goes by the waypoint that a label names: ${kind}`, () => {
      const world = [LABELLED, REVIEWS_SERVICE, gateway('waypoint'), consumer(kind)];
      assert.deepEqual(scopeOf('shop/waypoint', ...world), [`${kind}/evil/r`]);
    });
  }
});

describe('a VirtualService of a Service that is labelled to use no waypoint', () => {
  it('is not said to refuse callers, who go on', () => {
    const none = namespace('shop', { 'istio.io/use-waypoint': 'none' });
    const { outputs } = modelOf(none, REVIEWS, REVIEWS_SERVICE, OWN);
    const { conditions = [] } = outputs.statuses.get('VirtualService/shop/own') ?? {};
    const found = conditions.find(({ type }) => type === 'WaypointReady');
    assert.equal(found?.reason, 'WaypointOptedOut');
    assert.match(found.message, /where a policy needs that, callers are refused$/);
  });
});

describe('a DestinationRule', () => {
  const POOL = { trafficPolicy: { connectionPool: { tcp: { maxConnections: 1 } } } };
  const rule = (space: string, spec: object = {}) =>
    networking('DestinationRule', 'r', { host: HOST, ...POOL, ...spec }, space);
  const key = (space: string): string => `DestinationRule/${space}/r`;
  const attached = (model: ReturnType<typeof modelOf>, space: string): string => {
    const found = model.outputs.statuses.get(key(space))?.conditions ?? [];
    const condition = found.find(({ type }) => type === 'Attached');
    return `${condition?.status} ${condition?.reason}`;
  };

  for (const [space, isHeard] of [
    ['shop', true],
    ['istio-system', true],
    ['evil', false],
  ] as const) {
    it(`of namespace ${space} ${isHeard ? 'makes a waypoint' : 'makes none, and says so'}`, () => {
      const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, rule(space));
      const made = model.outputs.waypoints.get('shop/waypoint')?.because;
      assert.deepEqual(made, isHeard ? [key(space)] : undefined);
      const expected = isHeard ? 'True AtWaypoint' : 'False NamespaceForeign';
      assert.equal(attached(model, space), expected);
    });
  }

  const named = (name: string, spec: object, space = 'shop') =>
    networking('DestinationRule', name, { host: HOST, ...POOL, ...spec }, space);
  const NONE = { trafficPolicy: undefined };
  const MUTUAL = { trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } } };
  const V1 = { name: 'v1', labels: { app: 'reviews' } };
  // Of four of them one was made, or named, for what no waypoint applies.
  for (const [title, rules, made] of [
    ['nothing is beside it', [named('a', {})], ['DestinationRule/shop/a']],
    [
      'it is for clients',
      [named('a', { workloadSelector: { matchLabels: { app: 'x' } } })],
      undefined,
    ],
    ['it is not exported here', [named('a', { exportTo: ['far'] })], undefined],
    [
      'its namespace comes after the one of the service',
      [named('a', {}, 'istio-system'), named('b', NONE)],
      undefined,
    ],
    [
      'one with a more specific host goes before it',
      [named('a', { host: '*.local' }), named('b', NONE)],
      undefined,
    ],
    [
      'an older one has its trafficPolicy',
      [named('b', {}), named('a', {})],
      ['DestinationRule/shop/a'],
    ],
    ['an older one has subsets', [named('a', NONE), named('b', {})], ['DestinationRule/shop/b']],
    // Of these the younger one was named, of which the waypoint has nothing but subsets.
    [
      'an older one has a trafficPolicy that changes nothing',
      [named('a', MUTUAL), named('b', { subsets: [V1] })],
      undefined,
    ],
    [
      'an older one has a trafficPolicy, and it has a subset besides',
      [named('a', {}), named('b', { subsets: [V1] })],
      ['DestinationRule/shop/a'],
    ],
    [
      'an older one has a subset of its own, and it has both',
      [named('a', { ...NONE, subsets: [V1] }), named('b', { subsets: [V1] })],
      ['DestinationRule/shop/b'],
    ],
    ['it changes nothing', [named('a', MUTUAL)], undefined],
    [
      'it says that no timeout is',
      [named('a', { trafficPolicy: { timeout: { http: '0s' } } })],
      undefined,
    ],
    // None was made, and so neither was in force.
    ...[{ retryPolicy: { attempts: 3 } }, { timeout: { http: '2s' } }].map(
      (trafficPolicy) =>
        [
          `it has ${Object.keys(trafficPolicy).join()} alone`,
          [named('a', { trafficPolicy })],
          ['DestinationRule/shop/a'],
        ] as const,
    ),
  ] as const) {
    it(`has ${made === undefined ? 'no' : 'its'} waypoint made where ${title}`, () => {
      const { outputs } = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, ...rules);
      assert.deepEqual(outputs.waypoints.get('shop/waypoint')?.because, made);
    });
  }

  it('of a namespace without a say is no affair of the waypoint', () => {
    const world = [LABELLED, REVIEWS_SERVICE, gateway('waypoint')];
    const spaces = ['shop', 'istio-system', 'evil'];
    assert.deepEqual(scopeOf('shop/waypoint', ...world, ...spaces.map((space) => rule(space))), [
      key('istio-system'),
      key('shop'),
    ]);
  });

  it('of the namespace of the waypoint has a say there', () => {
    const at = gateway('waypoint', { namespace: 'infra', from: 'All' });
    const world = [AT_INFRA, REVIEWS_SERVICE, at, rule('infra'), rule('evil')];
    assert.deepEqual(scopeOf('infra/waypoint', ...world), [key('infra')]);
    const model = modelOf(...world);
    assert.equal(attached(model, 'infra'), 'True AtWaypoint');
    assert.equal(attached(model, 'evil'), 'False NamespaceForeign');
  });

  it('for what a route of its namespace sends elsewhere is applied there', () => {
    const VAULT = 'vault.third.svc.cluster.local';
    const world = [
      LABELLED,
      REVIEWS_SERVICE,
      gateway('waypoint'),
      service('vault', '10.3.0.1', { namespace: 'third' }),
      rule('shop', { host: VAULT }),
      rule('evil', { host: VAULT }),
    ];
    const route = networking('VirtualService', 'v', {
      hosts: [HOST],
      http: [{ route: [{ destination: { host: VAULT } }] }],
    });
    assert.equal(attached(modelOf(...world), 'shop'), 'False NamespaceForeign');
    const model = modelOf(...world, route);
    assert.equal(attached(model, 'shop'), 'True AtWaypoint');
    assert.equal(attached(model, 'evil'), 'False NamespaceForeign');
    assert.ok(model.outputs.scopes.get('shop/waypoint')?.has(key('shop')));
    assert.ok(!model.outputs.scopes.get('shop/waypoint')?.has(key('evil')));
  });
});
