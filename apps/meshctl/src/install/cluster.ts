/** The cluster that a command works on: by kubeconfig and context as kubectl chooses them. */
import { type Clock, systemClock } from '@ambit/core';
import {
  type GroupVersionResource,
  isKubeError,
  KubeClient,
  KubeHttp,
  type KubeObject,
  loadKubeconfig,
  type ObjectRef,
} from '@ambit/kube';
import type { Command } from 'commander';
import { EXIT, UserError } from '../errors.ts';
import { VERSION } from '../version.ts';
import type { Manifest } from './manifests.ts';

export const FIELD_MANAGER = 'meshctl';

export interface Cluster {
  readonly client: KubeClient;
  readonly clock: Clock;
  /** `https://host:port` */
  readonly server: string;
}

export interface ClusterOptions {
  readonly kubeconfig?: string;
  readonly context?: string;
}

export function addClusterOptions(command: Command): Command {
  return command
    .option('--kubeconfig <file>', 'kubeconfig (default: $KUBECONFIG, ~/.kube/config)')
    .option('--context <name>', 'context of the kubeconfig');
}

/** Throws a UserError when there is no usable kubeconfig. Nothing is asked yet. */
export function connect({ kubeconfig, context }: ClusterOptions): Cluster {
  const clock = systemClock;
  try {
    const config = loadKubeconfig({ path: kubeconfig, environment: process.env, clock });
    const credentials = config.credentials(context);
    const http = new KubeHttp({ credentials, clock, userAgent: `meshctl/${VERSION}` });
    const client = new KubeClient({ http, fieldManager: FIELD_MANAGER });
    return { client, clock, server: credentials.server };
  } catch (error) {
    if (!isKubeError(error)) throw error;
    throw new UserError('no cluster to work on', {
      why: error.message,
      fix: 'name a kubeconfig (--kubeconfig, KUBECONFIG) and a context of it (--context)',
      exitCode: EXIT.unavailable,
      cause: error,
    });
  }
}

/** Runs a command against a cluster; what the API server refuses is said as what, why and fix. */
export async function withCluster(
  options: ClusterOptions,
  run: (cluster: Cluster) => Promise<void>,
): Promise<void> {
  const cluster = connect(options);
  try {
    await run(cluster);
  } catch (error) {
    throw explained(error, cluster.server);
  } finally {
    cluster.client.http.close();
  }
}

function explained(error: unknown, server: string): unknown {
  if (isKubeError(error, 'KUBE_CONNECTION_FAILED', 'KUBE_TIMEOUT')) {
    return new UserError(`the API server at ${server} does not answer`, {
      why: error.message,
      fix: 'is the context right (--context), and the cluster up?',
      exitCode: EXIT.unavailable,
    });
  }
  if (isKubeError(error, 'KUBE_FORBIDDEN', 'KUBE_UNAUTHORIZED')) {
    return new UserError('you may not do that in this cluster', {
      why: error.message,
      fix: 'use a context with the rights that "meshctl check --pre" lists',
    });
  }
  return isKubeError(error)
    ? new UserError('the API server refused', { why: error.message })
    : error;
}

const KINDS: Readonly<Record<string, readonly [resource: string, isNamespaced: boolean]>> = {
  Namespace: ['namespaces', false],
  ServiceAccount: ['serviceaccounts', true],
  ConfigMap: ['configmaps', true],
  ResourceQuota: ['resourcequotas', true],
  Service: ['services', true],
  ClusterRole: ['clusterroles', false],
  ClusterRoleBinding: ['clusterrolebindings', false],
  Role: ['roles', true],
  RoleBinding: ['rolebindings', true],
  Deployment: ['deployments', true],
  DaemonSet: ['daemonsets', true],
  PodDisruptionBudget: ['poddisruptionbudgets', true],
  HorizontalPodAutoscaler: ['horizontalpodautoscalers', true],
  NetworkPolicy: ['networkpolicies', true],
  PeerAuthentication: ['peerauthentications', true],
  PrometheusRule: ['prometheusrules', true],
  CustomResourceDefinition: ['customresourcedefinitions', false],
};

/** An object by what a manifest says of it. */
export interface Target {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

export function targetOf(manifest: Manifest): Target {
  const { apiVersion, kind, metadata } = manifest;
  const { namespace, name } = metadata;
  return { apiVersion, kind, name, ...(typeof namespace === 'string' ? { namespace } : {}) };
}

/** `Deployment istio-system/ambit-controller` */
export function describeTarget({ kind, namespace, name }: Target): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** Throws for a kind that no manifest of ours has. */
export function resourceOf({ apiVersion, kind }: Target): GroupVersionResource {
  const [resource] = KINDS[kind] ?? [];
  if (resource === undefined) throw new TypeError(`no resource is known for ${kind}`);
  return gvr(apiVersion, resource);
}

/** `apps/v1`, `deployments` */
export function gvr(apiVersion: string, resource: string): GroupVersionResource {
  const slash = apiVersion.indexOf('/');
  return {
    group: slash === -1 ? '' : apiVersion.slice(0, slash),
    version: apiVersion.slice(slash + 1),
    resource,
  };
}

export function refOf({ namespace, name }: Target): ObjectRef {
  return { name, namespace };
}

/** Also where the cluster does not know the kind. */
export async function findTarget(
  cluster: Cluster,
  target: Target,
): Promise<KubeObject | undefined> {
  return await cluster.client.find(resourceOf(target), refOf(target));
}

/** False if it was not there. */
export async function deleteTarget(
  { client }: Cluster,
  target: Target,
  propagation: 'Background' | 'Foreground' = 'Background',
): Promise<boolean> {
  try {
    await client.delete(resourceOf(target), refOf(target), { propagation });
    return true;
  } catch (error) {
    if (isKubeError(error, 'KUBE_NOT_FOUND')) return false;
    throw error;
  }
}

/** Empty also where the cluster does not know the kind. */
export async function listIfServed(
  { client }: Cluster,
  resource: GroupVersionResource,
  options: { readonly namespace?: string; readonly labelSelector?: string } = {},
): Promise<readonly KubeObject[]> {
  try {
    return await client.list(resource, options);
  } catch (error) {
    if (isKubeError(error, 'KUBE_NOT_FOUND')) return [];
    throw error;
  }
}

/** A field deep inside of what the server gave. */
export function fieldAt(object: unknown, ...path: readonly (string | number)[]): unknown {
  let found = object;
  for (const key of path) {
    found =
      typeof found === 'object' && found !== null
        ? (found as Record<string, unknown>)[key]
        : undefined;
  }
  return found;
}

export function numberAt(object: unknown, ...path: readonly (string | number)[]): number {
  const found = fieldAt(object, ...path);
  return typeof found === 'number' ? found : 0;
}

export function listAt(object: unknown, ...path: readonly (string | number)[]): readonly unknown[] {
  const found = fieldAt(object, ...path);
  return Array.isArray(found) ? found : [];
}

export function textAt(object: unknown, ...path: readonly (string | number)[]): string {
  const found = fieldAt(object, ...path);
  return typeof found === 'string' ? found : '';
}
