/**
 * What Kubernetes itself does with a pod of the mesh that takes nothing in clear: the kubelet's probes, exec, logs and
 * port-forward, init containers, native sidecars and jobs.
 */
import assert from 'node:assert/strict';
import { get } from 'node:http';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { after, before, describe, it } from 'node:test';
import { kubectl, startKubectl, stopProcess } from './kubectl.ts';
import { MeshCluster } from './mesh-cluster.ts';
import { ENROLLED, type Json, peerAuthentication, pod, service } from './objects.ts';

const often = { periodSeconds: 1, failureThreshold: 60 };
const PROBES: readonly (readonly [name: string, probe: Json])[] = [
  ['http', { httpGet: { path: '/healthz', port: 8080 } }],
  ['http-name', { httpGet: { path: '/', port: 'http' } }],
  ['tcp', { tcpSocket: { port: 9000 } }],
  ['grpc', { grpc: { port: 8080 } }],
  ['exec', { exec: { command: ['node', '-e', 'fetch("http://127.0.0.1:8080/")'] } }],
];

let mesh: MeshCluster;
let namespace: string;
let outside: string;

before(async () => {
  mesh = await MeshCluster.open();
  namespace = await mesh.namespace('probes', ENROLLED);
  outside = await mesh.namespace('outside');
  await mesh.apply(
    peerAuthentication(namespace, 'STRICT'),
    pod(mesh.images, { name: 'server', namespace, program: 'go', node: mesh.nodes[1] }),
    service({ name: 'server', namespace }),
    pod(mesh.images, { name: 'stranger', namespace: outside, program: 'client' }),
  );
  await Promise.all([mesh.ready(namespace), mesh.ready(outside)]);
});
after(async () => {
  await mesh?.[Symbol.asyncDispose]();
});

describe('under STRICT', { timeout: 180_000 }, () => {
  it('the kubelet reaches readiness, liveness and startup probes of every kind', async () => {
    const ports = [{ name: 'http', containerPort: 8080 }];
    const pods = PROBES.map(([name, probe]) => {
      const probes = Object.fromEntries(
        ['readinessProbe', 'livenessProbe', 'startupProbe'].map((kind) => [
          kind,
          { ...probe, ...often },
        ]),
      );
      return pod(mesh.images, {
        name,
        namespace,
        labels: { probed: 'yes' },
        container: { ports, ...probes },
      });
    });
    await mesh.apply(...pods);
    await mesh.ready(namespace, 'probed');
  });

  it('a probe that fails is seen to fail', async () => {
    const readinessProbe = { httpGet: { path: '/?status=503', port: 8080 }, ...often };
    await mesh.apply(
      pod(mesh.images, { name: 'unready', namespace, container: { readinessProbe } }),
    );
    const events = ['-n', namespace, 'get', 'events', '-o', 'jsonpath={.items[*].message}'];
    await mesh.until('the kubelet says so', async () =>
      /probe failed: HTTP probe failed with statuscode: 503/.test(await kubectl(events)),
    );
  });

  it('others than the kubelet are still refused', async () => {
    const caller = mesh.caller(outside, 'stranger');
    const [server] = await mesh.pods(namespace, 'app=server');
    for (const url of [`http://server.${namespace}/`, `http://${server?.ip}:8080/`]) {
      assert.equal((await caller.http({ url })).status, 0, url);
    }
  });

  it('exec, logs and port-forward work', async () => {
    const own = ['/go', 'get', 'http://127.0.0.1:8080/by-exec'];
    assert.match((await mesh.exec(namespace, 'server', ...own)).stdout, /by-exec/);
    assert.match(await kubectl(['-n', namespace, 'logs', 'server']), /listens on 8080/);
    const forward = startKubectl('-n', namespace, 'port-forward', 'pod/server', ':8080');
    try {
      const lines = createInterface({ input: forward.stdout ?? process.stdin });
      const { value } = await lines[Symbol.asyncIterator]().next();
      const port = Number(/127\.0\.0\.1:(\d+)/.exec(String(value))?.[1]);
      assert.match(await fetchText(port, '/forwarded'), /forwarded/);
    } finally {
      stopProcess(forward);
    }
  });

  it('init containers and native sidecars are in the mesh from their first byte', async () => {
    const image = mesh.images.program('go');
    const url = `http://server.${namespace}/`;
    const initContainers = [
      { name: 'sidecar', image, args: ['server', '9500'], restartPolicy: 'Always' },
      { name: 'init', image, args: ['get', url] },
    ];
    const command = ['/go', 'get', 'http://127.0.0.1:9500/of-the-sidecar'];
    const spec = { initContainers, restartPolicy: 'Never' };
    const options = { name: 'inits', namespace, program: 'go', spec } as const;
    await mesh.apply(
      pod(mesh.images, { ...options, container: { command, readinessProbe: undefined } }),
    );
    await ends('inits', 'Succeeded');
    const logs = async (container: string): Promise<string> =>
      await kubectl(['-n', namespace, 'logs', 'inits', '-c', container]);
    assert.match(await logs('init'), /"pod":"server"/);
    assert.match(await logs('app'), /of-the-sidecar/);
  });

  it('a job calls the mesh and ends', async () => {
    const container = { name: 'job', image: mesh.images.program('go') };
    const args = ['job', `http://server.${namespace}/of-the-job`];
    const spec = { restartPolicy: 'Never', containers: [{ ...container, args }] };
    const job = { apiVersion: 'batch/v1', kind: 'Job', metadata: { name: 'job', namespace } };
    await mesh.apply({ ...job, spec: { template: { spec }, backoffLimit: 0 } });
    await kubectl([
      ...['-n', namespace, 'wait', 'job/job', '--for=condition=Complete', '--timeout=60s'],
    ]);
    assert.match(await kubectl(['-n', namespace, 'logs', 'job/job']), /of-the-job/);
  });
});

async function ends(name: string, phase: string): Promise<void> {
  await mesh.until(`${name} ends`, async () => {
    const pods = await mesh.pods(namespace, `app=${name}`);
    return pods[0]?.phase === phase;
  });
}

async function fetchText(port: number, path: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    get({ port, path, host: '127.0.0.1' }, (answer) => resolve(text(answer))).on('error', reject);
  });
}
