/** What every proxy has and nobody does: `Enforced` would be True of it, were it not for these findings. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, REVIEWS, REVIEWS_SERVICE } from '../mesh.testing.ts';
import {
  gateway,
  modelOf,
  namespace,
  networking,
  parsed,
  pod,
  policy,
  service,
  waypointPod,
} from '../objects.testing.ts';
import { unjudged } from './unjudged.ts';

const USE = { 'istio.io/use-waypoint': 'waypoint' };
const LABELLED = namespace('shop', { 'istio.io/dataplane-mode': 'ambient', ...USE });
const SHOP = [REVIEWS, REVIEWS_SERVICE];
/** A waypoint for the Services of the shop that is there. */
const READY = [LABELLED, gateway('waypoint'), waypointPod()];

/** The reason that `Enforced` gives, and `-` where nothing keeps it from being True. */
function saidOf(key: string, objects: readonly MeshObject[]): string {
  const status = modelOf(...objects).outputs.statuses.get(key);
  assert.ok(status);
  return unjudged(status.findings)?.reason ?? '-';
}

describe('a RequestAuthentication', () => {
  const tokens = (spec: object): MeshObject =>
    parsed({
      apiVersion: 'security.istio.io/v1',
      kind: 'RequestAuthentication',
      metadata: { name: 'r', namespace: 'shop' },
      spec: { jwtRules: [{ issuer: 'x', jwks: '{"keys":[]}' }], ...spec },
    });
  const ON_REVIEWS = { selector: { matchLabels: { app: 'reviews' } } };
  const at = (group: string, kind: string, name: string) => ({
    targetRefs: [{ group, kind, name }],
  });
  const SERVICE = at('', 'Service', 'reviews');
  const GATEWAY = at('gateway.networking.k8s.io', 'Gateway', 'waypoint');
  const BY_SERVICE_ONLY = gateway('waypoint', { labels: { 'istio.io/waypoint-for': 'none' } });
  // Once every agent had it, it was said to be enforced, while tokens of anybody's making went through.
  for (const [title, spec, objects] of [
    ['of a namespace', {}, [AMBIENT]],
    ['of a namespace with a waypoint', {}, READY],
    ['of pods that agents alone stand before', ON_REVIEWS, [AMBIENT]],
    ['of pods behind a waypoint', ON_REVIEWS, READY],
    ['of pods behind a waypoint that is not for them', ON_REVIEWS, [LABELLED, BY_SERVICE_ONLY]],
    ['at a Service that agents alone stand before', SERVICE, [AMBIENT]],
    ['at a Service behind a waypoint', SERVICE, READY],
    ['at a waypoint', GATEWAY, READY],
    ['at a waypoint that is not there', GATEWAY, [LABELLED]],
    ['without a rule', { jwtRules: [] }, READY],
  ] as const) {
    it(`is said to be checked by nobody: ${title}`, () => {
      const said = saidOf('RequestAuthentication/shop/r', [...objects, ...SHOP, tokens(spec)]);
      assert.equal(said, 'TokensUnchecked');
    });
  }

  // It had a path that is not there, and nothing to do about it.
  for (const [title, spec, path] of [
    ['with rules', {}, 'spec.jwtRules'],
    ['without a rule', { jwtRules: [] }, 'spec'],
    ['with nothing', { jwtRules: undefined }, 'spec'],
  ] as const) {
    it(`says where, and what to do: ${title}`, () => {
      const { statuses } = modelOf(AMBIENT, ...SHOP, tokens(spec)).outputs;
      const { findings = [] } = statuses.get('RequestAuthentication/shop/r') ?? {};
      const [found] = findings.filter(({ code }) => code === 'TOKENS_UNCHECKED');
      assert.equal(found?.path, path);
      assert.match(found.fix ?? '', /source\.principals/);
    });
  }
});

