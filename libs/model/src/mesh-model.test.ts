import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import type { MeshModel } from './mesh-model.ts';
import {
  gateway,
  httpRoute,
  modelOf,
  namespace,
  networking,
  parsed,
  pod,
  policy,
  service,
  uid,
  waypointPod,
} from './objects.testing.ts';
import type { MeshService, Workload } from './types.ts';

const AMBIENT = namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
const REVIEWS = pod('reviews', '10.0.0.1');
const REVIEWS_SERVICE = service('reviews', '10.1.0.1');
const L7_ALLOW = policy('get-only', {
  selector: { matchLabels: { app: 'reviews' } },
  rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
});
const L7_TARGETED = policy('at-service', {
  targetRefs: [{ kind: 'Service', group: '', name: 'reviews' }],
  rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
});
const L4_ALLOW = policy('callers', {
  selector: { matchLabels: { app: 'reviews' } },
  rules: [{ from: [{ source: { principals: ['cluster.local/ns/shop/sa/client'] } }] }],
});
const ROUTE = networking('VirtualService', 'reviews', {
  hosts: ['reviews'],
  http: [{ route: [{ destination: { host: 'reviews' } }] }],
});
const WAYPOINT_ID = 'spiffe://cluster.local/ns/shop/sa/waypoint';

function workload(model: MeshModel, name: string, space = 'shop'): Workload {
  const address = model.outputs.addresses.get(uid(name, space));
  assert.ok(address?.kind === 'workload', `${name} is not there`);
  return address.workload;
}

function meshService(model: MeshModel, name: string, space = 'shop'): MeshService {
  const address = model.outputs.addresses.get(`${space}/${name}.${space}.svc.cluster.local`);
  assert.ok(address?.kind === 'service', `${name} is not there`);
  return address.service;
}

function reasons(model: MeshModel, key: string): readonly string[] {
  return (model.outputs.statuses.get(key)?.conditions ?? []).map(
    ({ type, status, reason }) => `${type}=${status} ${reason}`,
  );
}

describe('enrolment', () => {
  const cases: readonly (readonly [string, MeshObject, MeshObject, 'NONE' | 'HBONE'])[] = [
    ['an ambient namespace', AMBIENT, REVIEWS, 'HBONE'],
    [
      'the label of the sidecar age',
      namespace('shop', { 'istio-injection': 'enabled' }),
      REVIEWS,
      'HBONE',
    ],
    ['a namespace without labels', namespace('shop'), REVIEWS, 'NONE'],
    [
      'none on the namespace beats injection',
      namespace('shop', { 'istio-injection': 'enabled', 'istio.io/dataplane-mode': 'none' }),
      REVIEWS,
      'NONE',
    ],
    [
      'a pod that opts out',
      AMBIENT,
      pod('reviews', '10.0.0.1', { labels: { 'istio.io/dataplane-mode': 'none' } }),
      'NONE',
    ],
    [
      'a pod that opts in',
      namespace('shop'),
      pod('reviews', '10.0.0.1', { labels: { 'istio.io/dataplane-mode': 'ambient' } }),
      'HBONE',
    ],
    [
      'a pod of the host network',
      AMBIENT,
      pod('reviews', '10.0.0.1', { hostNetwork: true }),
      'NONE',
    ],
    ['a node agent', AMBIENT, pod('reviews', '10.0.0.1', { labels: { app: 'ztunnel' } }), 'NONE'],
  ];
  for (const [title, space, object, expected] of cases) {
    it(`gives ${expected} to ${title}`, () => {
      assert.equal(workload(modelOf(space, object), 'reviews').tunnelProtocol, expected);
    });
  }

  it('keeps a running pod outside until its agent has captured it', () => {
    const model = modelOf(namespace('shop'), REVIEWS);
    model.apply({ upserts: [AMBIENT] });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'NONE');
    assert.deepEqual([...model.pending], [uid('reviews')]);
    assert.equal(
      model.outputs.enrolments.get('shop')?.mode,
      'ambient',
      'the agent is told at once',
    );
    const delta = model.apply({ captured: { add: [uid('reviews')] } });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'HBONE');
    assert.deepEqual([...delta.addresses.changed], [uid('reviews')]);
    assert.equal(model.pending.size, 0);
  });

  it('publishes a new pod of an enrolled namespace as tunnelled at once', () => {
    const model = modelOf(AMBIENT);
    model.apply({ upserts: [REVIEWS] });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'HBONE');
  });

  it('publishes a released pod outside of the mesh at once', () => {
    const model = modelOf(AMBIENT, REVIEWS);
    model.apply({ upserts: [namespace('shop')] });
    assert.equal(workload(model, 'reviews').tunnelProtocol, 'NONE');
    assert.equal(model.outputs.enrolments.has('shop'), false);
  });

  it('names the pods that differ from their namespace', () => {
    const model = modelOf(
      AMBIENT,
      REVIEWS,
      pod('out', '10.0.0.2', { labels: { 'istio.io/dataplane-mode': 'none' } }),
    );
    assert.deepEqual(model.outputs.enrolments.get('shop')?.exceptions, [
      { pod: 'out', mode: 'none' },
    ]);
  });
});

