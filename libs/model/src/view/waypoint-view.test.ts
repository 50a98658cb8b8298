import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import {
  modelOf,
  namespace,
  networking,
  parsed,
  pod,
  policy,
  service,
  slice,
  uid,
} from '../objects.testing.ts';
import type { Workload } from '../types.ts';
import { MeshIndex } from './mesh-index.ts';
import { authorizeAtWaypoint } from './waypoint-authorization.ts';
import { WaypointView } from './waypoint-view.ts';

const GET = [{ to: [{ operation: { methods: ['GET'] } }] }];
const WORLD = [
  namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
  pod('v1', '10.0.0.1', { labels: { app: 'reviews', version: 'v1' } }),
  pod('v2', '10.0.0.2', { labels: { app: 'reviews', version: 'v2' } }),
  service('reviews', '10.1.0.1', { selector: { app: 'reviews' } }),
];
const TARGETED = policy('to-reviews', {
  targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
  rules: GET,
});

/** A view that holds exactly what the controller would send to the waypoint of `shop`. */
function viewOf(...objects: readonly MeshObject[]): { view: WaypointView; index: MeshIndex } {
  const { outputs } = modelOf(...WORLD, ...objects);
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: outputs.addresses.values(), removed: [] });
  const view = new WaypointView(index, {
    namespace: 'shop',
    name: 'waypoint',
    className: 'istio-waypoint',
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
  });
  const scope = outputs.scopes.get('shop/waypoint') ?? new Set();
  const changed = [...scope].flatMap((key) => outputs.objects.get(key) ?? []);
  assert.deepEqual(view.apply({ changed, removed: [] }), []);
  return { view, index };
}

function toDb(space: string): MeshObject {
  const targetRefs = [{ group: '', kind: 'Service', name: 'db' }];
  return policy('to-db', { targetRefs, rules: GET }, { namespace: space });
}

function reviews(index: MeshIndex): NonNullable<ReturnType<MeshIndex['service']>> {
  const found = index.service('shop', 'reviews.shop.svc.cluster.local');
  assert.ok(found);
  return found;
}

function workload(index: MeshIndex, name: string): Workload {
  const found = index.workloadByUid(uid(name));
  assert.ok(found);
  return found;
}

describe('a policy for a class of waypoints', () => {
  const ofClass = (where: string) =>
    parsed({
      apiVersion: 'security.istio.io/v1',
      kind: 'AuthorizationPolicy',
      metadata: { name: 'of-class', namespace: where },
      spec: {
        targetRefs: [
          { group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: 'istio-waypoint' },
        ],
        rules: [{}],
      },
    });
  const verdictWith = (...objects: readonly MeshObject[]): boolean => {
    const onlyBob = policy('only-bob', {
      targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
      rules: [{ from: [{ source: { namespaces: ['bob'] } }] }],
    });
    const { view, index } = viewOf(onlyBob, ...objects);
    const destination = { service: reviews(index), port: 80 };
    const caller = {
      trustDomain: 'cluster.local',
      namespace: 'shop',
      serviceAccount: 'c',
      ip: '10.0.0.9',
    };
    const request = { host: 'reviews', method: 'GET', path: '/', header: () => undefined };
    return authorizeAtWaypoint({ view, index, caller, destination, request } as never).beforeRoute
      .verdict.allowed;
  };

  for (const [where, allows] of [
    ['istio-system', true],
    ['other', false],
    ['shop', false],
  ] as const) {
    it(`${allows ? 'decides' : 'decides nothing'} from ${where}`, () => {
      assert.equal(verdictWith(), false);
      assert.equal(verdictWith(ofClass(where)), allows);
    });
  }
});

