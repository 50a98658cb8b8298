/** A small mesh from YAML for tests, through the real parser, the real model and the snapshot's JSON. */
import assert from 'node:assert/strict';
import { INBOUND_BINDING, type MeshObject, parseObject, parseYaml } from '@ambit/api';
import { type DecodedSnapshot, decodeSnapshot, encodeSnapshot, MeshModel } from '@ambit/model';

const OPTIONS = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};

export function snapshotOf(...texts: readonly string[]): DecodedSnapshot {
  return snapshotFrom(new MeshModel(OPTIONS), texts);
}

/** As where nobody vouches that pods wait for their agent, and no agent has said that it captured any. */
export function uncapturedSnapshotOf(...texts: readonly string[]): DecodedSnapshot {
  return snapshotFrom(new MeshModel({ ...OPTIONS, capture: 'reported' }), texts);
}

/** As of revision `ambit`, beside another mesh. */
export function besideSnapshotOf(...texts: readonly string[]): DecodedSnapshot {
  return snapshotFrom(new MeshModel({ ...OPTIONS, revision: 'ambit' }), texts);
}

/** As while a namespace is let out of the mesh for a time. */
export function bypassedSnapshotOf(
  namespace: string,
  ...texts: readonly string[]
): DecodedSnapshot {
  return snapshotFrom(new MeshModel(OPTIONS), texts, [namespace]);
}

/** With classes that say in these words how proxies take tunnels, past the parser: as a stand-in of a refused one has it. */
export function boundSnapshotOf(binding: string, ...texts: readonly string[]): DecodedSnapshot {
  const upserts = texts.flatMap(objectsOf).map((object) => {
    if (object.kind !== 'GatewayClass') return object;
    const annotations = { [INBOUND_BINDING]: binding };
    return { ...object, metadata: { ...object.metadata, annotations } };
  });
  return snapshotWith(new MeshModel(OPTIONS), upserts);
}

function snapshotFrom(
  model: MeshModel,
  texts: readonly string[],
  bypassed: readonly string[] = [],
): DecodedSnapshot {
  return snapshotWith(model, texts.flatMap(objectsOf), bypassed);
}

function snapshotWith(
  model: MeshModel,
  upserts: readonly MeshObject[],
  bypassed: readonly string[] = [],
): DecodedSnapshot {
  model.apply({ upserts, bypassed: { add: bypassed } });
  const json = encodeSnapshot(model.outputs, { ...OPTIONS, takenAtMs: 0 });
  return decodeSnapshot(JSON.parse(JSON.stringify(json)));
}

function objectsOf(text: string): readonly MeshObject[] {
  return parseYaml(text, { source: 'test' }).documents.map(({ value }) => {
    const { object, findings } = parseObject(value);
    assert.ok(object !== undefined, JSON.stringify(findings));
    return object;
  });
}

interface PodOptions {
  readonly account?: string;
  readonly labels?: string;
  readonly namespace?: string;
  readonly ready?: boolean;
}

export function podYaml(name: string, ip: string, options: PodOptions = {}): string {
  const app = name.replace(/-.*/, '');
  const { account = app, labels = `{app: ${app}}`, namespace = 'shop', ready = true } = options;
  return `
---
apiVersion: v1
kind: Pod
metadata: {name: ${name}, namespace: ${namespace}, labels: ${labels}}
spec: {serviceAccountName: ${account}, nodeName: n1, containers: [{name: a, command: [x]}]}
status:
  phase: Running
  podIPs: [{ip: ${ip}}]
  conditions: [{type: Ready, status: "${ready ? 'True' : 'False'}"}]
`;
}

export function serviceYaml(
  name: string,
  ip: string,
  port = '{name: http, port: 80, targetPort: 8080}',
): string {
  return `
---
apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {selector: {app: ${name}}, clusterIPs: [${ip}], clusterIP: ${ip}, ports: [${port}]}
`;
}

/** Enrolled namespace `shop`: client, reviews v1 and v2; `old` is not enrolled. */
export const SHOP = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio.io/dataplane-mode: ambient}}
---
apiVersion: v1
kind: Namespace
metadata: {name: old}
${podYaml('client-1', '10.0.0.1')}
${podYaml('client-2', '10.0.0.2')}
${podYaml('reviews-v1', '10.0.0.11', { labels: '{app: reviews, version: v1}' })}
${podYaml('reviews-v2', '10.0.0.12', { labels: '{app: reviews, version: v2}' })}
${podYaml('legacy', '10.0.0.21', { namespace: 'old' })}
${serviceYaml('reviews', '10.96.0.1')}
`;

/** The waypoint of \`shop\` as the controller and the cluster make it. */
export const WAYPOINT = `
apiVersion: v1
kind: Service
metadata: {name: waypoint, namespace: shop, labels: {gateway.networking.k8s.io/gateway-name: waypoint}}
spec:
  selector: {gateway.networking.k8s.io/gateway-name: waypoint}
  clusterIPs: [10.96.0.9]
  clusterIP: 10.96.0.9
  ports: [{name: mesh, port: 15008, targetPort: 15008, appProtocol: hbone}]
${podYaml('waypoint-0', '10.0.0.9', {
  account: 'waypoint',
  labels: '{gateway.networking.k8s.io/gateway-name: waypoint, istio.io/dataplane-mode: none}',
})}
`;

/** The Gateway that asks for it and the namespace's use of it. */
export const GATEWAY = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: shop, labels: {istio.io/waypoint-for: all}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  labels: {istio.io/dataplane-mode: ambient, istio.io/use-waypoint: waypoint}
`;