describe('guards', () => {
  it('guards every port of what a selector policy with HTTP fields selects, and nothing else', () => {
    const model = modelOf(AMBIENT, REVIEWS, pod('ratings', '10.0.0.2'), REVIEWS_SERVICE, L7_ALLOW);
    const guarded = workload(model, 'reviews');
    assert.deepEqual(guarded.guard, {
      waypointIdentities: [WAYPOINT_ID],
      ports: [],
      exclusive: true,
      because: ['AuthorizationPolicy/shop/get-only'],
    });
    assert.equal(guarded.waypoint?.destination.kind, 'hostname', 'callers by address go there too');
    assert.notEqual(
      meshService(model, 'reviews').waypoint,
      undefined,
      'at once, so that clients refuse till it is ready',
    );
    assert.equal(workload(model, 'ratings').guard, undefined);
    assert.equal(
      model.outputs.authorizations.has('shop/get-only'),
      false,
      'agents never get a weaker form',
    );
    assert.deepEqual(model.outputs.waypoints.get('shop/waypoint'), {
      namespace: 'shop',
      name: 'waypoint',
      serviceAccount: 'waypoint',
      onDemand: true,
      because: ['AuthorizationPolicy/shop/get-only'],
    });
  });

  it('guards the target ports of a service that policy targets', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, L7_TARGETED);
    assert.deepEqual(workload(model, 'reviews').guard?.ports, [8080]);
    assert.equal(workload(model, 'reviews').waypoint, undefined);
  });

  it('guards every port behind a headless service that policy targets', () => {
    const headless = service('reviews', 'None');
    const model = modelOf(AMBIENT, REVIEWS, headless, L7_TARGETED);
    assert.deepEqual(workload(model, 'reviews').guard?.ports, []);
  });

  it('lets nobody in where policy needs a waypoint and the labels forbid one', () => {
    const space = namespace('shop', {
      'istio.io/dataplane-mode': 'ambient',
      'istio.io/use-waypoint': 'none',
    });
    const model = modelOf(space, REVIEWS, REVIEWS_SERVICE, L7_ALLOW);
    assert.deepEqual(workload(model, 'reviews').guard?.waypointIdentities, []);
    assert.equal(model.outputs.waypoints.size, 0);
    assert.ok(
      reasons(model, 'AuthorizationPolicy/shop/get-only').includes(
        'WaypointReady=False WaypointOptedOut',
      ),
    );
  });

  it('does not guard what is outside of the mesh', () => {
    const model = modelOf(namespace('shop'), REVIEWS, REVIEWS_SERVICE, L7_ALLOW);
    assert.equal(workload(model, 'reviews').guard, undefined);
    assert.equal(model.outputs.waypoints.size, 0);
  });

  it('does not guard for a policy that only takes notes', () => {
    for (const note of [
      policy('audit', { action: 'AUDIT', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] }),
      policy(
        'dry',
        { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
        { annotations: { 'istio.io/dry-run': 'true' } },
      ),
    ]) {
      const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, note);
      assert.equal(workload(model, 'reviews').guard, undefined, note.metadata.name);
      assert.equal(meshService(model, 'reviews').waypoint, undefined, note.metadata.name);
      assert.equal(
        model.outputs.waypoints.get('shop/waypoint')?.onDemand,
        true,
        note.metadata.name,
      );
    }
  });

  it('lets a foreign agent keep the guard: others are denied, and an ALLOW does not stop the waypoint', () => {
    const model = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, L7_TARGETED, L4_ALLOW);
    assert.deepEqual(workload(model, 'reviews').authorizationPolicies, [
      'shop/callers',
      'shop/ambit_only_waypoint_shop_waypoint_8080',
      'shop/ambit_allow_waypoint_shop_waypoint_8080',
    ]);
    const deny = model.outputs.authorizations.get('shop/ambit_only_waypoint_shop_waypoint_8080');
    assert.equal(deny?.action, 'DENY');
    assert.deepEqual(deny.rules[0]?.clauses[0]?.matches[0]?.l4.destinationPorts, [8080]);
    const without = modelOf(AMBIENT, REVIEWS, REVIEWS_SERVICE, L7_TARGETED);
    assert.deepEqual(workload(without, 'reviews').authorizationPolicies, [
      'shop/ambit_only_waypoint_shop_waypoint_8080',
    ]);
    assert.equal(without.outputs.authorizations.size, 1);
  });

  it('has the waypoint of a routed service decide for L4 policies, and others by themselves', () => {
    const objects = [AMBIENT, REVIEWS, REVIEWS_SERVICE, L4_ALLOW, ROUTE];
    assert.equal(workload(modelOf(...objects), 'reviews').guard, undefined, 'not while it starts');
    const model = modelOf(...objects, waypointPod());
    assert.deepEqual(workload(model, 'reviews').guard, {
      waypointIdentities: [WAYPOINT_ID],
      ports: [8080],
      exclusive: false,
      because: ['VirtualService/shop/reviews'],
    });
  });

  it('reaches every namespace by a policy of the root namespace', () => {
    const mesh = policy(
      'mesh',
      { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/admin'] } }] }] },
      { namespace: 'istio-system' },
    );
    const model = modelOf(AMBIENT, REVIEWS, mesh);
    assert.deepEqual(workload(model, 'reviews').guard?.because, [
      'AuthorizationPolicy/istio-system/mesh',
    ]);
    assert.ok(model.outputs.waypoints.has('shop/waypoint'));
    assert.ok(
      model.outputs.scopes.get('shop/waypoint')?.has('AuthorizationPolicy/istio-system/mesh'),
    );
  });
});

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

