/** What a waypoint makes of its resources: whom an authority means, which policies decide, where requests may go. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import {
  namespace,
  networking,
  parsed,
  pod,
  policy,
  service,
  slice,
  uid,
} from '../objects.testing.ts';
import { GET, reviews, TARGETED, toDb, viewOf, workload } from './waypoint-view.testing.ts';

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
