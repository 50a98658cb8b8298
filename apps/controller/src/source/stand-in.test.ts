import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, parseObject } from '@ambit/api';
import { authorizeAtWaypoint, keyOf, MeshIndex, MeshModel, WaypointView } from '@ambit/model';

import { isStandIn, standInFor } from './stand-in.ts';

type Json = Readonly<Record<string, unknown>>;

const SELECTOR = { matchLabels: { app: 'reviews' } };
const TARGETS = [{ group: '', kind: 'Service', name: 'reviews' }];
const ALL = [{ from: [], to: [], when: [] }];
const REV = 'istio.io/rev';
const OURS = { 'istio.io/dataplane-mode': 'ambient', [REV]: 'ambit' };

function written(kind: string, spec: unknown, annotations: Json = {}): Json {
  const metadata = { namespace: 'shop', name: 'p', uid: 'u1', annotations };
  return { apiVersion: 'security.istio.io/v1', kind, metadata, spec };
}

const policy = (spec: unknown, annotations?: Json): Json =>
  written('AuthorizationPolicy', spec, annotations);

describe('standInFor', () => {
  for (const [title, spec, action, rules] of [
    ['ALLOW names nobody', { action: 'ALLOW', rulez: [] }, 'ALLOW', []],
    ['no action is ALLOW', { rules: [{ form: [] }] }, 'ALLOW', []],
    ['DENY takes everybody', { action: 'DENY', rules: [{ form: [] }] }, 'DENY', ALL],
    ['CUSTOM takes everybody', { action: 'CUSTOM', rules: 1 }, 'DENY', ALL],
    ['an action that nobody knows takes everybody', { action: 'DENNY' }, 'DENY', ALL],
    ['a spec that is none', 'nonsense', 'ALLOW', []],
    ['no spec', undefined, 'ALLOW', []],
  ] as const) {
    it(`${title}`, () => {
      const object = standInFor(policy(spec));
      assert.ok(object?.kind === 'AuthorizationPolicy');
      assert.deepEqual([object.spec.action, object.spec.rules], [action, rules]);
      assert.equal(object.metadata.uid, 'u1');
    });
  }

  for (const [title, scope, selector, targets] of [
    ['a selector', { selector: SELECTOR }, SELECTOR, 0],
    ['targets', { targetRefs: TARGETS }, undefined, 1],
    ['nothing', {}, undefined, 0],
    ['a selector that cannot be read', { selector: { matchLabel: {} } }, undefined, 0],
    ['both, which is refused', { selector: SELECTOR, targetRefs: TARGETS }, undefined, 0],
  ] as const) {
    it(`has the scope that was written, or the whole namespace: ${title}`, () => {
      const object = standInFor(policy({ ...scope, action: 'DENY', rules: 'x' }));
      assert.ok(object?.kind === 'AuthorizationPolicy');
      assert.deepEqual(object.spec.selector, selector);
      assert.equal(object.spec.targetRefs.length, targets);
    });
  }

  for (const [title, object] of [
    ['a policy that only takes notes', policy({ action: 'AUDIT', rules: 1 })],
    ['a dry run', policy({ action: 'DENY', rules: 1 }, { 'istio.io/dry-run': 'true' })],
    ['tokens', written('RequestAuthentication', { jwtRules: 1 })],
    ['a route', written('VirtualService', {})],
    ['a name that is none', { ...policy({}), metadata: { name: 'NO' } }],
  ] as const) {
    it(`stands in for nothing that could not refuse: ${title}`, () => {
      assert.equal(standInFor(object), undefined);
    });
  }

  it('is marked by whoever makes it, and not by what it stands for', () => {
    const marks = { 'ambit.io/stand-in': 'true', 'ambit.io/stand-in-anywhere': 'true' };
    const claimed = policy({ selector: SELECTOR, action: 'DENY', rules: [{}] }, marks);
    assert.equal(parseObject(claimed).object, undefined);
    const object = standInFor(claimed);
    assert.ok(object !== undefined && isStandIn(object));
    assert.deepEqual(object.metadata.annotations, { 'ambit.io/stand-in': 'true' });
    const anywhere = standInFor(policy({ action: 'DENY', targetRef5: 1 }));
    assert.deepEqual(anywhere?.metadata.annotations, marks);
  });

  it('demands identities where a PeerAuthentication cannot be read', () => {
    const object = standInFor(
      written('PeerAuthentication', { selector: SELECTOR, mtls: { mode: 'STRIKT' } }),
    );
    assert.ok(object?.kind === 'PeerAuthentication');
    assert.deepEqual([object.spec.mtls.mode, object.spec.selector], ['STRICT', SELECTOR]);
  });

  it('reads the scope although other metadata cannot be', () => {
    const metadata = { namespace: 'shop', name: 'p', uid: 'u1', creationTimestamp: 'no time' };
    const object = standInFor({ ...policy({ selector: SELECTOR, rules: 1 }), metadata });
    assert.ok(object?.kind === 'AuthorizationPolicy');
    assert.deepEqual(object.spec.selector, SELECTOR);
  });
});

