/** Objects of the scenarios: pods of the three programs, their services, and what enrols a namespace. */
import type { TestImages } from './images.ts';

export type Json = Readonly<Record<string, unknown>>;

export interface PodOptions {
  readonly name: string;
  readonly namespace: string;
  /** Default: the echo server on Node. `client` waits for a `Caller`. */
  readonly program?: 'node' | 'go' | 'c' | 'client';
  readonly node?: string;
  readonly port?: number;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Over the container that the program makes. */
  readonly container?: Json;
  /** Over the spec of the pod. */
  readonly spec?: Json;
}

export const ENROLLED = { 'istio.io/dataplane-mode': 'ambient' };

const COMMANDS: Readonly<Record<string, (port: string) => readonly string[]>> = {
  node: () => ['node', 'echo.mjs'],
  client: () => ['node', 'client.mjs', '--wait'],
  go: (port) => ['/go', 'server', port],
  c: (port) => ['/c', 'server', port],
};

export function pod(images: TestImages, options: PodOptions): Json {
  const { name, namespace, program = 'node', node, port = 8080, labels, annotations } = options;
  const probe = { tcpSocket: { port }, periodSeconds: 1, failureThreshold: 30 };
  const container = {
    name: 'app',
    image: images.program(program === 'client' ? 'node' : program),
    command: COMMANDS[program]?.(String(port)),
    env: [
      { name: 'POD_NAME', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
      { name: 'VERSION', value: labels?.['version'] ?? 'v1' },
    ],
    ...(program === 'client' ? {} : { readinessProbe: probe }),
    ...options.container,
  };
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels: { app: name, ...labels }, annotations },
    spec: {
      terminationGracePeriodSeconds: 1,
      ...(node === undefined ? {} : { nodeSelector: { 'kubernetes.io/hostname': node } }),
      containers: [container],
      ...options.spec,
    },
  };
}

export interface DeploymentOptions extends PodOptions {
  readonly replicas?: number;
}

/** Of pods as `pod` makes them; `name` is also their label `app`. */
export function deployment(images: TestImages, options: DeploymentOptions): Json {
  const { name, namespace, replicas = 1 } = options;
  const { metadata, spec } = pod(images, options) as { metadata: { labels: Json }; spec: Json };
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      replicas,
      selector: { matchLabels: { app: name } },
      template: { metadata: { labels: metadata.labels }, spec },
    },
  };
}

export interface ServiceOptions {
  readonly name: string;
  readonly namespace: string;
  /** Default: pods whose label `app` is its name. */
  readonly app?: string;
  readonly port?: number;
  readonly targetPort?: number;
  readonly isHeadless?: boolean;
}

export function service(options: ServiceOptions): Json {
  const { name, namespace, app = name, targetPort = 8080, port = 80 } = options;
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace },
    spec: {
      selector: { app },
      ...(options.isHeadless === true ? { clusterIP: 'None' } : {}),
      ports: [{ name: 'http', port, targetPort }],
    },
  };
}

/** A policy that only a waypoint can decide: with it a waypoint of the namespace is made. It lets everybody GET. */
export function needsWaypoint(namespace: string): Json {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'readers', namespace },
    spec: { action: 'ALLOW', rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
  };
}

export function peerAuthentication(namespace: string, mode: 'STRICT' | 'PERMISSIVE'): Json {
  return {
    apiVersion: 'security.istio.io/v1',
    kind: 'PeerAuthentication',
    metadata: { name: 'default', namespace },
    spec: { mtls: { mode } },
  };
}
