/** A mesh of a revision beside another: whose a waypoint is, who goes there, and where none is made. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshObject } from '@ambit/api';
import { reasons } from './mesh.testing.ts';
import { MeshModel } from './mesh-model.ts';
import {
  gateway,
  namespace,
  networking,
  OPTIONS,
  pod,
  policy,
  service,
} from './objects.testing.ts';

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const OURS = { 'istio.io/rev': 'ambit' };
const TO_WAYPOINT = { labels: { 'istio.io/use-waypoint': 'w' } };
const VIRTUAL_SERVICE = networking('VirtualService', 'reviews', {
  hosts: ['reviews'],
  http: [{ route: [{ destination: { host: 'reviews' } }] }],
});

const POLICY = policy('get-only', {
  action: 'ALLOW',
  rules: [{ to: [{ operation: { methods: ['GET'] } }] }],
});

function beside(...objects: readonly MeshObject[]): MeshModel {
  const model = new MeshModel({ ...OPTIONS, revision: 'ambit' });
  model.apply({ upserts: objects });
  return model;
}

const waypointOf = (model: MeshModel) => {
  const address = model.outputs.addresses.get('shop/reviews.shop.svc.cluster.local');
  return address?.kind === 'service' ? address.service.waypoint : undefined;
};

describe('a waypoint of another mesh', () => {
  const reviews = service('reviews', '10.1.0.1', TO_WAYPOINT);

  it('is where callers go that a label sends there, ready or not, and is not made here', () => {
    const model = beside(namespace('shop', AMBIENT), reviews, gateway('w'));
    const found = waypointOf(model);
    assert.deepEqual(found?.destination, {
      kind: 'hostname',
      hostname: { namespace: 'shop', hostname: 'w.shop.svc.cluster.local' },
    });
    assert.equal(found.waypoint?.identity, 'spiffe://cluster.local/ns/shop/sa/w');
    assert.equal(model.outputs.waypoints.size, 0);
  });

  it('decides nothing for a pod of this mesh: what a policy guards refuses everybody', () => {
    const moved = pod('a', '10.0.0.1', { labels: { app: 'reviews', ...AMBIENT, ...OURS } });
    const model = beside(namespace('shop', AMBIENT), moved, reviews, gateway('w'), POLICY);
    const found = model.outputs.addresses.get('Kubernetes//Pod/shop/a');
    assert.ok(found?.kind === 'workload');
    assert.equal(found.workload.guard?.exclusive, true);
    assert.ok(
      !found.workload.guard.waypointIdentities.includes('spiffe://cluster.local/ns/shop/sa/w'),
    );
  });

  it('is told of as such, without a finding', () => {
    const model = beside(namespace('shop', AMBIENT), reviews, gateway('w'));
    assert.deepEqual(reasons(model, 'Service/shop/reviews'), [
      'WaypointReady=False WaypointForeign',
    ]);
    assert.deepEqual(model.outputs.statuses.get('Service/shop/reviews')?.findings, []);
  });

  for (const [title, others] of [
    ['there is none', []],
    ['it is no waypoint', [gateway('w', { className: 'istio' })]],
  ] as const) {
    it(`is not found where ${title}`, () => {
      const model = beside(namespace('shop', AMBIENT), reviews, ...others);
      assert.equal(waypointOf(model), undefined);
      assert.deepEqual(reasons(model, 'Service/shop/reviews'), [
        'WaypointReady=False WaypointNotFound',
      ]);
    });
  }

  it('keeps its name: none of ours is made over it', () => {
    const model = beside(
      namespace('shop', OURS),
      service('reviews', '10.1.0.1'),
      VIRTUAL_SERVICE,
      gateway('waypoint', { labels: { 'istio.io/rev': 'default' } }),
    );
    assert.equal(model.outputs.waypoints.size, 0);
    assert.equal(waypointOf(model), undefined);
  });
});

describe('a policy of pods that the other mesh has', () => {
  const redirected = { 'ambient.istio.io/redirection': 'enabled' };
  const theirs = withAnnotations(pod('web', '10.0.0.1'), redirected);
  const findings = (model: MeshModel) =>
    (model.outputs.statuses.get('AuthorizationPolicy/shop/l4')?.findings ?? []).map(
      ({ code }) => code,
    );
  const l4 = policy('l4', { rules: [{ from: [{ source: { namespaces: ['shop'] } }] }] });

  it('is decided there, so nothing is missing here', () => {
    assert.deepEqual(findings(beside(namespace('shop', AMBIENT), theirs, l4)), []);
  });

  it('is decided by nobody for pods that nobody has, or where the mesh is alone', () => {
    const plain = beside(namespace('shop', AMBIENT), pod('web', '10.0.0.1'), l4);
    assert.deepEqual(findings(plain), ['NOT_ENROLLED']);
    const alone = new MeshModel(OPTIONS);
    alone.apply({ upserts: [namespace('shop'), theirs, l4] });
    assert.deepEqual(findings(alone), ['NOT_ENROLLED']);
  });
});

function withAnnotations(object: MeshObject, annotations: Readonly<Record<string, string>>) {
  assert.ok(object.kind === 'Pod');
  return { ...object, metadata: { ...object.metadata, annotations } };
}

describe('a refused object beside another mesh', () => {
  const findings = [{ code: 'X', severity: 'error', path: 'spec', message: 'is none' }] as const;
  for (const [kind, revision, isTold] of [
    ['VirtualService', 'theirs', false],
    ['AuthorizationPolicy', 'theirs', false],
    ['VirtualService', 'ambit', true],
    ['VirtualService', undefined, true],
    // Whose a Gateway is depends on its namespace too.
    ['Gateway', 'theirs', true],
  ] as const) {
    it(`is ${isTold ? 'told of' : 'left alone'}: ${kind} of ${revision}`, () => {
      const model = beside(namespace('shop', OURS));
      const key = `${kind}/shop/x`;
      const said = revision === undefined ? {} : { revision };
      model.apply({ invalid: [{ key, findings }] });
      model.apply({ invalid: [{ key, findings, ...said }] });
      assert.equal(model.outputs.statuses.has(key), isTold);
    });
  }
});

describe('a waypoint that nobody wrote a Gateway for', () => {
  const reviews = service('reviews', '10.1.0.1');
  const moved = pod('a', '10.0.0.1', { labels: { ...AMBIENT, ...OURS } });
  for (const [title, objects, expected] of [
    ['is not made in a namespace that is another mesh', [namespace('shop', AMBIENT)], 0],
    ['is made in one of ours', [namespace('shop', OURS)], 1],
    ['is not made for routes while single pods move', [namespace('shop', AMBIENT), moved], 0],
    [
      'is made for policies that somebody has to decide for a pod that has moved',
      [namespace('shop', AMBIENT), moved, POLICY],
      1,
    ],
    ['is not made for policies of pods that have not', [namespace('shop', AMBIENT), POLICY], 0],
  ] as const) {
    it(title, () => {
      const model = beside(...objects, reviews, VIRTUAL_SERVICE);
      assert.equal(model.outputs.waypoints.size, expected);
    });
  }

  it('is made in a mesh that is alone, whoever is enrolled', () => {
    const model = new MeshModel(OPTIONS);
    model.apply({ upserts: [namespace('shop'), reviews, VIRTUAL_SERVICE] });
    assert.equal(model.outputs.waypoints.size, 1);
  });
});
