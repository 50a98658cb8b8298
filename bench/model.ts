/**
 * The mesh model at size: how long a build takes, how much a proxy holds, what one change costs.
 *
 * `node bench/model.ts [--workloads N] [--services N] [--out FILE]` prints JSON. Objects go through the
 * real parser, so that their shape is real; parsing is measured apart from the model.
 */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import { type MeshObject, parseObject } from '@ambit/api';
import { type Address, MeshIndex, MeshModel } from '@ambit/model';
import { encodeAddress } from '@ambit/xds';

const { values } = parseArgs({
  options: {
    workloads: { type: 'string', default: '10000' },
    services: { type: 'string', default: '1000' },
    out: { type: 'string' },
  },
});
const WORKLOADS = Number(values.workloads);
const SERVICES = Number(values.services);
const NAMESPACES = 50;
const CHANGES = 500;

function parsed(value: unknown): MeshObject {
  const { object, findings } = parseObject(value);
  if (object === undefined) throw new Error(JSON.stringify(findings));
  return object;
}

function pod(index: number, ready: boolean): MeshObject {
  const app = index % SERVICES;
  return parsed({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: `app-${app}-7d9c5b6f4-${index}`,
      namespace: `ns-${app % NAMESPACES}`,
      labels: { app: `app-${app}`, version: `v${index % 3}`, 'pod-template-hash': '7d9c5b6f4' },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `app-${app}-7d9c5b6f4` },
      ],
    },
    spec: {
      serviceAccountName: `app-${app}`,
      nodeName: `node-${index % 100}`,
      containers: [{ name: 'app', ports: [{ name: 'http', containerPort: 8080 }] }],
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip: `10.${(index >> 16) & 255}.${(index >> 8) & 255}.${index & 255}` }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  });
}

function service(index: number): MeshObject {
  return parsed({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: `app-${index}`, namespace: `ns-${index % NAMESPACES}` },
    spec: {
      selector: { app: `app-${index}` },
      clusterIPs: [`10.200.${index >> 8}.${index & 255}`],
      ports: [{ name: 'http', port: 80, targetPort: 'http' }],
    },
  });
}

function policy(index: number, port: string): MeshObject {
  return parsed({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'callers', namespace: `ns-${index % NAMESPACES}` },
    spec: {
      selector: { matchLabels: { app: `app-${index}` } },
      rules: [
        {
          from: [{ source: { principals: ['cluster.local/ns/front/sa/web'] } }],
          to: [{ operation: { ports: [port] } }],
        },
      ],
    },
  });
}

function world(): readonly MeshObject[] {
  const objects: MeshObject[] = [];
  for (let index = 0; index < NAMESPACES; index += 1) {
    const metadata = { name: `ns-${index}`, labels: { 'istio.io/dataplane-mode': 'ambient' } };
    objects.push(parsed({ apiVersion: 'v1', kind: 'Namespace', metadata }));
    objects.push(policy(index, '8080'));
  }
  for (let index = 0; index < 100; index += 1) {
    const labels = { 'topology.kubernetes.io/zone': `zone-${index % 3}` };
    objects.push(
      parsed({ apiVersion: 'v1', kind: 'Node', metadata: { name: `node-${index}`, labels } }),
    );
  }
  for (let index = 0; index < SERVICES; index += 1) objects.push(service(index));
  for (let index = 0; index < WORKLOADS; index += 1) objects.push(pod(index, true));
  return objects;
}

function newModel(): MeshModel {
  return new MeshModel({
    trustDomain: 'cluster.local',
    rootNamespace: 'istio-system',
    clusterDomain: 'cluster.local',
    clusterId: 'Kubernetes',
    network: '',
  });
}

function milliseconds<T>(run: () => T): readonly [number, T] {
  const start = performance.now();
  const result = run();
  return [performance.now() - start, result];
}

function quantiles(samples: readonly number[]): Record<string, number> {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.floor((sorted.length - 1) * share)] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

function heapBytes(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

/** One change each, as events come: the resources that it changed are counted too. */
function measureChanges(model: MeshModel, change: (index: number) => MeshObject): unknown {
  const samples: number[] = [];
  let resources = 0;
  for (let index = 0; index < CHANGES; index += 1) {
    const object = change(index);
    const [ms, delta] = milliseconds(() => model.apply({ upserts: [object] }));
    samples.push(ms);
    resources += delta.addresses.changed.size + delta.authorizations.changed.size;
  }
  return { ms: quantiles(samples), resourcesPerChange: resources / CHANGES };
}

const [parseMs, objects] = milliseconds(world);
const empty = heapBytes();
const builds: number[] = [];
let model = newModel();
for (let round = 0; round < 3; round += 1) {
  model = newModel();
  const [ms] = milliseconds(() => model.apply({ upserts: objects }));
  builds.push(ms);
}
const held = heapBytes() - empty;
const addresses: readonly Address[] = [...model.outputs.addresses.values()];
const [encodeMs, encoded] = milliseconds(() =>
  addresses.reduce((sum, address) => sum + encodeAddress(address).length, 0),
);
const json = addresses.reduce((sum, address) => sum + JSON.stringify(address).length, 0);
const beforeIndex = heapBytes();
const index = new MeshIndex({ network: '' });
const [indexMs] = milliseconds(() => index.apply({ changed: addresses, removed: [] }));
const indexHeap = heapBytes() - beforeIndex;
// An address that comes over the wire is not shared with the model: what a proxy's heap holds is both.
const report = {
  what: 'model',
  workloads: WORKLOADS,
  services: SERVICES,
  objects: objects.length,
  parseMs: round(parseMs),
  buildMs: builds.map(round),
  modelHeapBytes: globalThis.gc === undefined ? undefined : held,
  proxy: {
    resources: addresses.length,
    protobufBytes: encoded,
    protobufBytesPerResource: Math.round(encoded / addresses.length),
    jsonBytes: json,
    encodeMs: round(encodeMs),
    indexMs: round(indexMs),
    indexHeapBytes: globalThis.gc === undefined ? undefined : indexHeap,
  },
  oneChange: {
    podReady: measureChanges(model, (at) => pod(at, false)),
    podAdded: measureChanges(model, (at) => pod(WORKLOADS + at, true)),
    policy: measureChanges(model, (at) => policy(at % NAMESPACES, String(9000 + at))),
    namespaceLabel: measureChanges(model, (at) =>
      parsed({
        apiVersion: 'v1',
        kind: 'Namespace',
        metadata: {
          name: 'ns-0',
          labels: { 'istio.io/dataplane-mode': at % 2 === 0 ? 'none' : 'ambient' },
        },
      }),
    ),
  },
  machine: {
    node: process.version,
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    memoryBytes: totalmem(),
    loadAverage: loadavg(),
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  },
};
const text = `${JSON.stringify(report, undefined, 2)}\n`;
process.stdout.write(text);
if (values.out !== undefined) writeFileSync(values.out, text);
