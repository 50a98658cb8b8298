import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import type { KubeObject } from '@ambit/kube';
import { fail } from '@ambit/kube/testing';
import { createRegistry } from '@ambit/telemetry';

import { createDutyMetrics } from '../../metrics.ts';
import { until } from '../../until.testing.ts';
import { CONTROLLER_NAMESPACE, fakeCluster } from '../context.testing.ts';
import { TAINT_KEY, taintsOf } from './node-facts.ts';
import { NodeTaintDuty } from './node-taint-duty.ts';

const AGENT = 'ambit-node-agent';
const KINDS = [
  { group: '', versions: ['v1'], resource: 'nodes', kind: 'Node' },
  { group: '', versions: ['v1'], resource: 'pods', kind: 'Pod' },
  { group: 'apps', versions: ['v1'], resource: 'daemonsets', kind: 'DaemonSet' },
];
const FOREIGN = { key: 'example.com/x', value: '1', effect: 'NoSchedule' };
const OURS = { key: TAINT_KEY, effect: 'NoSchedule' };
const LONG_AGO = '2020-01-01T00:00:00Z';

async function rig(options: { readonly isEnabled?: boolean; readonly graceMs?: number } = {}) {
  const { server, context, ...rest } = await fakeCluster(KINDS);
  const metrics = createDutyMetrics(createRegistry());
  const duty = new NodeTaintDuty({
    context,
    isEnabled: true,
    daemonSet: AGENT,
    metrics,
    graceMs: 100,
    ...options,
  });
  const term = new AbortController();
  const bed = {
    server,
    duty,
    term,
    node(name: string, taints: readonly object[] = [], creationTimestamp = LONG_AGO): void {
      const labels = { 'kubernetes.io/os': 'linux' };
      const metadata = { name, labels, creationTimestamp };
      server.put('nodes', { kind: 'Node', metadata, spec: { taints } } as KubeObject);
    },
    agent(
      nodeName: string,
      isReady: boolean,
      { name = `agent-${nodeName}`, account = AGENT, isMadeBySet = true } = {},
    ): void {
      const set = server.get('daemonsets', `${CONTROLLER_NAMESPACE}/${AGENT}`);
      const uid = isMadeBySet ? (set?.metadata.uid ?? '') : 'other';
      const owner = {
        apiVersion: 'apps/v1',
        kind: 'DaemonSet',
        name: AGENT,
        uid,
        controller: true,
      };
      server.put('pods', {
        metadata: { namespace: CONTROLLER_NAMESPACE, name, ownerReferences: [owner] },
        spec: { nodeName, serviceAccountName: account },
        status: { conditions: [{ type: 'Ready', status: isReady ? 'True' : 'False' }] },
      });
    },
    daemonSet(nodeSelector: Readonly<Record<string, string>> = {}): void {
      const spec = { nodeSelector, tolerations: [{ operator: 'Exists' }] };
      server.put('daemonsets', {
        metadata: { namespace: CONTROLLER_NAMESPACE, name: AGENT },
        spec: { template: { spec: { ...spec, serviceAccountName: AGENT } } },
      });
    },
    keys: (name: string): readonly string[] =>
      taintsOf(server.get('nodes', name) ?? { metadata: { name } }).map(({ key }) => key),
    patches: (): number => server.requests.filter(({ method }) => method === 'PATCH').length,
    async [Symbol.asyncDispose]() {
      term.abort();
      await duty.idle();
      await rest[Symbol.asyncDispose]();
    },
  };
  return bed;
}

const now = (): string => new Date(systemClock.wallNow()).toISOString();

