/** Taints on a real API server. Nodes are made by hand: no kubelet is there that would mind. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { isKubeError, type KubeObject } from '@ambit/kube';
import { openTestCluster, type TestCluster } from '@ambit/kube/testing';
import { until } from '../../until.testing.ts';
import { contextOf } from '../context.testing.ts';
import { TAINT_KEY, type Taint, taintsOf } from './node-facts.ts';
import { NodeTaintDuty } from './node-taint-duty.ts';

const AGENT = 'ambit-node-agent';
const LABELS = { 'app.kubernetes.io/name': AGENT };
const NODES = { group: '', version: 'v1', resource: 'nodes' };
const PODS = { group: '', version: 'v1', resource: 'pods' };
const ACCOUNTS = { group: '', version: 'v1', resource: 'serviceaccounts' };
const DAEMON_SETS = { group: 'apps', version: 'v1', resource: 'daemonsets' };
const FOREIGN: Taint = { key: 'example.com/x', value: '1', effect: 'NoSchedule' };

let cluster: TestCluster;
let namespace: string;
/** So that other nodes of a shared cluster stay as they are. */
const pool = randomBytes(4).toString('hex');
const nodes: string[] = [];

before(async () => {
  cluster = await openTestCluster('taint');
  cluster.discovery.start();
  namespace = await cluster.namespace();
  await cluster.client.apply(ACCOUNTS, {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: { namespace, name: AGENT },
  });
  await cluster.client.create(DAEMON_SETS, {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { namespace, name: AGENT },
    spec: {
      selector: { matchLabels: LABELS },
      template: {
        metadata: { labels: LABELS },
        spec: {
          serviceAccountName: AGENT,
          nodeSelector: { pool },
          tolerations: [{ operator: 'Exists' }],
          containers: [{ name: 'x', image: 'x' }],
        },
      },
    },
  });
});
after(async () => {
  await Promise.all(nodes.map((name) => cluster.client.delete(NODES, { name })));
  await cluster[Symbol.asyncDispose]();
});

async function makeNode(taints: readonly Taint[]): Promise<string> {
  const name = `node-${pool}-${nodes.length}`;
  nodes.push(name);
  await cluster.client.create(NODES, {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { pool } },
    spec: { taints },
  });
  return name;
}

/** A ready agent, of which it answers the name: the cluster's own where one makes pods of DaemonSets, else one made here. */
async function makeAgent(nodeName: string): Promise<string> {
  const set = await cluster.client.get(DAEMON_SETS, { namespace, name: AGENT });
  const { uid = '' } = set.metadata;
  const owner = { apiVersion: 'apps/v1', kind: 'DaemonSet', name: AGENT, uid, controller: true };
  const isMadeByOthers =
    (set as { status?: { observedGeneration?: number } }).status?.observedGeneration !== undefined;
  if (!isMadeByOthers) {
    await cluster.client.create(PODS, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { namespace, name: 'agent', labels: LABELS, ownerReferences: [owner] },
      spec: { nodeName, serviceAccountName: AGENT, containers: [{ name: 'x', image: 'x' }] },
    });
  }
  // Before it is bound, its affinity names the node.
  const found = async (): Promise<KubeObject | undefined> =>
    (await cluster.client.list(PODS, { namespace })).find((pod) =>
      JSON.stringify(pod['spec']).includes(nodeName),
    );
  const bound = async (): Promise<KubeObject | undefined> => {
    const pod = await found();
    return (pod?.['spec'] as { nodeName?: string } | undefined)?.nodeName === nodeName
      ? pod
      : undefined;
  };
  await until(async () => (await found()) !== undefined);
  const name = (await found())?.metadata.name ?? '';
  // A cluster without a scheduler binds nothing; one that has it may be faster.
  await cluster.http
    .json({
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods/${name}/binding`,
      body: {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name },
        target: { apiVersion: 'v1', kind: 'Node', name: nodeName },
      },
    })
    .catch((error: unknown) => {
      if (!isKubeError(error, 'KUBE_CONFLICT')) throw error;
    });
  await until(async () => (await bound()) !== undefined);
  const pod = await bound();
  assert.ok(pod);
  const status = { conditions: [{ type: 'Ready', status: 'True' }] };
  await cluster.client.update(PODS, { ...pod, status } as KubeObject, { subresource: 'status' });
  return pod.metadata.name;
}

async function keysOf(name: string): Promise<readonly string[]> {
  const keys = taintsOf(await cluster.client.get(NODES, { name })).map(({ key }) => key);
  // A real cluster sets some of its own on a node without a kubelet.
  return keys.filter((key) => !key.startsWith('node.kubernetes.io/'));
}

describe('NodeTaintDuty on a real API server', () => {
  it('sets and removes its taint and no other, as agents come and go', async () => {
    const duty = new NodeTaintDuty({
      context: contextOf(cluster, systemClock, namespace),
      isEnabled: true,
      daemonSet: AGENT,
      graceMs: 500,
    });
    const term = new AbortController();
    duty.lead(term.signal);
    const name = await makeNode([FOREIGN]);
    await until(async () => (await keysOf(name)).includes(TAINT_KEY));
    const [, ours] = taintsOf(await cluster.client.get(NODES, { name })).filter(
      ({ key }) => !key.startsWith('node.kubernetes.io/'),
    );
    assert.deepEqual(ours, { key: TAINT_KEY, effect: 'NoSchedule' });
    const agent = await makeAgent(name);
    await until(async () => !(await keysOf(name)).includes(TAINT_KEY));
    assert.deepEqual(await keysOf(name), [FOREIGN.key]);
    await cluster.http.json({
      method: 'DELETE',
      path: `/api/v1/namespaces/${namespace}/pods/${agent}`,
      body: { kind: 'DeleteOptions', apiVersion: 'v1', gracePeriodSeconds: 0 },
    });
    await until(async () => (await keysOf(name)).includes(TAINT_KEY));
    term.abort();
    await duty.idle();

    const disabled = new NodeTaintDuty({
      context: contextOf(cluster, systemClock, namespace),
      isEnabled: false,
      daemonSet: AGENT,
    });
    const last = new AbortController();
    disabled.lead(last.signal);
    await until(async () => !(await keysOf(name)).includes(TAINT_KEY));
    assert.deepEqual(await keysOf(name), [FOREIGN.key]);
    last.abort();
    await disabled.idle();
  });
});