describe('a policy whose waypoint takes nothing', () => {
  const P = 'AuthorizationPolicy/shop/p';
  const METHODS = [{ to: [{ operation: { methods: ['GET'] } }] }];
  const CALLERS = [{ from: [{ source: { principals: ['cluster.local/ns/evil/sa/evil'] } }] }];
  const ON_PODS = { selector: { matchLabels: { app: 'reviews' } } };
  const AT_SERVICE = { targetRefs: [{ group: '', kind: 'Service', name: 'reviews' }] };
  const AT_ENTRY = {
    targetRefs: [{ group: 'networking.istio.io', kind: 'ServiceEntry', name: 'far' }],
  };
  const audit = (spec: object = {}) => policy('p', { action: 'AUDIT', rules: METHODS, ...spec });
  const deny = (spec: object = {}) => policy('p', { action: 'DENY', rules: METHODS, ...spec });
  const dryRun = policy(
    'p',
    { action: 'DENY', rules: METHODS, ...ON_PODS },
    { annotations: { 'istio.io/dry-run': 'true' } },
  );
  const labelled = (labels: Readonly<Record<string, string>>): MeshObject =>
    namespace('shop', { 'istio.io/dataplane-mode': 'ambient', ...labels });
  const GONE = labelled({ 'istio.io/use-waypoint': 'edge' });
  const NONE = labelled({ 'istio.io/use-waypoint': 'none' });
  const FAR = labelled({ ...USE, 'istio.io/use-waypoint-namespace': 'far' });
  const ONE_GONE = service('reviews', '10.1.0.1', { labels: { 'istio.io/use-waypoint': 'edge' } });
  const OUTSIDE = pod('out', '10.0.0.8', {
    labels: { app: 'reviews', 'istio.io/dataplane-mode': 'none' },
  });
  const ALONE = pod('alone', '10.0.0.7');
  const ENTRY = networking('ServiceEntry', 'far', {
    hosts: ['far.example.com'],
    addresses: ['240.0.0.1'],
    resolution: 'DNS',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
  });
  for (const [title, objects, expected] of [
    // Each was said to be enforced, and nobody took notes.
    ['takes notes on pods, and a label names none', [GONE, audit(ON_PODS)], 'WaypointNotFound'],
    ['takes notes at a Service, and one names none', [GONE, audit(AT_SERVICE)], 'WaypointNotFound'],
    [
      'takes notes by the caller at a Service, and one names none',
      [GONE, audit({ rules: CALLERS, ...AT_SERVICE })],
      'WaypointNotFound',
    ],
    ['takes notes in a namespace, and one names none', [GONE, audit()], 'WaypointNotFound'],
    [
      'takes notes, and a label of one Service names none',
      [AMBIENT, ONE_GONE, audit()],
      'WaypointNotFound',
    ],
    ['is a dry run, and a label names none', [GONE, dryRun], 'WaypointNotFound'],
    [
      'takes notes at an entry, and one names none',
      [GONE, ENTRY, audit(AT_ENTRY)],
      'WaypointNotFound',
    ],
    ['takes notes, and a label says none', [NONE, audit(AT_SERVICE)], 'WaypointOptedOut'],
    [
      'takes notes, and it does not admit the namespace',
      [FAR, gateway('waypoint', { namespace: 'far' }), audit(AT_SERVICE)],
      'AttachmentDenied',
    ],
    [
      'takes notes, and it is for nothing',
      [
        LABELLED,
        gateway('waypoint', { labels: { 'istio.io/waypoint-for': 'none' } }),
        audit(AT_SERVICE),
      ],
      'UnsupportedTrafficType',
    ],
    [
      'takes notes, and a pod has no Service that goes by it',
      [...READY, ALONE, audit()],
      'UnsupportedTrafficType',
    ],
    [
      'refuses at a Service, a label names none and a pod is not in the mesh',
      [GONE, OUTSIDE, deny(AT_SERVICE)],
      'WaypointNotFound',
    ],
    [
      'refuses at a Service that is to use none, and a pod is not in the mesh',
      [NONE, OUTSIDE, deny(AT_SERVICE)],
      'WaypointOptedOut',
    ],
    // Of these somebody takes notes, or refuses.
    ['takes notes, and it is there', [...READY, audit()], '-'],
    ['takes notes on pods that their Service carries there', [...READY, audit(ON_PODS)], '-'],
    ['takes notes, and it is made for it', [AMBIENT, audit(AT_SERVICE)], '-'],
    [
      'takes notes at agents, and a label names none',
      [GONE, audit({ rules: CALLERS, ...ON_PODS })],
      '-',
    ],
    ['refuses callers of pods, and a label names none', [GONE, deny(ON_PODS)], '-'],
    ['refuses callers of a Service, and one names none', [GONE, deny(AT_SERVICE)], '-'],
    ['refuses callers of an entry, and one names none', [GONE, ENTRY, deny(AT_ENTRY)], '-'],
    ['refuses callers of what is to use none', [NONE, deny(AT_SERVICE)], '-'],
    ['refuses, and a pod has no Service that goes by it', [...READY, ALONE, deny()], '-'],
  ] as const) {
    it(`is said to be in force or not, ${expected}, where it ${title}`, () => {
      assert.equal(saidOf(P, [...SHOP, ...objects]), expected);
    });
  }

  it('says so no longer once the waypoint is there', () => {
    const model = modelOf(GONE, ...SHOP, audit(AT_SERVICE));
    const said = () => unjudged(model.outputs.statuses.get(P)?.findings ?? [])?.message;
    assert.match(said() ?? '', /shop\/edge.*shop\/reviews.* nobody judges by this one/);
    model.apply({ upserts: [gateway('edge')] });
    assert.equal(said(), undefined);
  });
});

