/** Objects for tests, as a person would write them, through the real parser. */
import assert from 'node:assert/strict';

import { type MeshObject, parseObject } from '@ambit/api';

import { MeshModel } from './mesh-model.ts';
import type { ModelOptions } from './objects/keys.ts';

export const OPTIONS: ModelOptions = {
  trustDomain: 'cluster.local',
  rootNamespace: 'istio-system',
  clusterDomain: 'cluster.local',
  clusterId: 'Kubernetes',
  network: '',
};

type Labels = Readonly<Record<string, string>>;

export function parsed(value: unknown): MeshObject {
  const { object, findings } = parseObject(value);
  assert.ok(object, JSON.stringify(findings, null, 1));
  return object;
}

export function namespace(name: string, labels: Labels = {}): MeshObject {
  return parsed({ apiVersion: 'v1', kind: 'Namespace', metadata: { name, labels } });
}

export function pod(
  name: string,
  ip: string,
  options: {
    readonly namespace?: string;
    readonly labels?: Labels;
    readonly ready?: boolean;
    readonly account?: string;
    readonly ports?: Readonly<Record<string, number>>;
    readonly hostNetwork?: boolean;
  } = {},
): MeshObject {
  const { ready = true, ports = {} } = options;
  return parsed({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      namespace: options.namespace ?? 'shop',
      labels: options.labels ?? { app: name },
    },
    spec: {
      serviceAccountName: options.account ?? 'default',
      nodeName: 'node1',
      hostNetwork: options.hostNetwork ?? false,
      containers: [
        {
          name: 'app',
          ports: Object.entries(ports).map(([port, containerPort]) => ({
            name: port,
            containerPort,
          })),
        },
      ],
    },
    status: {
      phase: 'Running',
      podIPs: [{ ip }],
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }],
    },
  });
}

export function service(
  name: string,
  ip: string,
  options: {
    readonly namespace?: string;
    readonly labels?: Labels;
    readonly selector?: Labels;
    readonly ports?: readonly Readonly<Record<string, unknown>>[];
  } = {},
): MeshObject {
  return parsed({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: options.namespace ?? 'shop', labels: options.labels ?? {} },
    spec: {
      selector: options.selector ?? { app: name },
      clusterIPs: [ip],
      clusterIP: ip,
      ports: options.ports ?? [{ name: 'http', port: 80, targetPort: 8080 }],
    },
  });
}

/** Of a Service without selector. */
export function slice(
  name: string,
  endpoints: readonly Readonly<Record<string, unknown>>[],
  options: {
    readonly namespace?: string;
    readonly service?: string;
    readonly ports?: readonly Readonly<Record<string, unknown>>[];
    readonly addressType?: string;
  } = {},
): MeshObject {
  const labels = { 'kubernetes.io/service-name': options.service ?? name };
  return parsed({
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: { name, namespace: options.namespace ?? 'shop', labels },
    addressType: options.addressType ?? 'IPv4',
    endpoints,
    ports: options.ports ?? [{ name: 'http', port: 9090 }],
  });
}

export function policy(
  name: string,
  spec: unknown,
  options: { readonly namespace?: string; readonly annotations?: Labels } = {},
): MeshObject {
  return parsed({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: {
      name,
      namespace: options.namespace ?? 'shop',
      annotations: options.annotations ?? {},
    },
    spec,
  });
}

export function networking(kind: string, name: string, spec: unknown, space = 'shop'): MeshObject {
  return parsed({
    apiVersion: 'networking.istio.io/v1',
    kind,
    metadata: { name, namespace: space },
    spec,
  });
}

export function gateway(
  name: string,
  options: {
    readonly namespace?: string;
    readonly labels?: Labels;
    readonly from?: string;
    readonly className?: string;
    readonly addresses?: readonly string[];
    readonly annotations?: Labels;
  } = {},
): MeshObject {
  const { namespace: ns = 'shop', labels = {}, annotations = {} } = options;
  return parsed({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: ns, labels, annotations },
    spec: {
      gatewayClassName: options.className ?? 'istio-waypoint',
      listeners: [
        {
          name: 'mesh',
          port: 15008,
          protocol: 'HBONE',
          allowedRoutes: { namespaces: { from: options.from ?? 'Same' } },
        },
      ],
      ...(options.addresses === undefined
        ? {}
        : { addresses: options.addresses.map((value) => ({ type: 'IPAddress', value })) }),
    },
  });
}

export function httpRoute(
  name: string,
  parent: string,
  backend: string,
  space = 'shop',
): MeshObject {
  return parsed({
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: space },
    spec: {
      parentRefs: [{ group: '', kind: 'Service', name: parent }],
      rules: [{ backendRefs: [{ name: backend, port: 80 }] }],
    },
  });
}

/** A ready proxy of a waypoint, and its Service. */
export function waypointPod(name = 'waypoint', space = 'shop', ready = true): MeshObject {
  return pod(`${name}-0`, '10.0.9.9', {
    namespace: space,
    account: name,
    ready,
    labels: {
      'gateway.networking.k8s.io/gateway-name': name,
      'gateway.istio.io/managed': 'istio.io-mesh-controller',
      'istio.io/dataplane-mode': 'none',
    },
  });
}

export function uid(name: string, space = 'shop'): string {
  return `Kubernetes//Pod/${space}/${name}`;
}

export function modelOf(...objects: readonly MeshObject[]): MeshModel {
  const model = new MeshModel(OPTIONS);
  model.apply({ upserts: objects });
  return model;
}
