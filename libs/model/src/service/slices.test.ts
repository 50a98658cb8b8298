import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import type { MeshModel } from '../mesh-model.ts';
import {
  gateway,
  modelOf,
  namespace,
  networking,
  parsed,
  pod,
  policy,
  service,
  slice,
  uid,
  waypointPod,
} from '../objects.testing.ts';
import type { Workload } from '../types.ts';

const AMBIENT = namespace('shop', { 'istio.io/dataplane-mode': 'ambient' });
const DB = service('db', '10.96.0.7', { selector: {} });
const KEY = 'shop/db.shop.svc.cluster.local';
const OUTSIDE = 'Kubernetes/discovery.k8s.io/EndpointSlice/shop/db/192.0.2.1';
const at = (...addresses: readonly string[]) => addresses.map((ip) => ({ addresses: [ip] }));

function workload(model: MeshModel, key: string): Workload | undefined {
  const address = model.outputs.addresses.get(key);
  return address?.kind === 'workload' ? address.workload : undefined;
}

/** Uid → target ports on the service. */
function members(model: MeshModel, key = KEY): Readonly<Record<string, readonly number[]>> {
  const found: Record<string, readonly number[]> = {};
  for (const address of model.outputs.addresses.values()) {
    const ports = address.kind === 'workload' ? address.workload.services[key] : undefined;
    if (address.kind !== 'workload' || ports === undefined) continue;
    found[address.workload.uid] = ports.map(({ targetPort }) => targetPort);
  }
  return found;
}

describe('an EndpointSlice of a Service without selector', () => {
  it('makes an address that nobody has a workload without identity, in the clear', () => {
    const model = modelOf(AMBIENT, DB, slice('db', at('192.0.2.1')));
    const made = workload(model, OUTSIDE);
    assert.deepEqual(
      [made?.tunnelProtocol, made?.serviceAccount, made?.networkMode, made?.status],
      ['NONE', '', 'HOST_NETWORK', 'HEALTHY'],
    );
    assert.deepEqual(members(model), { [OUTSIDE]: [9090] });
  });

  it('makes a pod that has the address a member, as what it is', () => {
    const model = modelOf(AMBIENT, DB, pod('a', '10.0.0.1'), slice('db', at('10.0.0.1')));
    assert.deepEqual(members(model), { [uid('a')]: [9090] });
    assert.equal(workload(model, uid('a'))?.tunnelProtocol, 'HBONE');
    assert.equal(workload(model, uid('a'))?.networkMode, 'STANDARD');
  });

  it('makes a WorkloadEntry that has the address a member', () => {
    const entry = networking('WorkloadEntry', 'vm', { address: '192.0.2.1' });
    const model = modelOf(AMBIENT, DB, entry, slice('db', at('192.0.2.1')));
    assert.deepEqual(Object.keys(members(model)), [
      'Kubernetes/networking.istio.io/WorkloadEntry/shop/vm',
    ]);
  });

  it('follows the address to a pod that comes and from one that goes', () => {
    const model = modelOf(AMBIENT, DB, slice('db', at('192.0.2.1')));
    const delta = model.apply({ upserts: [pod('a', '192.0.2.1')] });
    assert.deepEqual(Object.keys(members(model)), [uid('a')]);
    assert.ok(delta.addresses.removed.has(OUTSIDE));
    model.apply({ removes: ['Pod/shop/a'] });
    assert.deepEqual(Object.keys(members(model)), [OUTSIDE]);
    model.apply({ removes: ['EndpointSlice/shop/db'] });
    assert.deepEqual(members(model), {});
    assert.equal(workload(model, OUTSIDE), undefined);
  });

  it('asks whom the slice names among pods of one host', () => {
    const hosted = ['a', 'b'].map((name) => pod(name, '10.90.0.1', { hostNetwork: true }));
    const named = [{ addresses: ['10.90.0.1'], targetRef: { kind: 'Pod', name: 'b' } }];
    const by = (endpoints: typeof named | ReturnType<typeof at>): readonly string[] =>
      Object.keys(members(modelOf(AMBIENT, DB, ...hosted, slice('db', endpoints))));
    assert.deepEqual(by(named), [uid('b')]);
    assert.deepEqual(by(at('10.90.0.1')), [OUTSIDE.replace('192.0.2.1', '10.90.0.1')]);
  });

  it('believes no name of a pod that has another address', () => {
    const named = [{ addresses: ['192.0.2.1'], targetRef: { kind: 'Pod', name: 'a' } }];
    const model = modelOf(AMBIENT, DB, pod('a', '10.0.0.1'), slice('db', named));
    assert.deepEqual(Object.keys(members(model)), [OUTSIDE]);
  });

  it('leaves out a member that is not ready, unless the Service takes those', () => {
    const unready = [{ addresses: ['10.0.0.1'], conditions: { ready: false } }];
    const all = parsed({
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'db', namespace: 'shop' },
      spec: { publishNotReadyAddresses: true, ports: [{ name: 'http', port: 80 }] },
    });
    const by = (made: MeshObject): readonly string[] =>
      Object.keys(members(modelOf(AMBIENT, made, pod('a', '10.0.0.1'), slice('db', unready))));
    assert.deepEqual(by(DB), []);
    assert.deepEqual(by(all), [uid('a')]);
    const outside = slice('db', [{ addresses: ['192.0.2.1'], conditions: { ready: false } }]);
    assert.equal(workload(modelOf(AMBIENT, DB, outside), OUTSIDE)?.status, 'UNHEALTHY');
  });

  it('serves the ports that both name, and the TCP one where a number is two', () => {
    const dns = service('db', '10.96.0.7', {
      selector: {},
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 5353 },
        { name: 'dns-tcp', port: 53, targetPort: 5353 },
        { name: 'metrics', port: 9153 },
      ],
    });
    const ports = [
      { name: 'dns', port: 1053, protocol: 'UDP' },
      { name: 'dns-tcp', port: 2053 },
      { name: 'other', port: 1 },
    ];
    const model = modelOf(AMBIENT, dns, slice('db', at('192.0.2.1'), { ports }));
    assert.deepEqual(members(model), { [OUTSIDE]: [2053] });
  });

  for (const [title, objects] of [
    ['of a Service with a selector', [service('db', '10.96.0.7'), slice('db', at('192.0.2.1'))]],
    ['of no Service', [slice('db', at('192.0.2.1'))]],
    ['of a Service of another namespace', [DB, slice('db', at('192.0.2.1'), { namespace: 'x' })]],
    ['of names', [DB, slice('db', at('db.example'), { addressType: 'FQDN' })]],
    ['of what is no address', [DB, slice('db', at('nonsense'))]],
  ] as const) {
    it(`says nothing here: ${title}`, () => {
      const model = modelOf(AMBIENT, ...objects);
      assert.deepEqual(members(model), {});
      assert.deepEqual(
        [...model.outputs.addresses.keys()].filter((key) => key.includes('EndpointSlice')),
        [],
      );
    });
  }

  it('is followed when its Service gets and loses a selector', () => {
    const model = modelOf(AMBIENT, service('db', '10.96.0.7'), slice('db', at('192.0.2.1')));
    model.apply({ upserts: [DB] });
    assert.deepEqual(Object.keys(members(model)), [OUTSIDE]);
    model.apply({ upserts: [service('db', '10.96.0.7')] });
    assert.deepEqual(members(model), {});
  });
});

