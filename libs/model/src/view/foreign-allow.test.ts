/** Who opens an endpoint where the service that was addressed, or one that claims it, is of another namespace. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshObject } from '@ambit/api';

import { modelOf, namespace, pod, policy, service, slice, uid } from '../objects.testing.ts';
import { MeshIndex } from './mesh-index.ts';
import { decideRewritten } from './rewritten-request.ts';
import { authorizeAtWaypoint, type PolicyDecision } from './waypoint-authorization.ts';
import { WaypointView } from './waypoint-view.ts';

/** The endpoint is `v1` of `shop/reviews`; `db` is a Service of `other`, and `cart` one of `shop`. */
const WORLD = [
  namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
  pod('v1', '10.0.0.1', { labels: { app: 'reviews' } }),
  service('reviews', '10.1.0.1', { selector: { app: 'reviews' } }),
  service('cart', '10.1.0.2'),
  service('db', '10.1.0.3', { namespace: 'other', selector: {} }),
];
const CLAIM = slice('db', [{ addresses: ['10.0.0.1'] }], {
  namespace: 'other',
  ports: [{ name: 'http', port: 8080 }],
});

const ANYBODY = [{}];
const OF_SHOP = [{ from: [{ source: { namespaces: ['shop'] } }] }];
const OF_OTHER = [{ from: [{ source: { namespaces: ['other'] } }] }];

type Rules = readonly object[];
const on = (name: string, space: string, rules: Rules, action = 'ALLOW', more = {}): MeshObject =>
  policy(
    `${action.toLowerCase()}-${name}`,
    { action, rules, targetRefs: [{ group: '', kind: 'Service', name }] },
    { namespace: space, ...more },
  );
const onDb = (rules: Rules, action?: string) => on('db', 'other', rules, action);
const onReviews = (rules: Rules, action?: string) => on('reviews', 'shop', rules, action);
const onCart = (rules: Rules) => on('cart', 'shop', rules);
const wide = (space: string, rules: Rules) => policy('wide', { rules }, { namespace: space });
const selecting = (rules: Rules, space = 'shop') =>
  policy('pods', { selector: { matchLabels: { app: 'reviews' } }, rules }, { namespace: space });
const onGateway = (rules: Rules) => {
  const group = 'gateway.networking.k8s.io';
  const targetRefs = [{ group, kind: 'Gateway', name: 'waypoint' }];
  return policy('gate', { rules, targetRefs }, { namespace: 'infra' });
};

type Way = 'db' | 'cart' | 'reviews' | 'pod';

function decide(
  way: Way,
  policies: readonly MeshObject[],
  options: { readonly by?: string; readonly isClaimed?: boolean } = {},
): PolicyDecision {
  const { outputs } = modelOf(...WORLD, ...(options.isClaimed === true ? [CLAIM] : []));
  const index = new MeshIndex({ network: '' });
  index.apply({ changed: outputs.addresses.values(), removed: [] });
  const view = new WaypointView(index, {
    namespace: 'infra',
    name: 'waypoint',
    className: 'istio-waypoint',
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
  });
  assert.deepEqual(view.apply({ changed: policies, removed: [] }), []);
  const v1 = index.workloadByUid(uid('v1'));
  assert.ok(v1);
  const space = way === 'db' ? 'other' : 'shop';
  const addressed = index.service(space, `${way}.${space}.svc.cluster.local`);
  assert.equal(addressed === undefined, way === 'pod');
  const { by: caller = 'other' } = options;
  return authorizeAtWaypoint({
    view,
    index,
    caller: { trustDomain: 't', namespace: caller, serviceAccount: 'c', ip: '10.0.0.9' },
    destination:
      addressed === undefined ? { workload: v1, port: 8080 } : { service: addressed, port: 80 },
    request: { host: 'x', method: 'GET', path: '/', header: () => undefined },
  }).forEndpoint({ workload: v1, targetPort: 8080 });
}