describe('services', () => {
  it('gives a ServiceEntry an address that a restart gives again, whatever came first', () => {
    const entries = Array.from({ length: 400 }, (_, index) =>
      networking('ServiceEntry', `e${index}`, {
        hosts: [`h${index}.example`],
        resolution: 'DNS',
        ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      }),
    );
    const vips = (objects: readonly MeshObject[]): readonly string[] =>
      [...modelOf(...objects).outputs.addresses.values()]
        .flatMap((address) =>
          address.kind === 'service'
            ? [
                `${address.service.hostname} ${address.service.addresses.map((found) => found.address).join()}`,
              ]
            : [],
        )
        .sort();
    const first = vips(entries);
    assert.deepEqual(vips([...entries].reverse()), first);
    assert.equal(new Set(first.map((line) => line.split(' ')[1])).size, 400, 'no address twice');
    assert.match(first[0] ?? '', /^h0\.example 240\.240\.\d+\.\d+,2001:2::[0-9a-f]+$/);
  });

  it('lets a Service win over a ServiceEntry of the same name, and brings the entry back', () => {
    const entry = networking('ServiceEntry', 'e', {
      hosts: ['reviews.shop.svc.cluster.local'],
      addresses: ['240.240.9.9'],
      resolution: 'STATIC',
      ports: [{ number: 81, name: 'http', protocol: 'HTTP' }],
    });
    const model = modelOf(REVIEWS_SERVICE, entry);
    assert.deepEqual(
      meshService(model, 'reviews').ports.map(({ servicePort }) => servicePort),
      [80],
    );
    model.apply({ removes: ['Service/shop/reviews'] });
    assert.deepEqual(
      meshService(model, 'reviews').ports.map(({ servicePort }) => servicePort),
      [81],
    );
  });

  it('resolves a named port on each endpoint, and leaves out who does not have it', () => {
    const named = service('web', '10.1.0.3', {
      selector: { tier: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 'web' }],
    });
    const model = modelOf(
      named,
      pod('a', '10.0.0.1', { labels: { tier: 'web' }, ports: { web: 8001 } }),
      pod('b', '10.0.0.2', { labels: { tier: 'web' }, ports: { web: 8002 } }),
      pod('c', '10.0.0.3', { labels: { tier: 'web' } }),
    );
    const key = 'shop/web.shop.svc.cluster.local';
    assert.deepEqual(
      meshService(model, 'web').ports.map(({ targetPort }) => targetPort),
      [0],
    );
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) =>
        workload(model, name).services[key]?.map(({ targetPort }) => targetPort),
      ),
      [[8001], [8002], []],
    );
  });
});