describe('an EndpointSlice of addresses of another namespace', () => {
  const THEIRS = namespace('theirs', { 'istio.io/dataplane-mode': 'ambient' });
  const WAYPOINT = { 'istio.io/use-waypoint': 'waypoint' };
  const bound = service('db', '10.96.0.7', { selector: {}, labels: WAYPOINT });
  const victim = pod('a', '10.0.0.1', { namespace: 'theirs' });
  const L4 = policy(
    'callers',
    { rules: [{ from: [{ source: { principals: ['cluster.local/ns/theirs/sa/b'] } }] }] },
    { namespace: 'theirs' },
  );
  const objects = [AMBIENT, THEIRS, gateway('waypoint'), waypointPod(), bound, victim, L4];

  it('lets no waypoint of its own decide for them', () => {
    const model = modelOf(...objects, slice('db', at('10.0.0.1')));
    const reached = workload(model, uid('a', 'theirs'));
    assert.deepEqual(Object.keys(reached?.services ?? {}), [KEY]);
    assert.equal(reached?.guard, undefined, 'who is no guard is not believed');
    assert.deepEqual(reached?.authorizationPolicies, []);
    const ours = modelOf(
      ...objects.filter((object) => object !== victim && object !== L4),
      pod('a', '10.0.0.1'),
      policy('callers', { rules: [{ from: [{ source: { namespaces: ['x'] } }] }] }),
      slice('db', at('10.0.0.1')),
    );
    assert.ok(workload(ours, uid('a'))?.guard, 'that of its own namespace does');
  });

  it('makes no waypoint for policies that are not of its namespace', () => {
    const l7 = policy(
      'http',
      { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
      { namespace: 'theirs' },
    );
    const plain = service('db', '10.96.0.7', { selector: {} });
    const model = modelOf(AMBIENT, THEIRS, plain, victim, l7, slice('db', at('10.0.0.1')));
    const found = model.outputs.addresses.get(KEY);
    assert.ok(found?.kind === 'service');
    assert.equal(found.service.waypoint, undefined);
    assert.equal(workload(model, uid('a', 'theirs'))?.guard?.exclusive, true);
  });
});
