/** What the model says about objects. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import {
  AMBIENT,
  L4_ALLOW,
  L7_TARGETED,
  REVIEWS,
  REVIEWS_SERVICE,
  ROUTE,
  reasons,
} from './mesh.testing.ts';
import {
  gateway,
  httpRoute,
  modelOf,
  namespace,
  networking,
  parsed,
  policy,
} from './objects.testing.ts';

const CAPTURE = {
  hosts: ['reviews.shop.svc.cluster.local'],
  http: [{ route: [{ destination: { host: 'reviews.shop.svc.cluster.local' } }] }],
};
/** Callers in `shop` are sent to the waypoint of `other`. */
const AT_OTHER = namespace('shop', {
  'istio.io/use-waypoint': 'waypoint',
  'istio.io/use-waypoint-namespace': 'other',
});
/** For callers of its own namespace alone. */
const CONSUMER = parsed({
  apiVersion: 'gateway.networking.k8s.io/v1',
  kind: 'HTTPRoute',
  metadata: { name: 'consumer', namespace: 'other' },
  spec: {
    parentRefs: [{ group: '', kind: 'Service', name: 'reviews', namespace: 'shop' }],
    rules: [{ backendRefs: [] }],
  },
});

describe('conditions', () => {
  const cases: readonly (readonly [string, readonly MeshObject[], string, string])[] = [
    [
      'a policy that selects nothing',
      [L4_ALLOW],
      'AuthorizationPolicy/shop/callers',
      'Attached=False NoEffect',
    ],
    [
      'a policy for a service that is not there',
      [L7_TARGETED],
      'AuthorizationPolicy/shop/at-service',
      'Attached=False TargetNotFound',
    ],
    [
      'a policy for agents',
      [AMBIENT, REVIEWS, L4_ALLOW],
      'AuthorizationPolicy/shop/callers',
      'Attached=True AtAgents',
    ],
    [
      'a policy on request principals',
      [policy('p', { rules: [{ from: [{ source: { requestPrincipals: ['*'] } }] }] })],
      'AuthorizationPolicy/shop/p',
      'Accepted=True UnsupportedField',
    ],
    [
      'a RequestAuthentication',
      [
        parsed({
          apiVersion: 'security.istio.io/v1',
          kind: 'RequestAuthentication',
          metadata: { name: 'r', namespace: 'shop' },
          spec: { jwtRules: [{ issuer: 'x' }] },
        }),
      ],
      'RequestAuthentication/shop/r',
      'Accepted=True UnsupportedField',
    ],
    [
      'a VirtualService that a Gateway API route beats',
      [AMBIENT, REVIEWS_SERVICE, ROUTE, httpRoute('r', 'reviews', 'reviews')],
      'VirtualService/shop/reviews',
      'Attached=False Conflicted',
    ],
    [
      'a VirtualService for nobody',
      [ROUTE],
      'VirtualService/shop/reviews',
      'Attached=False TargetNotFound',
    ],
    [
      'a VirtualService for the service of another namespace',
      [REVIEWS_SERVICE, networking('VirtualService', 'v', CAPTURE, 'other')],
      'VirtualService/other/v',
      'Attached=False NamespaceForeign',
    ],
    [
      'a VirtualService in the namespace of the waypoint of the service',
      [
        AT_OTHER,
        REVIEWS_SERVICE,
        gateway('waypoint', { namespace: 'other', from: 'All' }),
        networking('VirtualService', 'v', CAPTURE, 'other'),
      ],
      'VirtualService/other/v',
      'Attached=True AtWaypoint',
    ],
    [
      'a VirtualService in the namespace of a waypoint that serves others',
      [
        REVIEWS_SERVICE,
        gateway('waypoint', { namespace: 'other', from: 'All' }),
        networking('VirtualService', 'v', CAPTURE, 'other'),
      ],
      'VirtualService/other/v',
      'Attached=False NamespaceForeign',
    ],
    [
      'a VirtualService in the namespace of a waypoint that does not admit the service',
      [
        AT_OTHER,
        REVIEWS_SERVICE,
        gateway('waypoint', { namespace: 'other' }),
        networking('VirtualService', 'v', CAPTURE, 'other'),
      ],
      'VirtualService/other/v',
      'Attached=False NamespaceForeign',
    ],
    // It was said to be enforced once every agent had it, and no waypoint asks for it.
    [
      'a VirtualService for other gateways than the mesh',
      [
        AMBIENT,
        REVIEWS_SERVICE,
        networking('VirtualService', 'v', { ...CAPTURE, gateways: ['x'] }),
      ],
      'VirtualService/shop/v',
      'Attached=False NoEffect',
    ],
    [
      'a VirtualService beside a route of callers elsewhere',
      [AMBIENT, REVIEWS_SERVICE, ROUTE, CONSUMER],
      'VirtualService/shop/reviews',
      'Attached=True AtWaypoint',
    ],
    [
      'the waypoint of a VirtualService beside a route of callers elsewhere',
      [AMBIENT, REVIEWS_SERVICE, ROUTE, CONSUMER],
      'VirtualService/shop/reviews',
      'WaypointReady=False WaypointNotReady',
    ],
    [
      'a route without its parent',
      [httpRoute('r', 'reviews', 'reviews')],
      'HTTPRoute/shop/r',
      'Accepted=False NoMatchingParent',
    ],
    [
      'a route to a service that is not there',
      [REVIEWS_SERVICE, httpRoute('r', 'reviews', 'nobody')],
      'HTTPRoute/shop/r',
      'ResolvedRefs=False RefNotFound',
    ],
    [
      'a Gateway that is no waypoint',
      [gateway('front', { className: 'istio' })],
      'Gateway/shop/front',
      'Accepted=False UnsupportedClass',
    ],
    [
      'a waypoint without a ready instance',
      [gateway('w')],
      'Gateway/shop/w',
      'Programmed=False Pending',
    ],
  ];
  for (const [title, objects, key, expected] of cases) {
    it(`says ${expected} of ${title}`, () => {
      const found = reasons(modelOf(...objects), key);
      assert.ok(found.includes(expected), found.join(', '));
    });
  }

  it('warns of hosts and subsets that are not there, at their path', () => {
    const route = networking('VirtualService', 'v', {
      hosts: ['reviews'],
      http: [
        { route: [{ destination: { host: 'reviews', subset: 'v9' } }] },
        { route: [{ destination: { host: 'reviews.prod' } }] },
      ],
    });
    const findings =
      modelOf(REVIEWS_SERVICE, route).outputs.statuses.get('VirtualService/shop/v')?.findings ?? [];
    assert.deepEqual(
      findings.map(({ code, path }) => `${code} ${path}`),
      [
        'IST0101 spec.http[0].route[0].destination.subset',
        'IST0101 spec.http[1].route[0].destination.host',
      ],
    );
    assert.match(findings[1]?.fix ?? '', /full name/);
  });
});