describe('changes', () => {
  it('names exactly what an object changed', () => {
    const model = modelOf(AMBIENT, REVIEWS, pod('ratings', '10.0.0.2'), REVIEWS_SERVICE);
    const delta = model.apply({ upserts: [L4_ALLOW] });
    assert.deepEqual([...delta.authorizations.changed], ['shop/callers']);
    assert.deepEqual([...delta.addresses.changed], [uid('reviews')]);
    assert.deepEqual([...delta.addresses.removed], []);
  });

  it('says nothing of an object that came again as it was, or that came and went', () => {
    const model = modelOf(AMBIENT, REVIEWS);
    for (const batch of [
      { upserts: [REVIEWS] },
      { upserts: [L4_ALLOW], removes: ['Pod/shop/none'] },
      { removes: ['AuthorizationPolicy/shop/callers'] },
      { removes: ['Pod/shop/reviews'], upserts: [REVIEWS] },
    ].filter((_, index) => index !== 1 && index !== 2)) {
      const delta = model.apply(batch);
      assert.equal(delta.addresses.changed.size + delta.addresses.removed.size, 0);
    }
  });

  it('keeps the snapshot of what did not change', () => {
    const model = modelOf(AMBIENT, REVIEWS);
    const before = model.outputs;
    model.apply({ upserts: [L4_ALLOW] });
    assert.equal(model.outputs.enrolments, before.enrolments);
    assert.notEqual(model.outputs.authorizations, before.authorizations);
    assert.equal(before.authorizations.size, 0, 'an old snapshot stays as it was');
  });

  it('keeps the last accepted version of an object that is refused, and says so', () => {
    const model = modelOf(AMBIENT, REVIEWS, L4_ALLOW);
    const key = 'AuthorizationPolicy/shop/callers';
    const findings = [
      { code: 'X', severity: 'error', path: 'spec.action', message: 'is wrong' },
    ] as const;
    model.apply({ invalid: [{ key, findings }] });
    assert.ok(model.outputs.authorizations.has('shop/callers'));
    assert.deepEqual(reasons(model, key), ['Accepted=False Invalid']);
    model.apply({ upserts: [L4_ALLOW] });
    assert.equal(reasons(model, key)[0], 'Accepted=True Accepted');
    model.apply({ invalid: [{ key: 'VirtualService/shop/new', findings }] });
    assert.deepEqual(reasons(model, 'VirtualService/shop/new'), ['Accepted=False Invalid']);
    model.apply({ removes: ['VirtualService/shop/new'] });
    assert.equal(model.outputs.statuses.has('VirtualService/shop/new'), false);
  });
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