describe('WaypointView.target', () => {
  const { view } = viewOf();
  const cases: readonly (readonly [string, string])[] = [
    ['10.1.0.1:80', 'service reviews'],
    ['reviews.shop.svc.cluster.local:80', 'service reviews'],
    ['10.0.0.1:8080', 'workload v1'],
    ['10.9.9.9:80', 'unknown'],
    ['onlyBob.example:80', 'unknown'],
    ['10.1.0.1', 'unknown'],
    ['', 'unknown'],
  ];
  for (const [authority, expected] of cases) {
    it(`takes "${authority}" as ${expected}`, () => {
      const target = view.target(authority, 'shop');
      const name =
        target.kind === 'service'
          ? ` ${target.service.name}`
          : target.kind === 'workload'
            ? ` ${target.workload.name}`
            : '';
      assert.equal(`${target.kind}${name}`, expected);
    });
  }
});

describe('WaypointView.target of an address that a ServiceEntry claims', () => {
  const entry = (address: string, space = 'evil') =>
    networking(
      'ServiceEntry',
      'steal',
      {
        hosts: ['x.example'],
        addresses: [address],
        resolution: 'STATIC',
        ports: [{ number: 8080, name: 'http', protocol: 'HTTP' }],
        endpoints: [{ address: '192.0.2.1' }],
      },
      space,
    );
  for (const [title, object, ip, caller, expected] of [
    ['a pod of another namespace', entry('10.0.0.1'), '10.0.0.1', 'shop', 'workload'],
    ['a range with such a pod', entry('10.0.0.0/8'), '10.0.0.1', 'shop', 'workload'],
    ['the same, for its own callers', entry('10.0.0.1'), '10.0.0.1', 'evil', 'service'],
    ['a pod of its namespace', entry('10.0.0.1', 'shop'), '10.0.0.1', 'third', 'service'],
    ['what nobody has', entry('198.51.100.7'), '198.51.100.7', 'shop', 'service'],
  ] as const) {
    it(`is a ${expected}: ${title}`, () => {
      assert.equal(viewOf(object).view.target(`${ip}:8080`, caller).kind, expected);
    });
  }
});

describe('authorizeAtWaypoint', () => {
  it('decides for each port of an endpoint where a rule names a host with a port', () => {
    for (const hosts of [['x:9090'], ['*:9090'], ['*90'], ['x:90*']]) {
      const rules = [{ to: [{ operation: { hosts } }] }];
      const { view, index } = viewOf(policy('no-x', { action: 'DENY', rules }));
      const authorization = authorizeAtWaypoint({
        view,
        index,
        caller: { trustDomain: 't', namespace: 'shop', serviceAccount: 'client', ip: '10.0.0.9' },
        destination: { service: reviews(index), port: 80 },
        request: { host: 'x', method: 'GET', path: '/', header: () => undefined },
      });
      const allowed = [8080, 9090].map((targetPort) => {
        const place = { workload: workload(index, 'v1'), targetPort };
        return authorization.forEndpoint(place).verdict.allowed;
      });
      assert.deepEqual(allowed, [true, false], String(hosts));
    }
  });

  it('takes nobody who writes another port for one of another port', () => {
    const deny = (hosts: readonly string[]) =>
      policy('p', { action: 'DENY', rules: [{ to: [{ operation: { hosts } }] }] });
    const allow = (hosts: readonly string[]) =>
      policy('p', { rules: [{ to: [{ operation: { hosts } }] }] });
    for (const [object, host, expected] of [
      [deny(['x:80']), 'x:81', false],
      [deny(['x:81']), 'x:80', true],
      [allow(['x:81']), 'x:81', false],
      [allow(['x:80']), 'x:80', true],
    ] as const) {
      const { view, index } = viewOf(object);
      const { beforeRoute } = authorizeAtWaypoint({
        view,
        index,
        caller: { trustDomain: 't', namespace: 'shop', serviceAccount: 'client', ip: '10.0.0.9' },
        destination: { service: reviews(index), port: 80 },
        request: { host, method: 'GET', path: '/', header: () => undefined },
      });
      assert.equal(beforeRoute.verdict.allowed, expected, host);
    }
  });
});