describe('an endpoint that a service of another namespace leads to', () => {
  for (const [what, policies, isAllowed] of [
    ['no policies', [], true],
    ['an ALLOW of the service alone', [onDb(ANYBODY)], true],
    ['an ALLOW of the service that fits nobody here', [onDb(OF_SHOP)], false],
    ['an ALLOW of the endpoint’s service alone', [onReviews(OF_OTHER)], true],
    ['the same, and no fit', [onReviews(OF_SHOP)], false],
    ['an ALLOW of each that fits', [onDb(ANYBODY), onReviews(OF_OTHER)], true],
    ['the service’s alone fits', [onDb(ANYBODY), onReviews(OF_SHOP)], false],
    ['the service’s alone fits, against a selector', [onDb(ANYBODY), selecting(OF_SHOP)], false],
    ['the service’s alone fits, against a namespace', [onDb(ANYBODY), wide('shop', [])], false],
    [
      'the service’s alone fits, against the mesh',
      [onDb(ANYBODY), wide('istio-system', [])],
      false,
    ],
    ['the service’s alone fits, against the waypoint', [onDb(ANYBODY), onGateway([])], false],
    ['the endpoint’s alone fits', [onDb(OF_SHOP), onReviews(OF_OTHER)], false],
    ['both fit by a selector', [onDb(ANYBODY), selecting(OF_OTHER)], true],
    [
      'the mesh opens both',
      [onDb(OF_SHOP), onReviews(OF_SHOP), wide('istio-system', ANYBODY)],
      true,
    ],
    [
      'the mesh opens both by a selector',
      [onDb(OF_SHOP), onReviews(OF_SHOP), selecting(ANYBODY, 'istio-system')],
      true,
    ],
    ['the waypoint opens both', [onDb(OF_SHOP), onReviews(OF_SHOP), onGateway(ANYBODY)], true],
    [
      'the mesh is closed, and the endpoint opens',
      [onReviews(OF_OTHER), wide('istio-system', [])],
      true,
    ],
    ['a DENY of the service', [onDb(ANYBODY, 'DENY'), onReviews(OF_OTHER)], false],
    ['a DENY of the endpoint', [onDb(ANYBODY), onReviews(ANYBODY, 'DENY')], false],
    ['DENYs that fit nobody', [onDb(OF_SHOP, 'DENY'), onReviews(OF_SHOP, 'DENY')], true],
  ] as const) {
    it(`${isAllowed ? 'is open' : 'stays closed'}: ${what}`, () => {
      for (const isClaimed of [false, true]) {
        const { verdict } = decide('db', policies, { isClaimed });
        assert.equal(verdict.allowed, isAllowed, isClaimed ? 'a slice claims it' : 'a route leads');
      }
    });
  }

  it('is closed by the list that did not allow, with the notes of all', () => {
    const audit = on('db', 'other', ANYBODY, 'AUDIT');
    const { verdict, set } = decide('db', [onDb(ANYBODY), audit, onReviews(OF_SHOP)]);
    assert.deepEqual(verdict.tried, ['shop/allow-reviews']);
    assert.deepEqual(
      set.policies.map(({ name }) => name),
      ['allow-reviews'],
    );
    assert.deepEqual(
      verdict.audited.map((ref) => ref.policy),
      ['other/audit-db'],
    );
  });

  it('is closed to what a third one’s route makes of a request, where one list alone allows that', () => {
    const get = [{ to: [{ operation: { methods: ['GET'] } }] }];
    const decision = decide('db', [onDb(ANYBODY), onReviews(get)]);
    assert.equal(decision.verdict.allowed, true);
    for (const [method, isAllowed] of [
      ['GET', true],
      ['PUT', false],
    ] as const) {
      const request = { host: 'x', method, path: '/', header: () => undefined };
      const rewritten = decideRewritten(decision, { route: 'HTTPRoute/third/r', request });
      assert.equal(rewritten.verdict.allowed, isAllowed, method);
    }
  });
});

describe('an endpoint that is reached within its namespace', () => {
  for (const [way, what, policies, isAllowed] of [
    ['cart', 'an ALLOW of the service alone', [onCart(OF_OTHER)], true],
    ['cart', 'an ALLOW of the service opens both', [onCart(OF_OTHER), onReviews(OF_SHOP)], true],
    ['cart', 'an ALLOW of the endpoint opens both', [onCart(OF_SHOP), onReviews(OF_OTHER)], true],
    ['cart', 'none fits', [onCart(OF_SHOP), onReviews(OF_SHOP)], false],
    ['reviews', 'an ALLOW that fits', [onReviews(OF_OTHER)], true],
    ['pod', 'an ALLOW that fits', [onReviews(OF_OTHER)], true],
    ['cart', 'one who claims it opens it', [onDb(ANYBODY), onReviews(OF_SHOP)], false],
    ['reviews', 'one who claims it opens it', [onDb(ANYBODY), onReviews(OF_SHOP)], false],
    ['pod', 'one who claims it opens it', [onDb(ANYBODY), onReviews(OF_SHOP)], false],
    ['pod', 'one who claims it allows others', [onDb(OF_SHOP), onReviews(OF_OTHER)], true],
  ] as const) {
    it(`${isAllowed ? 'is open' : 'stays closed'} by ${way}: ${what}`, () => {
      const { verdict } = decide(way, policies, { isClaimed: true });
      assert.equal(verdict.allowed, isAllowed);
    });
  }

  it('has one set, of which no part decides apart', () => {
    assert.equal(decide('cart', [onCart(OF_OTHER), onReviews(OF_SHOP)]).set.apart, undefined);
  });
});