describe('an object for several Services, of which a waypoint does not take all', () => {
  const to = (waypoint: string) => ({ 'istio.io/use-waypoint': waypoint });
  const A = service('a', '10.1.0.2', { labels: to('waypoint') });
  const B = service('b', '10.1.0.3', { labels: to('w') });
  const C = service('c', '10.1.0.4', { labels: to('w') });
  const W = gateway('w', { labels: { 'istio.io/waypoint-for': 'workload' } });
  const world = (...objects: readonly MeshObject[]): readonly MeshObject[] => [
    ...[AMBIENT, gateway('waypoint'), waypointPod(), W, ...objects],
    ...['a', 'b', 'c'].map((name, index) => pod(name, `10.0.0.${index + 2}`)),
  ];
  const targets = (...names: readonly string[]) =>
    names.map((name) => ({ group: '', kind: 'Service', name }));
  const at = (action: string, ...names: readonly string[]): MeshObject =>
    policy('p', { action, rules: [{}], targetRefs: targets(...names) });
  const hosts = (...names: readonly string[]): MeshObject =>
    networking('VirtualService', 'v', {
      hosts: names,
      http: [{ route: [{ destination: { host: 'a' } }] }],
    });
  const route = (...names: readonly string[]): MeshObject =>
    parsed({
      apiVersion: 'gateway.networking.k8s.io/v1',
      kind: 'HTTPRoute',
      metadata: { name: 'r', namespace: 'shop' },
      spec: { parentRefs: targets(...names), rules: [{ backendRefs: [{ name: 'a', port: 80 }] }] },
    });
  const readyOf = (key: string, objects: readonly MeshObject[]) => {
    const { conditions = [] } = modelOf(...objects).outputs.statuses.get(key) ?? {};
    const found = conditions.find(({ type }) => type === 'WaypointReady');
    const named = ['a', 'b', 'c'].filter((name) => found?.message.includes(`shop/${name}.shop`));
    return [found?.status, found?.reason, ...named].join(' ');
  };
  const V = 'VirtualService/shop/v';
  const R = 'HTTPRoute/shop/r';
  const P = 'AuthorizationPolicy/shop/p';
  const NO = 'False UnsupportedTrafficType';
  // The ready waypoint of the first was said to be that of all, and so were routes to be in force for all.
  for (const [key, object, expected] of [
    [V, hosts('a', 'b'), `${NO} b`],
    [V, hosts('b', 'a'), `${NO} b`],
    [V, hosts('a', 'b', 'c'), `${NO} b c`],
    [V, hosts('a'), 'True WaypointReady'],
    [R, route('a', 'b'), `${NO} b`],
    [R, route('b', 'c'), `${NO} b c`],
    [R, route('a'), 'True WaypointReady'],
    [P, at('DENY', 'a', 'b'), `${NO} b`],
    [P, at('AUDIT', 'c', 'a', 'b'), `${NO} b c`],
    [P, at('DENY', 'a'), 'True WaypointReady'],
  ] as const) {
    it(`says ${expected} of ${key}`, () => {
      assert.equal(readyOf(key, world(A, B, C, object)), expected);
    });
  }

  it('names those of every waypoint', () => {
    const optedOut = service('c', '10.1.0.4', { labels: to('none') });
    const objects = world(A, B, optedOut, hosts('a', 'b', 'c'));
    assert.match(readyOf(V, objects), /^False \w+ b c$/);
  });

  it('keeps policies that only take notes from being in force, and no others', () => {
    assert.equal(saidOf(P, world(A, B, at('AUDIT', 'a', 'b'))), 'UnsupportedTrafficType');
    assert.equal(saidOf(P, world(A, B, at('DENY', 'a', 'b'))), '-');
  });
});

