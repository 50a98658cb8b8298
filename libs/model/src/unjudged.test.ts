/** Policies that another mesh's waypoint, or the lack of any, keeps from holding for every caller. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshObject } from '@ambit/api';
import { unjudged } from './index.ts';
import { reasons } from './mesh.testing.ts';
import { MeshModel } from './mesh-model.ts';
import {
  gateway,
  namespace,
  networking,
  OPTIONS,
  parsed,
  pod,
  policy,
  service,
} from './objects.testing.ts';

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const OURS = { 'istio.io/rev': 'ambit' };
const TO_W = { 'istio.io/use-waypoint': 'w' };
const W = 'cluster.local/ns/shop/sa/w';
const CLIENT = 'cluster.local/ns/shop/sa/client';
const MOVED = pod('a', '10.0.0.1', { labels: { app: 'reviews', ...AMBIENT, ...OURS } });
const REVIEWS = service('reviews', '10.1.0.1', { labels: TO_W });

function beside(...objects: readonly MeshObject[]): MeshModel {
  const model = new MeshModel({ ...OPTIONS, revision: 'ambit' });
  model.apply({ upserts: objects });
  return model;
}

function statusOf(model: MeshModel, key: string) {
  const { findings = [], conditions = [] } = model.outputs.statuses.get(key) ?? {};
  return { findings, conditions, codes: findings.map(({ code }) => code) };
}

const from = (source: object) => ({ from: [{ source }] });
const spec = (action: string, ...rules: readonly object[]) => ({
  action,
  selector: { matchLabels: { app: 'reviews' } },
  rules,
});

describe('a policy of pods behind another mesh’s waypoint', () => {
  for (const [title, written, isHidden] of [
    ['ALLOW of a principal', spec('ALLOW', from({ principals: [CLIENT] })), true],
    ['DENY of a principal', spec('DENY', from({ principals: [CLIENT] })), true],
    ['DENY of others than a principal', spec('DENY', from({ notPrincipals: [CLIENT] })), true],
    ['ALLOW of a namespace', spec('ALLOW', from({ namespaces: ['shop'] })), true],
    ['DENY of other namespaces', spec('DENY', from({ notNamespaces: ['shop'] })), true],
    ['ALLOW of an account', spec('ALLOW', from({ serviceAccounts: ['shop/client'] })), true],
    ['ALLOW of an address', spec('ALLOW', from({ ipBlocks: ['10.0.0.0/8'] })), true],
    ['DENY of other addresses', spec('DENY', from({ notIpBlocks: ['10.0.0.0/8'] })), true],
    [
      'ALLOW by a condition on the source',
      spec('ALLOW', { when: [{ key: 'source.namespace', values: ['shop'] }] }),
      true,
    ],
    ['ALLOW of the waypoint by a pattern', spec('ALLOW', from({ principals: ['*/sa/w'] })), true],
    ['DENY of the waypoint itself', spec('DENY', from({ principals: [W] })), true],
    [
      'ALLOW of the waypoint in one rule and of a caller in another',
      spec('ALLOW', from({ principals: [W] }), from({ principals: [CLIENT] })),
      true,
    ],
    ['ALLOW of the waypoint by its name', spec('ALLOW', from({ principals: [W] })), false],
    ['ALLOW of its account', spec('ALLOW', from({ serviceAccounts: ['shop/w'] })), false],
    [
      'ALLOW of the waypoint and of callers past it',
      spec('ALLOW', from({ principals: [CLIENT, W] })),
      false,
    ],
    ['DENY of all but the waypoint', spec('DENY', from({ notPrincipals: [W] })), false],
    ['DENY of whoever has no identity', spec('DENY', from({ notPrincipals: ['*'] })), false],
    ['DENY of a port', spec('DENY', { to: [{ operation: { ports: ['81'] } }] }), false],
    ['AUDIT of a principal', spec('AUDIT', from({ principals: [CLIENT] })), false],
    [
      'ALLOW for other pods',
      { ...spec('ALLOW', from({ principals: [CLIENT] })), selector: { matchLabels: { app: 'x' } } },
      false,
    ],
  ] as const) {
    it(`${isHidden ? 'says so' : 'is as written'}: ${title}`, () => {
      const model = beside(
        namespace('shop', AMBIENT),
        MOVED,
        REVIEWS,
        gateway('w'),
        policy('p', written),
      );
      const { codes } = statusOf(model, 'AuthorizationPolicy/shop/p');
      assert.equal(codes.includes('CALLER_HIDDEN'), isHidden);
    });
  }

  const allow = policy('p', spec('ALLOW', from({ principals: [CLIENT] })));
  const key = 'AuthorizationPolicy/shop/p';

  it('names the Service, the waypoint and what to do', () => {
    const model = beside(namespace('shop', AMBIENT), MOVED, REVIEWS, gateway('w'), allow);
    const found = unjudged(statusOf(model, key).findings);
    assert.equal(found?.reason, 'CallerHidden');
    assert.match(found.message, /callers of Service\/shop\/reviews \(waypoint shop\/w\)/);
    assert.match(found.message, /spec\.targetRefs.*istio\.io\/use-waypoint/);
  });

  it('says it of policies of a namespace and of the mesh, and of a pod’s own label', () => {
    const labels = { app: 'reviews', ...AMBIENT, ...OURS, ...TO_W };
    const w = gateway('w', { labels: { 'istio.io/waypoint-for': 'all' } });
    const rules = [from({ namespaces: ['shop'] })];
    const model = beside(
      namespace('shop', AMBIENT),
      pod('a', '10.0.0.1', { labels }),
      w,
      policy('p', { rules }),
      policy('wide', { rules }, { namespace: 'istio-system' }),
      policy('elsewhere', { rules }, { namespace: 'other' }),
    );
    for (const one of [key, 'AuthorizationPolicy/istio-system/wide']) {
      const found = unjudged(statusOf(model, one).findings);
      assert.match(found?.message ?? '', /callers of Pod\/shop\/a \(waypoint shop\/w\)/, one);
    }
    assert.deepEqual(statusOf(model, 'AuthorizationPolicy/other/elsewhere').codes, []);
  });

  for (const [title, objects] of [
    ['ours', [gateway('w', { labels: OURS }), REVIEWS]],
    ['not there', [REVIEWS]],
    ['not for services', [gateway('w', { labels: { 'istio.io/waypoint-for': 'none' } }), REVIEWS]],
    ['named by no label', [gateway('w'), service('reviews', '10.1.0.1')]],
  ] as const) {
    it(`is as written where the waypoint is ${title}`, () => {
      const model = beside(namespace('shop', AMBIENT), MOVED, ...objects, allow);
      assert.equal(unjudged(statusOf(model, key).findings), undefined);
    });
  }

  it('is as written once the label is gone', () => {
    const model = beside(namespace('shop', AMBIENT), MOVED, REVIEWS, gateway('w'), allow);
    model.apply({ upserts: [service('reviews', '10.1.0.1')] });
    assert.equal(unjudged(statusOf(model, key).findings), undefined);
  });
});

