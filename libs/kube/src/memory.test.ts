/** What 10,000 pods cost: of each the answer has 10 kB, and what stays is what `prune` keeps. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { systemClock } from '@ambit/core';
import { Discovery } from './discovery.ts';
import { FakeApiServer } from './fake-api-server.ts';
import { KubeHttp } from './http.ts';
import { Reflector } from './reflector.ts';
import type { KubeObject } from './resources.ts';
import { TextPool } from './text-pool.ts';

const PODS = 10_000;
const PAGE = 500;
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

/** A pod as a Deployment makes it on a busy cluster; managedFields, volumes and probes are the bulk. */
function podText(n: number): string {
  const app = `app-${n % 200}`;
  const filler = (name: string, bytes: number) => ({ [name]: `${n}-`.repeat(bytes / 6) });
  return JSON.stringify({
    metadata: {
      name: `${app}-7d4b9c6f5d-${String(n).padStart(5, '0')}`,
      namespace: `team-${n % 50}`,
      uid: `11111111-2222-3333-4444-${String(n).padStart(12, '0')}`,
      resourceVersion: String(1_000_000 + n),
      labels: { app, version: `v${n % 3}`, 'pod-template-hash': '7d4b9c6f5d' },
      annotations: filler('kubectl.kubernetes.io/last-applied-configuration', 2_000),
      managedFields: [{ manager: 'kubelet', fieldsV1: filler('f:status', 4_000) }],
    },
    spec: {
      serviceAccountName: `account-${n % 200}`,
      nodeName: `node-${n % 100}.example.internal`,
      containers: [{ name: 'app', image: 'app:1', env: [filler('value', 2_500)] }],
    },
    status: {
      podIP: `10.${n >> 16}.${(n >> 8) % 256}.${n % 256}`,
      conditions: [{ type: 'Ready', status: 'True' }],
      containerStatuses: [filler('state', 1_000)],
    },
  });
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

/** Pages are made when asked for, so that the test itself holds no pods. */
async function serverOfPods(): Promise<FakeApiServer> {
  const server = new FakeApiServer([PODS_KIND]);
  await server.start();
  server.intercept = (request, response) => {
    if (request.isWatch || !request.url.pathname.endsWith('/pods')) {
      return false;
    }
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
  return server;
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

describe('memory of a reflector', () => {
  it('is hundreds of bytes a pod, not ten thousand', async (t) => {
    await using server = await serverOfPods();
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
    assert.ok(perPod < 1_000, `${perPod} bytes a pod`);
    await reflector.stop();
    http.close();
  });
});
