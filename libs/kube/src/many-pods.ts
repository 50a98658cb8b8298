/** A server with more pods than a test should hold, and what a process holds. Tests only. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { systemClock } from '@ambit/core';

import type { FakeApiServer } from './fake-api-server.ts';

const PAGE = 500;

/** A pod as a Deployment makes it on a busy cluster, 10 kB of it; managedFields, annotations and environment are the bulk. */
export function podText(n: number): string {
  const app = `app-${n % 200}`;
  const ip = `10.${n >> 16}.${(n >> 8) % 256}.${n % 256}`;
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
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: '2026-01-31T12:00:00Z' }],
      containerStatuses: [filler('state', 1_000)],
    },
  });
}

/** So many pods from now on. Pages are made when asked for, so that the test itself holds none. */
export function servePods(server: FakeApiServer, pods: number): void {
  server.intercept = (request, response) => {
    if (request.isWatch || !request.url.pathname.endsWith('/pods')) return false;
    const start = Number(request.url.searchParams.get('continue') ?? 0);
    const end = Math.min(start + PAGE, pods);
    const metadata = JSON.stringify({
      resourceVersion: '100',
      continue: end < pods ? String(end) : '',
    });
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write(`{"kind":"PodList","metadata":${metadata},"items":[`);
    for (let n = start; n < end; n += 1) response.write(`${n === start ? '' : ','}${podText(n)}`);
    response.end(']}');
    return true;
  };
}

/** Bytes that are in use. */
export async function heapAfterGc(): Promise<number> {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  for (let i = 0; i < 3; i += 1) {
    gc();
    await systemClock.sleep(5);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}
