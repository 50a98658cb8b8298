import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ApiObjects, type ApiPod, differencesOf, expectedOf } from './controller-truth.ts';

function pod(name: string, ready: string, over: Partial<ApiPod['metadata']> = {}): ApiPod {
  return {
    metadata: { name, namespace: 'shop', labels: { app: 'web' }, ...over },
    spec: { nodeName: 'n1' },
    status: { podIP: '10.0.0.1', conditions: [{ type: 'Ready', status: ready }] },
  };
}

const OBJECTS: ApiObjects = {
  namespaces: [
    { metadata: { name: 'shop', labels: { 'istio.io/dataplane-mode': 'ambient' } } },
    { metadata: { name: 'other' } },
  ],
  pods: [
    pod('a', 'True'),
    pod('b', 'False'),
    pod('c', 'True', { deletionTimestamp: 'now' }),
    pod('d', 'True', { namespace: 'other', labels: { app: 'web', tier: 'x' } }),
    { ...pod('e', 'True'), status: {} },
  ],
  policies: [
    {
      metadata: { name: 'callers', namespace: 'shop' },
      spec: {
        selector: { matchLabels: { app: 'web' } },
        rules: [{ to: [{ operation: { ports: ['9001'] } }] }],
      },
    },
  ],
  services: [
    {
      metadata: { name: 'web', namespace: 'shop' },
      spec: { clusterIP: '10.96.0.1', selector: { app: 'web' } },
    },
    { metadata: { name: 'none', namespace: 'other' }, spec: { clusterIP: '10.96.0.2' } },
  ],
};
const WEB = 'shop/web.shop.svc.cluster.local';
const EXPECTED: Readonly<Record<string, string>> = {
  shop: 'enrolment ambient',
  'Kubernetes//Pod/shop/a': `workload HEALTHY HBONE 10.0.0.1 on n1 policies shop/callers services ${WEB}`,
  'Kubernetes//Pod/shop/b': `workload UNHEALTHY HBONE 10.0.0.1 on n1 policies shop/callers services ${WEB}`,
  'Kubernetes//Pod/shop/c': `workload UNHEALTHY HBONE 10.0.0.1 on n1 policies shop/callers services ${WEB}`,
  'Kubernetes//Pod/other/d': 'workload HEALTHY NONE 10.0.0.1 on n1 policies  services ',
  'shop/callers': 'policy ALLOW ports 9001',
  [WEB]: 'service 10.96.0.1',
  'other/none.other.svc.cluster.local': 'service 10.96.0.2',
};

describe('expectedOf', () => {
  it('is what agents must hold for the objects of the API', () => {
    assert.deepEqual(Object.fromEntries(expectedOf(OBJECTS)), EXPECTED);
  });
});

describe('differencesOf', () => {
  const all = Object.entries(EXPECTED);
  const expected = expectedOf(OBJECTS);
  const POD = 'Kubernetes//Pod/shop/a';

  it('is empty when every agent holds that', () => {
    assert.deepEqual(differencesOf(expected, { held: all, differing: [] }), []);
  });

  const stale = all.map(([name, state]) => [name, state.replace(/ports .*/, 'ports 1')] as const);
  const wrong: readonly (readonly [string, Parameters<typeof differencesOf>[1], RegExp])[] = [
    ['stale', { held: stale, differing: [] }, /^shop\/callers is "policy ALLOW ports 1", must be/],
    [
      'missing',
      { held: all.filter(([name]) => name !== POD), differing: [] },
      /is "gone", must be/,
    ],
    ['left over', { held: [...all, ['x', 'service ']], differing: [] }, /^x is .* must be "gone"/],
    [
      'wrong at another agent',
      { held: all, differing: [{ agent: 3, name: POD, state: 'gone' }] },
      /at agent 3 is "gone", must be "workload HEALTHY/,
    ],
  ];
  for (const [what, held, pattern] of wrong) {
    it(`names what is ${what}`, () => {
      const differences = differencesOf(expected, held);
      assert.equal(differences.length, 1);
      assert.match(differences[0] ?? '', pattern);
    });
  }
});
