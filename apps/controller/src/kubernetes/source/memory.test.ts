/** What 10,000 pods cost in this source, with what they share, as the kubelet writes them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { heapAfterGc, podText, servePods } from '@ambit/kube/testing';

import { FollowedCluster } from './source.testing.ts';

const PODS = 10_000;
const BYTES_MAX = 700;

describe('memory of a KubernetesSource', () => {
  it(`is less than ${BYTES_MAX} bytes a pod`, async (t) => {
    await using cluster = await new FollowedCluster().start();
    // Code that is compiled on the way counts for no pod.
    servePods(cluster.server, 1_000);
    const small = cluster.replica();
    await small.started;
    await small.stop();
    small.changes.length = 0;
    servePods(cluster.server, PODS);
    const before = await heapAfterGc();
    const { started, source, changes } = cluster.replica();
    await started;
    const pods = changes[0]?.upserts.length;
    const sample = changes[0]?.upserts.find(({ metadata }) => metadata.name.endsWith('00007'));
    // What was told is whoever's that was told it.
    changes.length = 0;
    const perPod = ((await heapAfterGc()) - before) / PODS;
    t.diagnostic(`${Math.round(perPod)} bytes a pod, of ${podText(5_000).length} received`);
    assert.equal(pods, PODS);
    assert.ok(sample?.kind === 'Pod');
    assert.deepEqual(sample.status.podIPs, ['10.0.0.7']);
    assert.equal(sample.spec.containers[0]?.ports[0]?.name, 'http');
    assert.deepEqual(sample.metadata.annotations, {});
    assert.equal(source.objectOf(`Pod/team-7/${sample.metadata.name}`)?.gvr.resource, 'pods');
    assert.ok(perPod < BYTES_MAX, `${perPod} bytes a pod`);
  });
});