describe('a refused policy of which no version was ever accepted', () => {
  function object(value: Json): MeshObject {
    const { object: found, findings } = parseObject(value);
    assert.ok(found, JSON.stringify(findings));
    return found;
  }
  const OPTIONS = {
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    network: '',
  };
  const AMBIENT = object({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { 'istio.io/dataplane-mode': 'ambient' } },
  });
  const REVIEWS = object({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace: 'shop', name: 'reviews', labels: { app: 'reviews' } },
    spec: { nodeName: 'n', containers: [] },
    status: {
      phase: 'Running',
      podIP: '10.0.0.1',
      podIPs: [{ ip: '10.0.0.1' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });

  it('closes its scope in the model, and says why', () => {
    const model = new MeshModel(OPTIONS);
    const standIn = standInFor(policy({ selector: SELECTOR, action: 'DENY', rules: 1 }));
    assert.ok(standIn);
    const key = 'AuthorizationPolicy/shop/p';
    const findings = [
      { code: 'X', severity: 'error', path: 'spec.rules', message: 'is no list' },
    ] as const;
    model.apply({ upserts: [AMBIENT, REVIEWS, standIn], invalid: [{ key, findings }] });
    const { authorizations, addresses, statuses } = model.outputs;
    assert.equal(authorizations.get('shop/p')?.action, 'DENY');
    const address = addresses.get('Kubernetes//Pod/shop/reviews');
    assert.ok(address?.kind === 'workload');
    assert.deepEqual(address.workload.authorizationPolicies, ['shop/p']);
    const [condition] = statuses.get(key)?.conditions ?? [];
    assert.equal(condition?.status, 'False');
    assert.match(condition?.message ?? '', /no version was accepted yet, so until it is fixed/);
  });

  const GATEWAY = {
    group: 'gateway.networking.k8s.io',
    kind: 'Gateway',
    name: 'waypoint',
  };
  for (const [title, scope] of [
    ['beside a selector', { selector: SELECTOR, targetRefs: [GATEWAY] }],
    ['with a field that nobody knows', { targetRefs: [{ ...GATEWAY, section: 'x' }] }],
    ['among what is no target', { targetRefs: [GATEWAY, { kind: 'Servis', name: 'x' }] }],
    ['by a misspelt name', { targetRef5: [GATEWAY] }],
  ] as const) {
    it(`closes what its waypoint serves of other namespaces, where it targets that ${title}`, () => {
      const standIn = standInFor({
        ...policy({ ...scope, action: 'DENY', rules: [{}] }),
        metadata: { namespace: 'gw', name: 'p', uid: 'u1' },
      });
      assert.ok(standIn);
      assert.deepEqual(throughWaypoint(), {
        isAllowed: true,
        isRouteOpen: true,
        because: undefined,
      });
      const because = ['AuthorizationPolicy/gw/p'];
      assert.deepEqual(throughWaypoint(standIn), {
        isAllowed: false,
        isRouteOpen: false,
        because,
      });
    });
  }

  it('leaves open what the waypoint of its namespace serves of others where it names no target', () => {
    const metadata = { namespace: 'gw', name: 'p', uid: 'u1' };
    const standIn = standInFor({ ...policy({ action: 'DENY', rules: 1 }), metadata });
    assert.ok(standIn);
    assert.equal(throughWaypoint(standIn).isAllowed, true);
  });

  for (const [said, whose, policies] of [
    ['istio-1-24', "another mesh's", []],
    ['ambit', 'its own', ['shop/p']],
    [undefined, 'of both', ['shop/p']],
    [7, 'whose nobody can tell', ['shop/p']],
  ] as const) {
    it(`closes nothing of this mesh where it is another's: ${whose}`, () => {
      const labels = said === undefined ? {} : { [REV]: said };
      const rules = [{ to: [{ operation: { paths: ['/a b'] } }] }];
      const metadata = { namespace: 'shop', name: 'p', uid: 'u1', labels };
      const refused = {
        ...policy({ selector: SELECTOR, action: 'DENY', rules }),
        metadata,
      };
      assert.equal(parseObject(refused).object, undefined, 'it is refused');
      const standIn = standInFor(refused);
      assert.ok(standIn !== undefined && isStandIn(standIn));
      const model = new MeshModel({ ...OPTIONS, revision: 'ambit' });
      // Of the namespace the label says whose its pods are, and nothing of policies.
      const shop = { ...AMBIENT, metadata: { ...AMBIENT.metadata, labels: OURS } } as MeshObject;
      model.apply({ upserts: [shop, REVIEWS, standIn] });
      const address = model.outputs.addresses.get('Kubernetes//Pod/shop/reviews');
      assert.ok(address?.kind === 'workload');
      assert.deepEqual(address.workload.authorizationPolicies, policies);
    });
  }

  const OTHERS = 'w.shop.svc.cluster.local';
  for (const [gatewayRev, namespaceRev, hostname] of [
    ['istio-1-24', 'ambit', OTHERS],
    [undefined, 'istio-1-24', OTHERS],
    ['ambit', 'istio-1-24', 'nobody.invalid'],
    [undefined, 'ambit', 'nobody.invalid'],
  ] as const) {
    it(`sends callers to ${hostname} for a bad binding, with ${gatewayRev} in ${namespaceRev}`, () => {
      const labels = gatewayRev === undefined ? {} : { [REV]: gatewayRev };
      const annotations = { 'ambient.istio.io/waypoint-inbound-binding': 'PROXY/abc' };
      const standIn = standInFor({
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        metadata: { namespace: 'shop', name: 'w', uid: 'u1', labels, annotations },
        spec: {
          gatewayClassName: 'istio-waypoint',
          listeners: [{ name: 'mesh', port: 15008, protocol: 'HBONE' }],
        },
      });
      assert.ok(standIn);
      const uses = { ...OURS, [REV]: namespaceRev, 'istio.io/use-waypoint': 'w' };
      const model = new MeshModel({ ...OPTIONS, revision: 'ambit' });
      model.apply({
        upserts: [
          object({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: uses } }),
          object({
            apiVersion: 'v1',
            kind: 'Service',
            metadata: { namespace: 'shop', name: 'reviews' },
            spec: { clusterIP: '10.1.0.1', ports: [{ port: 80 }] },
          }),
          standIn,
        ],
      });
      const found = model.outputs.addresses.get('shop/reviews.shop.svc.cluster.local');
      assert.ok(found?.kind === 'service');
      const { destination } = found.service.waypoint ?? {};
      assert.deepEqual(destination, {
        kind: 'hostname',
        hostname: { namespace: 'shop', hostname },
      });
    });
  }

  const CLASS = { ...GATEWAY, kind: 'GatewayClass', name: 'istio-waypoint' };
  for (const [namespace, isAllowed, because] of [
    ['tenant', true, undefined],
    ['istio-system', false, ['AuthorizationPolicy/istio-system/p']],
  ] as const) {
    it(`closes a class of waypoints from the root namespace alone: from ${namespace}`, () => {
      for (const deny of [
        { rules: [{ to: [{ operation: { paths: ['/a b'] } }] }] },
        { rules: 1 },
      ]) {
        const written = policy({ targetRefs: [CLASS], action: 'DENY', ...deny });
        assert.equal(parseObject(written).object, undefined, 'it is refused');
        const standIn = standInFor({ ...written, metadata: { namespace, name: 'p', uid: 'u1' } });
        assert.ok(standIn);
        const found = throughWaypoint(standIn);
        assert.deepEqual([found.isAllowed, found.because], [isAllowed, because]);
        assert.equal(found.isRouteOpen, isAllowed);
      }
    });
  }

  /** Whether a caller comes through gw/waypoint to a service of shop, and for what nobody comes around it. */
  function throughWaypoint(...policies: readonly MeshObject[]) {
    const labels = {
      'istio.io/dataplane-mode': 'ambient',
      'istio.io/use-waypoint': 'waypoint',
      'istio.io/use-waypoint-namespace': 'gw',
    };
    const listener = { name: 'mesh', port: 15008, protocol: 'HBONE' };
    const listeners = [{ ...listener, allowedRoutes: { namespaces: { from: 'All' } } }];
    const model = new MeshModel(OPTIONS);
    model.apply({
      upserts: [
        object({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels } }),
        object({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'gw' } }),
        REVIEWS,
        object({
          apiVersion: 'v1',
          kind: 'Service',
          metadata: { namespace: 'shop', name: 'reviews' },
          spec: { clusterIP: '10.1.0.1', ports: [{ port: 80 }], selector: { app: 'reviews' } },
        }),
        object({
          apiVersion: 'gateway.networking.k8s.io/v1',
          kind: 'Gateway',
          metadata: { namespace: 'gw', name: 'waypoint' },
          spec: { gatewayClassName: 'istio-waypoint', listeners },
        }),
        ...policies,
      ],
    });
    const { addresses, scopes } = model.outputs;
    const index = new MeshIndex({ network: '' });
    index.apply({ changed: addresses.values(), removed: [] });
    const self = { namespace: 'gw', name: 'waypoint', className: 'istio-waypoint' };
    const view = new WaypointView(index, { ...OPTIONS, ...self });
    const sent = policies.filter((one) => scopes.get('gw/waypoint')?.has(keyOf(one)));
    view.apply({ changed: sent, removed: [] });
    const service = index.service('shop', 'reviews.shop.svc.cluster.local');
    assert.ok(service);
    const { beforeRoute } = authorizeAtWaypoint({
      view,
      index,
      caller: {
        trustDomain: 'cluster.local',
        namespace: 'shop',
        serviceAccount: 'client',
        ip: '10.0.0.9',
      },
      destination: { service, port: 80 },
    });
    // As where a route of gw leads to shop.
    const hostname = 'front.gw.svc.cluster.local';
    const front = { ...service, namespace: 'gw', name: 'front', hostname };
    const [workload] = index.endpoints('shop/reviews.shop.svc.cluster.local');
    assert.ok(workload);
    const atFront = new WaypointView(index, { ...OPTIONS, ...self, namespace: 'shop' });
    atFront.apply({ changed: policies, removed: [] });
    const routed = atFront.policies({ workload, targetPort: 80, service: front });
    return {
      isAllowed: beforeRoute.verdict.allowed,
      isRouteOpen: routed.policies.length === 0,
      because: workload.guard?.because,
    };
  }
});
