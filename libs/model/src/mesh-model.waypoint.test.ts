/** Who stands behind a waypoint, and what the waypoint gets to know. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import {
  AMBIENT,
  L4_ALLOW,
  meshService,
  REVIEWS,
  REVIEWS_SERVICE,
  ROUTE,
  reasons,
  WAYPOINT_ID,
  workload,
} from './mesh.testing.ts';
import {
  gateway,
  httpRoute,
  modelOf,
  namespace,
  networking,
  policy,
  service,
  waypointPod,
} from './objects.testing.ts';

describe('waypoints', () => {
  it('sends traffic to a waypoint that only routing needs once it is ready', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, ROUTE);
    assert.equal(meshService(model, 'reviews').waypoint, undefined);
    assert.ok(
      reasons(model, 'VirtualService/shop/reviews').includes(
        'WaypointReady=False WaypointNotReady',
      ),
    );
    model.apply({ upserts: [waypointPod()] });
    assert.deepEqual(meshService(model, 'reviews').waypoint, {
      destination: {
        kind: 'hostname',
        hostname: { namespace: 'shop', hostname: 'waypoint.shop.svc.cluster.local' },
      },
      hboneMtlsPort: 15008,
      waypoint: { key: 'shop/waypoint', className: 'istio-waypoint', identity: WAYPOINT_ID },
    });
    assert.ok(
      reasons(model, 'VirtualService/shop/reviews').includes('WaypointReady=True WaypointReady'),
    );
    model.apply({ upserts: [waypointPod('waypoint', 'shop', false)] });
    assert.equal(meshService(model, 'reviews').waypoint, undefined);
  });

  const needs: readonly (readonly [string, readonly MeshObject[], boolean])[] = [
    ['nothing', [], false],
    ['a VirtualService', [ROUTE], true],
    ['an HTTPRoute', [httpRoute('r', 'reviews', 'reviews')], true],
    [
      'a VirtualService at a gateway only',
      [
        networking('VirtualService', 'g', {
          hosts: ['reviews'],
          gateways: ['front'],
          http: [{ route: [{ destination: { host: 'reviews' } }] }],
        }),
      ],
      false,
    ],
    [
      'a wildcard VirtualService',
      [
        networking('VirtualService', 'w', {
          hosts: ['*.shop.svc.cluster.local'],
          http: [{ route: [{ destination: { host: 'reviews' } }] }],
        }),
      ],
      true,
    ],
    [
      'a DestinationRule with subsets alone',
      [
        networking('DestinationRule', 'd', {
          host: 'reviews',
          subsets: [{ name: 'v1', labels: { version: 'v1' } }],
        }),
      ],
      false,
    ],
    [
      'a DestinationRule with a traffic policy',
      [
        networking('DestinationRule', 'd', {
          host: 'reviews',
          trafficPolicy: { loadBalancer: { simple: 'RANDOM' } },
        }),
      ],
      true,
    ],
    [
      'a DestinationRule with mutual TLS of the mesh',
      [
        networking('DestinationRule', 'd', {
          host: 'reviews',
          trafficPolicy: { tls: { mode: 'ISTIO_MUTUAL' } },
        }),
      ],
      false,
    ],
    ['an L4 policy', [L4_ALLOW], false],
  ];
  for (const [title, objects, isNeeded] of needs) {
    it(`is ${isNeeded ? '' : 'not '}made for ${title}`, () => {
      const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, ...objects);
      assert.equal(model.outputs.waypoints.has('shop/waypoint'), isNeeded);
    });
  }

  it('goes away with the last object that needed it', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, ROUTE);
    const delta = model.apply({ removes: ['VirtualService/shop/reviews'] });
    assert.deepEqual([...delta.waypoints.removed], ['shop/waypoint']);
  });

  it('binds by label, of the object before the namespace, across namespaces where it is admitted', () => {
    const space = namespace('shop', {
      'istio.io/use-waypoint': 'shared',
      'istio.io/use-waypoint-namespace': 'infra',
    });
    const ready = waypointPod('shared', 'infra');
    const admitted = modelOf(
      space,
      REVIEWS_SERVICE,
      gateway('shared', { namespace: 'infra', from: 'All' }),
      ready,
    );
    assert.ok(meshService(admitted, 'reviews').waypoint);
    assert.ok(
      reasons(admitted, 'Service/shop/reviews').includes('WaypointReady=True WaypointReady'),
    );
    const refused = modelOf(
      space,
      REVIEWS_SERVICE,
      gateway('shared', { namespace: 'infra' }),
      ready,
    );
    assert.equal(meshService(refused, 'reviews').waypoint, undefined);
    assert.ok(
      reasons(refused, 'Service/shop/reviews').includes('WaypointReady=False AttachmentDenied'),
    );
    const out = service('reviews', '10.1.0.1', { labels: { 'istio.io/use-waypoint': 'none' } });
    const optedOut = modelOf(
      space,
      out,
      gateway('shared', { namespace: 'infra', from: 'All' }),
      ready,
    );
    assert.equal(meshService(optedOut, 'reviews').waypoint, undefined);
    const missing = modelOf(space, REVIEWS_SERVICE);
    assert.ok(
      reasons(missing, 'Service/shop/reviews').includes('WaypointReady=False WaypointNotFound'),
    );
  });

  it('sends only the traffic that the waypoint is for', () => {
    const space = namespace('shop', {
      'istio.io/dataplane-mode': 'ambient',
      'istio.io/use-waypoint': 'w',
    });
    for (const [traffic, ofService, ofWorkload] of [
      ['service', true, false],
      ['workload', false, true],
      ['all', true, true],
      ['none', false, false],
    ] as const) {
      const definition = gateway('w', { labels: { 'istio.io/waypoint-for': traffic } });
      const model = modelOf(space, REVIEWS, REVIEWS_SERVICE, definition, waypointPod('w'));
      assert.equal(meshService(model, 'reviews').waypoint !== undefined, ofService, traffic);
      assert.equal(workload(model, 'reviews').waypoint !== undefined, ofWorkload, traffic);
    }
  });

  it('takes the addresses of a waypoint that somebody else runs, and makes none', () => {
    const space = namespace('shop', { 'istio.io/use-waypoint': 'w' });
    const model = modelOf(space, REVIEWS_SERVICE, gateway('w', { addresses: ['192.0.2.7'] }));
    assert.deepEqual(meshService(model, 'reviews').waypoint?.destination, {
      kind: 'address',
      address: { network: '', address: '192.0.2.7' },
    });
    assert.equal(model.outputs.waypoints.size, 0);
  });

  it('is never before itself', () => {
    const space = namespace('shop', {
      'istio.io/dataplane-mode': 'ambient',
      'istio.io/use-waypoint': 'w',
    });
    const own = service('w', '10.1.0.9', {
      labels: { 'gateway.networking.k8s.io/gateway-name': 'w' },
      selector: { 'gateway.networking.k8s.io/gateway-name': 'w' },
    });
    const everything = policy('all', { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] });
    const model = modelOf(
      space,
      own,
      gateway('w', { labels: { 'istio.io/waypoint-for': 'all' } }),
      waypointPod('w'),
      everything,
    );
    assert.equal(meshService(model, 'w').waypoint, undefined);
    assert.equal(workload(model, 'w-0').guard, undefined);
    assert.equal(workload(model, 'w-0').waypoint, undefined);
  });

  it('has in its scope what a route sends to, and the rules and policies there', () => {
    const model = modelOf(
      AMBIENT,
      REVIEWS,
      REVIEWS_SERVICE,
      service('reviews-next', '10.2.0.1', { namespace: 'next' }),
      networking('VirtualService', 'reviews', {
        hosts: ['reviews'],
        http: [
          {
            route: [{ destination: { host: 'reviews-next.next.svc.cluster.local', subset: 'v2' } }],
          },
        ],
      }),
      networking(
        'DestinationRule',
        'next',
        { host: 'reviews-next', subsets: [{ name: 'v2', labels: {} }] },
        'next',
      ),
      networking('DestinationRule', 'other', { host: 'other', subsets: [] }, 'next'),
      policy('next', {}, { namespace: 'next' }),
      policy('far', {}, { namespace: 'far' }),
    );
    assert.deepEqual(
      [...(model.outputs.scopes.get('shop/waypoint') ?? [])],
      ['AuthorizationPolicy/next/next', 'DestinationRule/next/next', 'VirtualService/shop/reviews'],
    );
  });
});