describe('a policy on a target in a namespace of another mesh', () => {
  const outside = (annotations: Readonly<Record<string, string>> = {}) =>
    parsed({
      apiVersion: 'networking.istio.io/v1',
      kind: 'ServiceEntry',
      metadata: { name: 'api', namespace: 'shop', annotations },
      spec: {
        hosts: ['api.example.com'],
        addresses: ['10.2.0.1'],
        ports: [{ number: 443, name: 'tls', protocol: 'TLS' }],
        resolution: 'STATIC',
        endpoints: [{ address: '192.0.2.1' }],
      },
    });
  const targeting = (kind: string, group: string, name: string) =>
    policy('t', {
      action: 'ALLOW',
      targetRefs: [{ kind, group, name }],
      rules: [from({ namespaces: ['shop'] })],
    });
  const AT_ENTRY = targeting('ServiceEntry', 'networking.istio.io', 'api');
  const AT_SERVICE = targeting('Service', '', 'reviews');
  const key = 'AuthorizationPolicy/shop/t';
  const wayTo = (model: MeshModel, host: string) => {
    const found = model.outputs.addresses.get(`shop/${host}`);
    assert.ok(found?.kind === 'service');
    return found.service.waypoint;
  };
  const plain = service('reviews', '10.1.0.1');

  it('is attached to nothing, and callers of an entry are refused', () => {
    const model = beside(namespace('shop', AMBIENT), outside(), AT_ENTRY);
    assert.deepEqual(reasons(model, key), [
      'Accepted=True Accepted',
      'Attached=False NamespaceForeign',
      'WaypointReady=False NamespaceForeign',
    ]);
    const found = unjudged(statusOf(model, key).findings);
    assert.equal(found?.reason, 'WaypointNotMade');
    assert.match(found.message, /callers in this mesh are refused.*istio\.io\/rev: ambit/);
    assert.deepEqual(wayTo(model, 'api.example.com')?.destination, {
      kind: 'hostname',
      hostname: { namespace: 'shop', hostname: '(none is made in namespace shop)' },
    });
    assert.equal(model.outputs.waypoints.size, 0);
  });

  it('refuses also where the other mesh has a waypoint of the name that ours would have', () => {
    const model = beside(namespace('shop', AMBIENT), gateway('waypoint'), outside(), AT_ENTRY);
    assert.equal(wayTo(model, 'api.example.com')?.waypoint, undefined);
  });

  it('lets callers go direct where somebody says so, and says that nobody decides', () => {
    const direct = outside({ 'ambit.io/waypoint-fallback': 'direct' });
    const model = beside(namespace('shop', AMBIENT), direct, AT_ENTRY);
    assert.equal(wayTo(model, 'api.example.com'), undefined);
    assert.match(unjudged(statusOf(model, key).findings)?.message ?? '', /nobody decides/);
  });

  it('is attached to nothing at a Service, whose pods are the other mesh’s to protect', () => {
    const model = beside(namespace('shop', AMBIENT), plain, AT_SERVICE);
    assert.ok(reasons(model, key).includes('Attached=False NamespaceForeign'));
    assert.match(unjudged(statusOf(model, key).findings)?.message ?? '', /nobody decides/);
    assert.equal(wayTo(model, 'reviews.shop.svc.cluster.local'), undefined);
    assert.deepEqual(reasons(model, 'Service/shop/reviews'), []);
  });

  for (const [title, objects] of [
    ['the namespace is ours', [namespace('shop', OURS), outside()]],
    ['a pod there is ours', [namespace('shop', AMBIENT), MOVED, outside()]],
  ] as const) {
    it(`has its waypoint where ${title}`, () => {
      const model = beside(...objects, AT_ENTRY);
      assert.equal(unjudged(statusOf(model, key).findings), undefined);
      assert.equal(model.outputs.waypoints.size, 1);
      assert.equal(wayTo(model, 'api.example.com')?.waypoint?.key, 'shop/waypoint');
    });
  }

  it('leaves what only routes to go direct, and says that nothing routes', () => {
    const route = networking('VirtualService', 'r', {
      hosts: ['api.example.com'],
      tcp: [{ route: [{ destination: { host: 'api.example.com' } }] }],
    });
    const model = beside(namespace('shop', AMBIENT), outside(), route);
    assert.equal(wayTo(model, 'api.example.com'), undefined);
    assert.ok(
      reasons(model, 'VirtualService/shop/r').includes('WaypointReady=False NamespaceForeign'),
    );
  });
});