describe('WaypointView.policies', () => {
  it('joins mesh, namespace, selector and target, for the service that was addressed', () => {
    const { view, index } = viewOf(
      TARGETED,
      policy('mesh', {}, { namespace: 'istio-system' }),
      policy('wide', {}),
      policy('on-v1', { selector: { matchLabels: { version: 'v1' } }, rules: GET }),
      policy('other', {}, { namespace: 'other' }),
    );
    const names = (name: string): readonly string[] =>
      view
        .policies({ workload: workload(index, name), targetPort: 8080, service: reviews(index) })
        .policies.map((found) => found.name);
    assert.deepEqual(names('v1'), ['mesh', 'on-v1', 'to-reviews', 'wide']);
    assert.deepEqual(names('v2'), ['mesh', 'to-reviews', 'wide']);
    assert.equal(view.sharedPolicies(reviews(index), 80), undefined, 'endpoints differ');
  });

  it('has one set for a service whose endpoints agree', () => {
    const { view, index } = viewOf(TARGETED);
    assert.deepEqual(
      view.sharedPolicies(reviews(index), 80)?.policies.map(({ name }) => name),
      ['to-reviews'],
    );
  });

  it('applies policies of a service to its port of a workload that is addressed by itself', () => {
    const { view, index } = viewOf(TARGETED);
    const of = (targetPort: number): number =>
      view.policies({ workload: workload(index, 'v1'), targetPort }).policies.length;
    assert.equal(of(8080), 1);
    assert.equal(of(9090), 0);
  });

  it('adds policies of the service that a route leads to, where it is not the one addressed', () => {
    const { view, index } = viewOf(
      TARGETED,
      pod('ratings', '10.0.0.3', { labels: { app: 'ratings' } }),
      service('ratings', '10.1.0.3'),
      policy('to-ratings', {
        action: 'DENY',
        targetRefs: [{ group: '', kind: 'Service', name: 'ratings' }],
        rules: GET,
      }),
    );
    const names = (targetPort: number): readonly string[] =>
      view
        .policies({ workload: workload(index, 'ratings'), targetPort, service: reviews(index) })
        .policies.map(({ name }) => name);
    assert.deepEqual(names(8080), ['to-ratings', 'to-reviews']);
    assert.deepEqual(names(9090), ['to-reviews']);
  });

  // Whoever wrote a slice of their pods got past what their owner targets at its Service.
  it('keeps policies of its own services where a slice of another namespace makes it a member', () => {
    for (const [space, expected] of [
      ['other', ['to-db', 'to-reviews']],
      ['shop', ['to-db']],
    ] as const) {
      const { view, index } = viewOf(
        TARGETED,
        service('db', '10.1.0.7', { namespace: space, selector: {} }),
        slice('db', [{ addresses: ['10.0.0.1'] }], {
          namespace: space,
          ports: [{ name: 'http', port: 8080 }],
        }),
      );
      view.apply({ changed: [toDb(space)], removed: [] });
      const db = index.service(space, `db.${space}.svc.cluster.local`);
      assert.ok(db);
      const v1 = workload(index, 'v1');
      assert.ok(v1.services[`${space}/${db.hostname}`], 'it is a member');
      const names = (targetPort: number): readonly string[] =>
        view.policies({ workload: v1, targetPort, service: db }).policies.map(({ name }) => name);
      assert.deepEqual(names(8080), expected, space);
      assert.deepEqual(names(9090), ['to-db'], 'a port of no service of its own');
    }
  });

  it('misses a policy that the workload names and that has not come, or does not compile', () => {
    const { view, index } = viewOf(TARGETED);
    const query = { workload: workload(index, 'v1'), targetPort: 8080, service: reviews(index) };
    assert.deepEqual(view.policies(query).missing, []);
    view.apply({ changed: [], removed: ['AuthorizationPolicy/shop/to-reviews'] });
    assert.deepEqual(view.policies(query).missing, ['shop/to-reviews']);
    const broken = structuredClone(TARGETED) as MeshObject & { spec: { rules: unknown } };
    broken.spec.rules = [
      { from: [], to: [{ operation: { ...emptyOperation(), ports: ['x'] } }], when: [] },
    ];
    const refused = view.apply({ changed: [broken], removed: [] });
    assert.equal(refused[0]?.key, 'AuthorizationPolicy/shop/to-reviews');
    assert.deepEqual(view.policies(query).missing, ['shop/to-reviews']);
  });

  it('follows the index', () => {
    const { view, index } = viewOf(TARGETED);
    const before = view.sharedPolicies(reviews(index), 80);
    index.apply({ changed: [], removed: [uid('v1'), uid('v2')] });
    assert.notEqual(view.sharedPolicies(reviews(index), 80), before);
    assert.equal(
      view.sharedPolicies(reviews(index), 80)?.policies.length,
      1,
      'no endpoint: the service decides',
    );
  });
});

