/** What 10,000 pods cost: of each the answer has 10 kB, and what stays is what `prune` keeps. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { Discovery } from './discovery.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { KubeHttp } from './http.ts';
import { heapAfterGc, podText, servePods } from './many-pods.ts';
import { Reflector } from './reflector.ts';
import type { KubeObject } from './resources.ts';
import { TextPool } from './text-pool.ts';

const PODS = 10_000;
const PODS_KIND = { group: '', versions: ['v1'], resource: 'pods', kind: 'Pod' };

interface KeptPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly account: string;
  readonly node: string;
  readonly ip: string;
  readonly isReady: boolean;
  readonly labels: Readonly<Record<string, string>>;
}

function prune(pool: TextPool): (object: KubeObject) => KeptPod {
  return (object) => {
    const { name, namespace = '', uid = '', labels = {} } = object.metadata;
    const spec = object['spec'] as { serviceAccountName: string; nodeName: string };
    const status = object['status'] as { podIP: string };
    return {
      name,
      namespace: pool.text(namespace),
      uid,
      account: pool.text(spec.serviceAccountName),
      node: pool.text(spec.nodeName),
      ip: status.podIP,
      isReady: true,
      labels: pool.record(labels),
    };
  };
}

describe('memory of a reflector', () => {
  it('is hundreds of bytes a pod, not ten thousand', async (t) => {
    await using server = new FakeApiServer([PODS_KIND]);
    await server.start();
    servePods(server, PODS);
    const http = new KubeHttp({ credentials: server.credentials, clock: systemClock });
    const discovery = new Discovery({ http, clock: systemClock });
    let told = 0;
    const reflector = new Reflector({
      http,
      discovery,
      clock: systemClock,
      resource: { group: '', resource: 'pods', versions: ['v1'] },
      prune: prune(new TextPool()),
      onEvent: () => {
        told += 1;
      },
    });
    await discovery.refresh();
    const before = await heapAfterGc();
    reflector.start();
    await reflector.whenSynced();
    const perPod = ((await heapAfterGc()) - before) / PODS;
    t.diagnostic(`${Math.round(perPod)} bytes a pod, of ${podText(5_000).length} received`);
    assert.equal(told, PODS + 1);
    assert.equal(reflector.get('team-7/app-7-7d4b9c6f5d-00007')?.ip, '10.0.0.7');
    assert.ok(perPod < 600, `${perPod} bytes a pod`);
    await reflector.stop();
    http.close();
  });
});
