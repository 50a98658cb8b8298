import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Namespace, Pod } from '@ambit/api';

import { modelOf, parsed } from '../objects.testing.ts';
import { namespaceMode, podMode } from './enrolment.ts';

type Labels = Readonly<Record<string, string>>;

const AMBIENT = { 'istio.io/dataplane-mode': 'ambient' };
const NONE = { 'istio.io/dataplane-mode': 'none' };
const INJECTED = { 'istio-injection': 'enabled' };
const rev = (revision: string): Labels => ({ 'istio.io/rev': revision });
const inject = (value: string): Labels => ({ 'sidecar.istio.io/inject': value });

function namespace(labels: Labels): Namespace {
  const object = parsed({
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels },
  });
  assert.ok(object.kind === 'Namespace');
  return object;
}

function pod(labels: Labels, annotations: Labels = {}): Pod {
  const object = parsed({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web', namespace: 'shop', uid: 'u1', labels, annotations },
    spec: { nodeName: 'node1', containers: [{ name: 'app' }] },
    status: {
      phase: 'Running',
      podIPs: [{ ip: '10.0.0.1' }],
      conditions: [{ type: 'Ready', status: 'True' }],
    },
  });
  assert.ok(object.kind === 'Pod');
  return object;
}

/** Of a pod, by the labels of its namespace and its own. */
function modeOf(
  [around, own]: readonly [around: Labels, own: Labels],
  revision?: string,
  annotations: Labels = {},
): string {
  return podMode(pod(own, annotations), namespace(around), { revision }).mode;
}

describe('who owns a pod', () => {
  for (const [title, labels, expected] of [
    ['nobody without a label', [{}, {}], 'none'],
    ['the mesh by the namespace', [AMBIENT, {}], 'ambient'],
    ['nobody when the pod is taken out', [AMBIENT, NONE], 'none'],
    ['the mesh by the pod alone', [{}, AMBIENT], 'ambient'],
    ['the mesh by the label of the sidecar age', [INJECTED, {}], 'ambient'],
    ['nobody where the sidecar age said no sidecar', [INJECTED, inject('false')], 'none'],
    ['the mesh where the pod asked for a sidecar', [{}, inject('true')], 'ambient'],
    [
      'nobody where the namespace forbade them',
      [{ 'istio-injection': 'disabled' }, inject('true')],
      'none',
    ],
    ['the mesh, whose own label is above sidecars', [AMBIENT, inject('false')], 'ambient'],
    ['nobody, as the mesh says for the namespace', [NONE, inject('true')], 'none'],
    [
      'the mesh by the pod, whatever sidecars',
      [INJECTED, { ...AMBIENT, ...inject('false') }],
      'ambient',
    ],
    ['the mesh by its revision', [{ ...AMBIENT, ...rev('default') }, {}], 'ambient'],
    ['another by the revision of the namespace', [{ ...AMBIENT, ...rev('1-31') }, {}], 'none'],
    ['another, even if the pod asks', [rev('1-31'), AMBIENT], 'none'],
    [
      'the mesh by the revision of the pod',
      [rev('1-31'), { ...AMBIENT, ...rev('default') }],
      'ambient',
    ],
    ['another by the revision of the pod', [AMBIENT, rev('1-31')], 'none'],
    ['another, which injects', [{ ...INJECTED, ...rev('1-31') }, {}], 'none'],
  ] as const) {
    it(`is ${title}`, () => assert.equal(modeOf(labels), expected));
  }

  it('is nobody in a mesh with a revision unless it is named', () => {
    assert.equal(modeOf([AMBIENT, {}], 'ambit'), 'none');
    assert.equal(modeOf([{}, AMBIENT], 'ambit'), 'none');
    assert.equal(modeOf([INJECTED, inject('true')], 'ambit'), 'none');
    assert.equal(modeOf([{ ...AMBIENT, ...rev('ambit') }, {}], 'ambit'), 'ambient');
    assert.equal(modeOf([{ ...AMBIENT, ...rev('default') }, {}], 'ambit'), 'none');
  });

  it('is the sidecar that is there', () => {
    const annotations = { 'sidecar.istio.io/status': '{}' };
    assert.equal(modeOf([AMBIENT, AMBIENT], undefined, annotations), 'none');
  });
});

describe('a pod that leaves an enrolled namespace', () => {
  const whyOf = (labels: Labels, annotations: Labels = {}): string | undefined =>
    podMode(pod(labels, annotations), namespace(AMBIENT)).leftOut;

  for (const [what, labels] of [
    ['an agent of Istio', { app: 'ztunnel' }],
    ['an agent', { 'app.kubernetes.io/name': 'ambit-node-agent' }],
    [
      'a waypoint',
      {
        'gateway.networking.k8s.io/gateway-name': 'waypoint',
        'gateway.istio.io/managed': 'istio.io-mesh-controller',
      },
    ],
    ['what it likes', { 'istio.io/dataplane-mode': 'None' }],
  ] as const) {
    it(`does not do so by the labels of ${what}`, () => {
      assert.equal(modeOf([AMBIENT, labels]), 'ambient');
      assert.equal(whyOf(labels), undefined);
    });
  }

  for (const [what, labels, annotations, expected] of [
    ['its label', NONE, {}, /label istio\.io\/dataplane-mode is none/],
    ['its sidecar', {}, { 'sidecar.istio.io/status': '{}' }, /has a sidecar \(annotation/],
    ['its revision', rev('other'), {}, /label istio\.io\/rev names another/],
  ] as const) {
    it(`says so: ${what}`, () => assert.match(whyOf(labels, annotations) ?? '', expected));
  }

  it('is an exception with the reason', () => {
    const { outputs } = modelOf(namespace(AMBIENT), pod(NONE));
    assert.deepEqual(outputs.enrolments.get('shop')?.exceptions, [
      { pod: 'web', mode: 'none', because: 'its label istio.io/dataplane-mode is none' },
    ]);
  });

  it('says nothing where its namespace is out as well', () => {
    assert.equal(podMode(pod(NONE), namespace({})).leftOut, undefined);
  });
});

describe('the mode of a namespace', () => {
  it('is none while it is bypassed or another owns it', () => {
    const shop = namespace({ ...AMBIENT, ...rev('b') });
    assert.equal(namespaceMode(shop, { revision: 'b' }), 'ambient');
    assert.equal(namespaceMode(shop, { revision: 'b', isBypassed: true }), 'none');
    assert.equal(namespaceMode(shop), 'none');
  });
});

describe('a mesh beside another', () => {
  const theirs = { ...AMBIENT, ...rev('istio') };
  const redirected = { 'ambient.istio.io/redirection': 'enabled' };

  it('tells agents to leave the pods of the other alone, and its callers to use their tunnel', () => {
    const { outputs } = modelOf(namespace(theirs), pod({}, redirected));
    assert.equal(outputs.enrolments.has('shop'), false);
    assert.equal([...outputs.pods.values()][0]?.mode, 'none');
    const address = outputs.addresses.get('Kubernetes//Pod/shop/web');
    assert.equal(address?.kind === 'workload' && address.workload.tunnelProtocol, 'HBONE');
  });
});