describe('WaypointView routes', () => {
  const route = networking('VirtualService', 'reviews', {
    hosts: ['reviews'],
    http: [{ route: [{ destination: { host: 'reviews', subset: 'v2' } }] }],
  });
  const rule = networking('DestinationRule', 'reviews', {
    host: 'reviews',
    subsets: [{ name: 'v2', labels: { version: 'v2' } }],
  });

  it('compiles the routes of a service and finds the endpoints of a subset', () => {
    const { view, index } = viewOf(route, rule);
    assert.equal(view.routes(reviews(index)).http.virtualServices?.rules.length, 1);
    const ref = { host: 'reviews.shop.svc.cluster.local', port: 80, subset: 'v2' };
    const cluster = view.cluster(ref);
    assert.ok(cluster);
    assert.deepEqual(
      view.endpoints(cluster).map((endpoint) => endpoint.workload.name),
      ['v2'],
    );
    assert.equal(view.cluster({ ...ref, subset: 'v9' }), undefined);
    assert.equal(view.cluster({ host: 'onlyBob.example', port: 80 }), undefined);
    view.apply({ changed: [], removed: ['DestinationRule/shop/reviews'] });
    assert.equal(view.cluster(ref), undefined, 'the subset went with its rule');
  });

  it('compiles GRPCRoutes, and forgets them', () => {
    const calls = parsed({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'GRPCRoute',
      metadata: { name: 'calls', namespace: 'shop' },
      spec: {
        parentRefs: [{ group: '', kind: 'Service', name: 'reviews' }],
        rules: [
          {
            matches: [{ method: { service: 'shop.Reviews', method: 'Get' } }],
            backendRefs: [{ name: 'reviews', port: 80 }],
          },
        ],
      },
    });
    const { view, index } = viewOf(calls);
    const { producer, virtualServices } = view.routes(reviews(index)).http;
    assert.equal(virtualServices, undefined);
    assert.deepEqual(
      producer?.rules.map(({ conditions }) => conditions),
      ['path Exact "/shop.Reviews/Get"'],
    );
    view.apply({ changed: [], removed: ['GRPCRoute/shop/calls'] });
    assert.equal(view.routes(reviews(index)).http.producer, undefined);
  });

  it('refuses kinds that it has no use for', () => {
    const { view } = viewOf();
    const [refused] = view.apply({ changed: [namespace('x')], removed: [] });
    assert.match(refused?.error ?? '', /no use for kind "Namespace"/);
    const request = parsed({
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'r', namespace: 'shop' },
      spec: { jwtRules: [{ issuer: 'x' }] },
    });
    assert.deepEqual(view.apply({ changed: [request], removed: [] }), []);
  });
});

function emptyOperation(): Record<string, readonly string[]> {
  const fields = [
    'hosts',
    'notHosts',
    'ports',
    'notPorts',
    'methods',
    'notMethods',
    'paths',
    'notPaths',
  ];
  return Object.fromEntries(fields.map((field) => [field, []]));
}