describe('a wildcard that covers the Service of a waypoint too', () => {
  const OWN = service('waypoint', '10.1.9.9', {
    labels: { 'gateway.networking.k8s.io/gateway-name': 'waypoint' },
  });
  const WORLD = [AMBIENT, ...SHOP, gateway('waypoint'), waypointPod(), OWN];
  const BALANCED = { trafficPolicy: { loadBalancer: { simple: 'RANDOM' } } };
  const rule = (host: string, space: string): MeshObject =>
    networking('DestinationRule', 'all', { host, ...BALANCED }, space);
  const routed = (host: string): MeshObject =>
    networking('VirtualService', 'all', {
      hosts: [host],
      http: [{ route: [{ destination: { host: 'reviews' } }] }],
    });
  const REVIEWS_KEY = 'shop/reviews.shop.svc.cluster.local';
  const applies = `True applies to ${REVIEWS_KEY}; True WaypointReady`;
  // Each was said to be for what uses no waypoint, as long as there was one.
  for (const [object, expected] of [
    [rule('*.local', 'istio-system'), applies],
    [rule('*.svc.cluster.local', 'istio-system'), applies],
    [rule('*.shop.svc.cluster.local', 'shop'), applies],
    [
      routed('*.shop.svc.cluster.local'),
      `True routes ${REVIEWS_KEY} at the waypoint; True WaypointReady`,
    ],
    [
      rule('waypoint', 'shop'),
      'True applies to shop/waypoint.shop.svc.cluster.local; False WaypointOptedOut',
    ],
    [
      routed('waypoint'),
      'True routes shop/waypoint.shop.svc.cluster.local at the waypoint; False WaypointOptedOut',
    ],
  ] as const) {
    const { kind, metadata, spec } = object as unknown as MeshObject & {
      spec: { host?: string; hosts?: readonly string[] };
    };
    const key = `${kind}/${metadata.namespace}/${metadata.name}`;
    it(`says of ${key} with ${spec.host ?? spec.hosts?.[0]}: ${expected}`, () => {
      const { conditions = [] } = modelOf(...WORLD, object).outputs.statuses.get(key) ?? {};
      const attached = conditions.find(({ type }) => type === 'Attached');
      const ready = conditions.find(({ type }) => type === 'WaypointReady');
      assert.equal(
        `${attached?.status} ${attached?.message}; ${ready?.status} ${ready?.reason}`,
        expected,
      );
    });
  }
});
