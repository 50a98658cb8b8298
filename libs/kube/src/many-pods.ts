/** A server with more pods than a test should hold, and what a process holds. Tests only. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { systemClock } from '@ambit/core';

import type { FakeApiServer } from './fake-api-server.ts';

const PAGE = 500;

const APPS = 200;
const NODES = 100;
const AT = '2026-01-31T12:00:00Z';

/**
 * A pod as a Deployment, an admission plugin, the scheduler and a kubelet write it on a busy cluster, 10 kB of it: managedFields,
 * annotations, environment and volumes are the bulk. Those of one ReplicaSet are on different nodes.
 */
export function podText(n: number): string {
  const app = `app-${n % APPS}`;
  const set = `${app}-7d4b9c6f5d`;
  const ip = `10.${n >> 16}.${(n >> 8) % 256}.${n % 256}`;
  return JSON.stringify({
    metadata: {
      name: `${set}-${String(n).padStart(5, '0')}`,
      generateName: `${set}-`,
      namespace: `team-${n % 50}`,
      uid: `11111111-2222-3333-4444-${String(n).padStart(12, '0')}`,
      resourceVersion: String(1_000_000 + n),
      generation: 1,
      creationTimestamp: AT,
      labels: { app, version: `v${(n % APPS) % 3}`, 'pod-template-hash': '7d4b9c6f5d' },
      annotations: { ...filler(n, 'last-applied', 2_000), 'kubernetes.io/config.source': 'api' },
      ownerReferences: [
        {
          apiVersion: 'apps/v1',
          kind: 'ReplicaSet',
          name: set,
          uid: `22222222-3333-4444-5555-${String(n % APPS).padStart(12, '0')}`,
          controller: true,
          blockOwnerDeletion: true,
        },
      ],
      managedFields: [
        {
          manager: 'kube-controller-manager',
          operation: 'Update',
          fieldsV1: filler(n, 'f:spec', 2_000),
        },
        { manager: 'kubelet', operation: 'Update', fieldsV1: filler(n, 'f:status', 2_000) },
      ],
    },
    spec: podSpec(n, app),
    status: podStatus(n, ip),
  });
}

function podSpec(n: number, app: string): unknown {
  const mount = { name: 'kube-api-access', mountPath: '/var/run/secrets', readOnly: true };
  const toleration = { operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 };
  return {
    serviceAccountName: app,
    serviceAccount: app,
    nodeName: `node-${(n + Math.floor(n / APPS) * 37) % NODES}.example.internal`,
    restartPolicy: 'Always',
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    enableServiceLinks: true,
    priority: 0,
    preemptionPolicy: 'PreemptLowerPriority',
    securityContext: {},
    terminationGracePeriodSeconds: 30,
    tolerations: [
      { key: 'node.kubernetes.io/not-ready', ...toleration },
      { key: 'node.kubernetes.io/unreachable', ...toleration },
    ],
    volumes: [
      {
        name: 'kube-api-access',
        projected: {
          defaultMode: 420,
          sources: [
            { serviceAccountToken: { expirationSeconds: 3607, path: 'token' } },
            { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
          ],
        },
      },
    ],
    containers: [
      {
        name: 'app',
        image: 'app:1',
        imagePullPolicy: 'IfNotPresent',
        ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
        env: [filler(n, 'value', 1_500)],
        resources: { requests: { cpu: '100m', memory: '128Mi' } },
        readinessProbe: { httpGet: { path: '/ready', port: 'http' }, periodSeconds: 10 },
        volumeMounts: [mount],
      },
    ],
  };
}

function podStatus(n: number, ip: string): unknown {
  const types = [
    'PodReadyToStartContainers',
    'Initialized',
    'Ready',
    'ContainersReady',
    'PodScheduled',
  ];
  return {
    phase: 'Running',
    qosClass: 'Burstable',
    startTime: AT,
    hostIP: '172.16.0.1',
    hostIPs: [{ ip: '172.16.0.1' }],
    podIP: ip,
    podIPs: [{ ip }],
    conditions: types.map((type) => ({ type, status: 'True', lastTransitionTime: AT })),
    containerStatuses: [{ name: 'app', ready: true, restartCount: 0, ...filler(n, 'state', 500) }],
  };
}

/** A field of about so many bytes that no other pod has. */
function filler(n: number, name: string, bytes: number): Readonly<Record<string, string>> {
  return { [name]: `${n}-`.repeat(bytes / 6) };
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