describe('NodeTaintDuty', () => {
  it('holds a new node back until its agent is ready', async () => {
    await using bed = await rig();
    bed.daemonSet();
    bed.duty.lead(bed.term.signal);
    await systemClock.sleep(50);
    bed.node('a', [FOREIGN], now());
    await until(() => bed.keys('a').includes(TAINT_KEY));
    bed.agent('a', false);
    await systemClock.sleep(50);
    assert.deepEqual(bed.keys('a'), [FOREIGN.key, TAINT_KEY]);
    bed.agent('a', true);
    await until(() => !bed.keys('a').includes(TAINT_KEY));
    assert.deepEqual(bed.keys('a'), [FOREIGN.key]);
  });

  it('does not mind a new agent that takes over', async () => {
    await using bed = await rig({ graceMs: 2_000 });
    bed.daemonSet();
    bed.node('a');
    bed.agent('a', true, { name: 'old' });
    bed.duty.lead(bed.term.signal);
    await systemClock.sleep(50);
    bed.agent('a', false, { name: 'new' });
    bed.agent('a', true, { name: 'new' });
    bed.server.delete('pods', `${CONTROLLER_NAMESPACE}/old`);
    await systemClock.sleep(50);
    bed.server.delete('pods', `${CONTROLLER_NAMESPACE}/new`);
    await systemClock.sleep(50);
    bed.agent('a', true, { name: 'newest' });
    await systemClock.sleep(2_500);
    assert.equal(bed.patches(), 0);
  });

  it('takes no pod for an agent that only carries its label', async () => {
    await using bed = await rig();
    bed.daemonSet();
    bed.duty.lead(bed.term.signal);
    await systemClock.sleep(50);
    bed.node('a', [], now());
    await until(() => bed.keys('a').includes(TAINT_KEY));
    bed.agent('a', true, { name: 'copy', isMadeBySet: false });
    await systemClock.sleep(200);
    assert.deepEqual(bed.keys('a'), [TAINT_KEY]);
    bed.agent('a', true);
    await until(() => !bed.keys('a').includes(TAINT_KEY));
  });

  it('keeps a node free while its agent still runs as the account of before', async () => {
    await using bed = await rig();
    bed.daemonSet();
    bed.node('a');
    bed.agent('a', true, { name: 'before', account: 'before' });
    bed.node('b');
    bed.agent('b', true);
    bed.duty.lead(bed.term.signal);
    await systemClock.sleep(400);
    assert.deepEqual([bed.keys('a'), bed.patches()], [[], 0]);
    bed.server.delete('pods', `${CONTROLLER_NAMESPACE}/before`);
    await until(() => bed.keys('a').includes(TAINT_KEY));
  });

  it('taints a node whose agent stays away', async () => {
    await using bed = await rig();
    bed.daemonSet();
    bed.node('a');
    bed.agent('a', true);
    bed.duty.lead(bed.term.signal);
    await systemClock.sleep(50);
    bed.server.delete('pods', `${CONTROLLER_NAMESPACE}/agent-a`);
    await until(() => bed.keys('a').includes(TAINT_KEY));
  });

  it('frees nodes that agents are not for, and all without agents', async () => {
    await using bed = await rig();
    bed.daemonSet({ pool: 'mesh' });
    bed.node('a', [OURS, FOREIGN]);
    bed.duty.lead(bed.term.signal);
    await until(() => !bed.keys('a').includes(TAINT_KEY));
    bed.daemonSet();
    await until(() => bed.keys('a').includes(TAINT_KEY));
    bed.server.delete('daemonsets', `${CONTROLLER_NAMESPACE}/${AGENT}`);
    await until(() => !bed.keys('a').includes(TAINT_KEY));
    assert.deepEqual(bed.keys('a'), [FOREIGN.key]);
  });

  it('only removes where it is disabled', async () => {
    await using bed = await rig({ isEnabled: false });
    bed.daemonSet();
    bed.node('a', [OURS]);
    bed.node('b', [], now());
    bed.duty.lead(bed.term.signal);
    await until(() => !bed.keys('a').includes(TAINT_KEY));
    await systemClock.sleep(200);
    assert.deepEqual(bed.keys('b'), []);
  });

  it('never loses a taint that somebody set meanwhile', async () => {
    await using bed = await rig();
    const serve = bed.server.intercept;
    let conflicts = 0;
    bed.server.intercept = (request, response) => {
      if (request.method === 'PATCH' && conflicts === 0) {
        conflicts += 1;
        bed.node('a', [OURS, FOREIGN]);
        fail(response, 409, 'Conflict');
        return true;
      }
      return serve(request, response);
    };
    bed.daemonSet();
    bed.node('a', [OURS]);
    bed.agent('a', true);
    bed.duty.lead(bed.term.signal);
    await until(() => conflicts === 1 && !bed.keys('a').includes(TAINT_KEY));
    assert.deepEqual(bed.keys('a'), [FOREIGN.key]);
  });

  it('writes nothing after its term, and goes on in the next', async () => {
    await using bed = await rig();
    bed.daemonSet();
    bed.node('a', [OURS]);
    const first = new AbortController();
    bed.duty.lead(first.signal);
    await systemClock.sleep(50);
    first.abort();
    await bed.duty.idle();
    bed.agent('a', true);
    await systemClock.sleep(100);
    assert.equal(bed.patches(), 0);
    bed.duty.lead(bed.term.signal);
    await until(() => !bed.keys('a').includes(TAINT_KEY));
  });
});
