/** `Attached` says of a policy what is: True of nothing that nobody keeps, and False of nothing that is in force. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { MeshObject } from '@ambit/api';

import { AMBIENT, L7_TARGETED, REVIEWS, REVIEWS_SERVICE } from '../mesh.testing.ts';
import {
  gateway,
  modelOf,
  namespace,
  networking,
  parsed,
  pod,
  policy,
} from '../objects.testing.ts';

function attachedOf(key: string, ...objects: readonly MeshObject[]): string {
  const status = modelOf(...objects).outputs.statuses.get(key);
  assert.ok(status);
  const found = status.conditions.find(({ type }) => type === 'Attached');
  const missing = status.findings.filter(({ code }) => code === 'IST0101');
  const names = missing.map(({ message }) => message.replace(' does not exist', ''));
  return [found?.status ?? 'nothing', found?.reason ?? '', ...names].join(' ').trim();
}

describe('a policy on a Gateway that nobody wrote', () => {
  const P = 'AuthorizationPolicy/shop/p';
  const USE = { 'istio.io/use-waypoint': 'edge' };
  const LABELLED = namespace('shop', { 'istio.io/dataplane-mode': 'ambient', ...USE });
  const on = (names: readonly string[], spec: object = {}): MeshObject => {
    const group = 'gateway.networking.k8s.io';
    const targetRefs = names.map((name) => ({ group, kind: 'Gateway', name }));
    return policy('p', { action: 'DENY', rules: [{}], targetRefs, ...spec });
  };
  const NOTES = { action: 'AUDIT' };
  const shop = [REVIEWS, REVIEWS_SERVICE];
  const made = [AMBIENT, ...shop, L7_TARGETED];
  const outside = pod('out', '10.0.0.2', {
    labels: { app: 'reviews', 'istio.io/dataplane-mode': 'none' },
  });
  const ENTRY = networking('ServiceEntry', 'far', {
    hosts: ['far.example.com'],
    addresses: ['240.0.0.1'],
    resolution: 'DNS',
    ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
  });
  const rows: readonly (readonly [string, readonly MeshObject[], string])[] = [
    // It was said to have no target while the waypoint that another policy made decided by it.
    ['it is made for another policy', [...made, on(['waypoint'])], 'True AtWaypoint'],
    ['… and it takes notes there', [...made, on(['waypoint'], NOTES)], 'True AtWaypoint'],
    [
      'it is made, and another target is not there',
      [...made, on(['waypoint', 'edge'])],
      'True AtWaypoint Gateway/shop/edge',
    ],
    [
      'nothing has it made',
      [AMBIENT, ...shop, on(['waypoint'])],
      'False TargetNotFound Gateway/shop/waypoint',
    ],
    // Every caller was refused because of these, and they were said to concern nobody.
    ['a label names it', [LABELLED, ...shop, on(['edge'])], 'True AtAgents Gateway/shop/edge'],
    [
      'a label of an entry names it',
      [LABELLED, ENTRY, on(['edge'])],
      'True AtAgents Gateway/shop/edge',
    ],
    // Nobody keeps these.
    [
      'a label names it and it takes notes',
      [LABELLED, ...shop, on(['edge'], NOTES)],
      'False TargetNotFound Gateway/shop/edge',
    ],
    [
      'a pod behind it is not in the mesh',
      [LABELLED, ...shop, outside, on(['edge'])],
      'False TargetNotFound Gateway/shop/edge',
    ],
    [
      'a label names another',
      [LABELLED, ...shop, on(['other'])],
      'False TargetNotFound Gateway/shop/other',
    ],
    [
      'no label names it',
      [AMBIENT, ...shop, on(['edge'])],
      'False TargetNotFound Gateway/shop/edge',
    ],
    ['somebody did', [LABELLED, ...shop, gateway('edge'), on(['edge'])], 'True AtWaypoint'],
  ];
  for (const [title, objects, expected] of rows) {
    it(`says ${expected} where ${title}`, () => assert.equal(attachedOf(P, ...objects), expected));
  }

  it('follows the Gateway that comes and goes', () => {
    const model = modelOf(LABELLED, ...shop, gateway('edge'), on(['edge']));
    const said = () => {
      const { conditions = [] } = model.outputs.statuses.get(P) ?? {};
      return conditions.find(({ type }) => type === 'Attached')?.reason;
    };
    assert.equal(said(), 'AtWaypoint');
    model.apply({ removes: ['Gateway/shop/edge'] });
    assert.equal(said(), 'AtAgents');
    model.apply({ upserts: [AMBIENT] });
    assert.equal(said(), 'TargetNotFound');
  });
});

describe('a PeerAuthentication', () => {
  const peer = (name: string, space: string, year: number, selector?: object): MeshObject =>
    parsed({
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name, namespace: space, creationTimestamp: `${year}-01-01T00:00:00Z` },
      spec: { mtls: { mode: 'STRICT' }, ...(selector && { selector }) },
    });
  const EMPTY = { matchLabels: {} };
  const REVIEWS_ONLY = { matchLabels: { app: 'reviews' } };
  const older = peer('older', 'shop', 2020);
  const of = (space: string, selector?: object) => peer('p', space, 2021, selector);
  // A selector without pairs is none: it was enforced for all, or left out for an older one, and said otherwise.
  for (const [title, space, objects, expected] of [
    ['of the mesh', 'istio-system', [of('istio-system')], 'nothing'],
    ['of the mesh, with an empty selector', 'istio-system', [of('istio-system', EMPTY)], 'nothing'],
    [
      'of the root namespace, with a selector',
      'istio-system',
      [of('istio-system', REVIEWS_ONLY)],
      'False NoEffect',
    ],
    ['beside an older one', 'shop', [older, of('shop')], 'False Conflicted'],
    [
      'beside an older one, with an empty selector',
      'shop',
      [older, of('shop', EMPTY)],
      'False Conflicted',
    ],
    ['beside an older one, with a selector', 'shop', [older, of('shop', REVIEWS_ONLY)], 'nothing'],
    ['with an empty selector, alone', 'shop', [of('shop', EMPTY)], 'nothing'],
  ] as const) {
    it(`says ${expected} ${title}`, () => {
      const found = attachedOf(`PeerAuthentication/${space}/p`, AMBIENT, REVIEWS, ...objects);
      assert.equal(found, expected);
    });
  }
});
