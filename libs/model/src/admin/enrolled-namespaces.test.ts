import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from '@ambit/api';
import type { AdminObject, AdminProxy } from './admin-types.ts';
import { enrolledNamespaces, POD_NAMES_MAX } from './enrolled-namespaces.ts';

type Texts = Readonly<Record<string, string>>;

function adminObject(given: object): AdminObject {
  const { object, findings } = parseObject(given);
  assert.ok(object !== undefined, JSON.stringify(findings));
  const { namespace, name } = object.metadata;
  const key = namespace === '' ? name : `${namespace}/${name}`;
  return { key: `${object.kind}/${key}`, object };
}

const namespace = (name: string, labels: Texts = {}): AdminObject =>
  adminObject({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });

function pod(name: string, annotations: Texts = {}, labels: Texts = {}): AdminObject {
  return adminObject({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'shop', labels, annotations },
    spec: { nodeName: 'n1', containers: [{ name: 'a' }] },
    status: { phase: 'Running', podIP: '10.0.0.1' },
  });
}

const agentWith = (...names: readonly string[]): AdminProxy => ({
  ...{ id: 'a', kind: 'node-agent', name: 'n1', address: '', subscriptions: [] },
  captured: names.map((name) => `Kubernetes//Pod/shop/${name}`),
});

const AMBIENT = { 'ambient.istio.io/redirection': 'enabled' };
const SIDECAR = { 'sidecar.istio.io/status': '{}' };
const OURS = { 'istio.io/rev': 'ambit', 'istio.io/dataplane-mode': 'ambient' };
const BASE = { namespace: 'shop', mode: 'none', pods: 0, captured: 0, missing: [] } as const;

describe('enrolledNamespaces beside Istio', () => {
  for (const [title, objects, captured, expected] of [
    ['nothing of pods that nobody has', [namespace('shop'), pod('a')], [], []],
    [
      "a namespace that is all Istio's",
      [
        namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
        pod('a', AMBIENT),
        pod('b', SIDECAR),
      ],
      [],
      [{ ...BASE, istio: { ambient: 1, sidecars: 1 } }],
    ],
    [
      'a namespace that moves',
      [namespace('shop'), pod('a', AMBIENT), pod('b', {}, OURS), pod('c', {}, OURS)],
      ['b'],
      [{ ...BASE, pods: 2, captured: 1, missing: ['c'], istio: { ambient: 1, sidecars: 0 } }],
    ],
    [
      'a pod that both have',
      [namespace('shop'), pod('b', AMBIENT, OURS)],
      ['b'],
      [{ ...BASE, pods: 1, captured: 1, istio: { ambient: 1, sidecars: 0 }, contested: ['b'] }],
    ],
    [
      'no proxy of a gateway as a pod with a sidecar',
      [namespace('shop'), pod('g', SIDECAR, { 'gateway.networking.k8s.io/gateway-name': 'g' })],
      [],
      [],
    ],
    [
      'no pod that Istio let go',
      [namespace('shop'), pod('a', { 'ambient.istio.io/redirection': 'disabled' })],
      [],
      [],
    ],
  ] as const) {
    it(`shows ${title}`, () =>
      assert.deepEqual(enrolledNamespaces(objects, [agentWith(...captured)], 'ambit'), expected));
  }
});

describe('enrolledNamespaces', () => {
  it('says which pods are left out of a namespace, and why, whatever they look like', () => {
    const found = enrolledNamespaces(
      [
        namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
        pod('a', {}, { 'istio.io/dataplane-mode': 'none', app: 'ztunnel' }),
        pod('b', SIDECAR),
        pod('c', {}, { app: 'ztunnel' }),
        pod('d', {}, { 'istio.io/dataplane-mode': 'none' }),
      ],
      [agentWith('c')],
    );
    assert.deepEqual(found[0]?.leftOut, {
      'its label istio.io/dataplane-mode is none': ['a', 'd'],
      'it has a sidecar (annotation sidecar.istio.io/status)': ['b'],
    });
    assert.deepEqual([found[0].pods, found[0].captured], [1, 1]);
  });

  it('says nothing of that where the namespace is out as well', () => {
    const out = pod('a', {}, { 'istio.io/dataplane-mode': 'none' });
    assert.deepEqual(enrolledNamespaces([namespace('shop'), out], []), []);
  });

  it('names the first pods of each list, and counts the others', () => {
    const names = Array.from({ length: POD_NAMES_MAX + 2 }, (_, i) => String(i).padStart(3, '0'));
    const found = enrolledNamespaces(
      [
        namespace('shop', { 'istio.io/dataplane-mode': 'ambient' }),
        ...names.map((name) => pod(`a${name}`)),
        ...names.slice(0, -1).map((name) => pod(`b${name}`, SIDECAR)),
        ...names.map((name) => pod(`c${name}`, AMBIENT)),
        pod('d', {}, { 'istio.io/dataplane-mode': 'none' }),
      ],
      [agentWith(...names.map((name) => `c${name}`))],
    );
    const first = (letter: string) => names.slice(0, POD_NAMES_MAX).map((name) => letter + name);
    const sidecar = 'it has a sidecar (annotation sidecar.istio.io/status)';
    assert.deepEqual(found, [
      {
        namespace: 'shop',
        mode: 'ambient',
        pods: 2 * names.length,
        captured: names.length,
        missing: first('a'),
        leftOut: { [sidecar]: first('b'), 'its label istio.io/dataplane-mode is none': ['d'] },
        istio: { ambient: names.length, sidecars: names.length - 1 },
        contested: first('c'),
        more: { missing: 2, contested: 2, leftOut: { [sidecar]: 1 } },
      },
    ]);
  });
});
