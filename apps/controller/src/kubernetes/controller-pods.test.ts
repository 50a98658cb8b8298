import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { type MeshObject, type ObjectKey, parseObject } from '@ambit/api';

import { ControllerPods } from './controller-pods.ts';

const LABELS = { 'app.kubernetes.io/name': 'ambit-controller' };
const KEY = 'Pod/mesh/c-1';
const OF_REPLICAS = { namespace: 'mesh', serviceAccount: 'ambit-controller', port: 15_012 };

function pod(more: {
  readonly namespace?: string;
  readonly labels?: object;
  readonly account?: string;
  readonly phase?: string;
  readonly ip?: string;
  readonly isReady?: boolean;
  readonly isTerminating?: boolean;
}): MeshObject {
  const { namespace = 'mesh', labels = LABELS, account = 'ambit-controller' } = more;
  const { phase = 'Running', ip, isReady = true } = more;
  const { object } = parseObject({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'c-1', namespace, labels },
    spec: { containers: [], serviceAccountName: account },
    ...(more.isTerminating === true ? { deletionTimestamp: '2026-01-31T12:00:00Z' } : {}),
    status: {
      phase,
      ...(ip === undefined ? {} : { podIP: ip }),
      conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }],
    },
  });
  assert.ok(object);
  return object;
}

function peersOf(object: MeshObject, key: ObjectKey = KEY) {
  const objects = new Map([[key, object]]);
  const pods = new ControllerPods({ ...OF_REPLICAS, objects });
  pods.update([key]);
  return pods.list();
}

describe('ControllerPods', () => {
  const listed: readonly (readonly [string, MeshObject, object])[] = [
    ['ready', pod({ ip: '10.0.0.1' }), { address: '10.0.0.1:15012', isReady: true }],
    ['IPv6', pod({ ip: 'fd00::1' }), { address: '[fd00::1]:15012', isReady: true }],
    [
      'on its way out',
      pod({ ip: '10.0.0.1', isTerminating: true }),
      { address: '10.0.0.1:15012', isReady: false },
    ],
    ['starting', pod({ isReady: false, phase: 'Pending' }), { address: '', isReady: false }],
  ];
  for (const [name, object, expected] of listed) {
    it(`lists one that is ${name}`, () => {
      assert.deepEqual(peersOf(object), [{ name: 'c-1', ...expected }]);
    });
  }

  const left: readonly (readonly [string, MeshObject, ObjectKey?])[] = [
    ['has ended', pod({ phase: 'Failed' })],
    ['is another program', pod({ labels: { 'app.kubernetes.io/name': 'ambit-node-agent' } })],
    ['only carries the label', pod({ account: 'other', ip: '10.0.0.1' })],
    ['is of another namespace', pod({ namespace: 'other' }), 'Pod/other/c-1'],
  ];
  for (const [name, object, key] of left) {
    it(`leaves out one that ${name}`, () => {
      assert.deepEqual(peersOf(object, key), []);
    });
  }

  it('says whether the list is another', () => {
    const objects = new Map([[KEY, pod({ ip: '10.0.0.1', isReady: false })]]);
    const pods = new ControllerPods({ ...OF_REPLICAS, objects });
    assert.equal(pods.update([KEY]), true);
    assert.equal(pods.update([KEY, 'Pod/shop/a', 'Service/mesh/c-1']), false);
    objects.set(KEY, pod({ ip: '10.0.0.1' }));
    assert.equal(pods.update([KEY]), true);
    objects.delete(KEY);
    assert.equal(pods.update([KEY]), true);
    assert.deepEqual(pods.list(), []);
  });
});
