import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseObject } from '@ambit/api';
import { keyOf, type Manifest } from './manifests.ts';
import { chooseNode, type PodPlan, planPods } from './workloads.ts';

function manifest(raw: Record<string, unknown>): Manifest {
  const { object, findings } = parseObject(raw);
  assert.ok(object, JSON.stringify(findings));
  return { key: keyOf(object), object, raw, file: '/yaml/a.yaml' };
}

function deployment(replicas: number, command: string): Manifest {
  return manifest({
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', namespace: 'shop' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: {
        metadata: { labels: { app: 'web' } },
        spec: { containers: [{ name: 'web', command: [command] }] },
      },
    },
  });
}

const pod = (name: string, spec: object = {}): Manifest =>
  manifest({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name },
    spec: { containers: [{ name: 'main', command: ['true'] }], ...spec },
  });

const plan = (manifests: readonly Manifest[]): ReadonlyMap<string, PodPlan> =>
  planPods(manifests, () => '/yaml').pods;

describe('planPods', () => {
  it('names pods by deployment, template and ordinal, as owned by a replica set', () => {
    const pods = [...plan([deployment(2, 'a')]).values()];
    assert.equal(pods.length, 2);
    const [first, second] = pods;
    assert.match(first?.name ?? '', /^web-[0-9a-f]{8}-0$/);
    assert.equal(second?.name, first?.name.replace(/0$/, '1'));
    assert.equal(first?.labels['pod-template-hash'], first?.revision);
    assert.deepEqual(first?.ownerReferences[0], {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: `web-${first?.revision}`,
      controller: true,
    });
  });

  it('keeps names when only the number changes, and changes them with the template', () => {
    const names = (m: Manifest): string[] => [...plan([m]).keys()];
    assert.deepEqual(names(deployment(1, 'a')), names(deployment(3, 'a')).slice(0, 1));
    assert.notDeepEqual(names(deployment(1, 'a')), names(deployment(1, 'b')));
    assert.deepEqual(names(deployment(0, 'a')), []);
  });

  it('keeps the name of a bare pod and changes its revision with its spec', () => {
    const before = plan([pod('one')]).get('default/one');
    const after = plan([pod('one', { serviceAccountName: 'other' })]).get('default/one');
    assert.ok(before && after);
    assert.notEqual(before.revision, after.revision);
  });

  it('stops at 500 pods and says so', () => {
    const { pods, problems } = planPods([deployment(600, 'a')], () => '/yaml');
    assert.equal(pods.size, 500);
    assert.match(problems[0]?.message ?? '', /at most 500 pods/);
  });
});

describe('chooseNode', () => {
  const nodes = ['node1', 'node2'];
  const one = plan([pod('one')]).get('default/one');
  assert.ok(one);

  it('takes the node that the pod names, or none', () => {
    const on = (nodeName: string): PodPlan => ({ ...one, spec: { ...one.spec, nodeName } });
    assert.equal(chooseNode(on('node2'), nodes, []), 'node2');
    assert.equal(chooseNode(on('node9'), nodes, []), undefined);
  });

  it('spreads pods of one owner first, then all pods', () => {
    assert.equal(chooseNode(one, nodes, []), 'node1');
    assert.equal(chooseNode(one, nodes, [{ node: 'node1', owner: one.owner }]), 'node2');
    const others = [
      { node: 'node2', owner: 'Pod/a/b' },
      { node: 'node2', owner: 'Pod/a/c' },
    ];
    assert.equal(chooseNode(one, nodes, [{ node: 'node1', owner: one.owner }, ...others]), 'node2');
    assert.equal(chooseNode(one, nodes, others), 'node1');
  });
});
