/** What 10,000 pods cost in this source, as the kubelet writes them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { systemClock } from '@ambit/core';

import { FollowedCluster } from './source.testing.ts';

const PODS = 10_000;
const PAGE = 500;
const BYTES_MAX = 1_500;

function podText(n: number): string {
  const app = `app-${n % 200}`;
  const filler = (name: string, bytes: number) => ({ [name]: `${n}-`.repeat(bytes / 6) });
  return JSON.stringify({
    metadata: {
      name: `${app}-7d4b9c6f5d-${String(n).padStart(5, '0')}`,
      namespace: `team-${n % 50}`,
      uid: `11111111-2222-3333-4444-${String(n).padStart(12, '0')}`,
      resourceVersion: String(1_000_000 + n),
      creationTimestamp: '2026-01-31T12:00:00Z',
      labels: { app, version: `v${n % 3}`, 'pod-template-hash': '7d4b9c6f5d' },
      annotations: { ...filler('last-applied', 2_000), 'kubernetes.io/config.source': 'api' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: `${app}-7d4b9c6f5d`,
          uid: 'u',
          controller: true,
        },
      ],
      managedFields: [{ manager: 'kubelet', fieldsV1: filler('f:status', 4_000) }],
    },
    spec: {
      serviceAccountName: `account-${n % 200}`,
      nodeName: `node-${n % 100}.example.internal`,
      containers: [
        {
          name: 'app',
          image: 'app:1',
          ports: [{ name: 'http', containerPort: 8080 }],
          env: [filler('value', 2_500)],
        },
      ],
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip: `10.${n >> 16}.${(n >> 8) % 256}.${n % 256}` }],
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-31T12:00:00Z' }],
      containerStatuses: [filler('state', 1_000)],
    },
  });
}

/** Pages are made when asked for, so that the test itself holds no pods. */
function servePods(cluster: FollowedCluster): void {
  cluster.server.intercept = (request, response) => {
    if (request.isWatch || !request.url.pathname.endsWith('/pods')) return false;
    const start = Number(request.url.searchParams.get('continue') ?? 0);
    const next = start + PAGE < PODS ? String(start + PAGE) : '';
    const metadata = JSON.stringify({ resourceVersion: '100', continue: next });
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write(`{"kind":"PodList","metadata":${metadata},"items":[`);
    for (let n = start; n < start + PAGE; n += 1) {
      response.write(`${n === start ? '' : ','}${podText(n)}`);
    }
    response.end(']}');
    return true;
  };
}

async function heapAfterGc(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i += 1) {
    gc();
    await systemClock.sleep(5);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

describe('memory of a KubernetesSource', () => {
  it(`is less than ${BYTES_MAX} bytes a pod`, async (t) => {
    await using cluster = await new FollowedCluster().start();
    const small = cluster.replica();
    await small.started;
    await small.stop();
    servePods(cluster);
    const before = await heapAfterGc();
    const { started, source, changes } = cluster.replica();
    await started;
    const pods = changes[0]?.upserts.length;
    const sample = changes[0]?.upserts.find(({ metadata }) => metadata.name.endsWith('00007'));
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
