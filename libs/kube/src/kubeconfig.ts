/**
 * Kubeconfig files and the pod's own service account.
 *
 * Order as kubectl's: a named file, else $KUBECONFIG (several, the first to say a name wins), else
 * ~/.kube/config, else the pod. Parsing of entries is client-node's.
 */
import { existsSync, readFileSync } from 'node:fs';
import { isIPv6 } from 'node:net';
import { delimiter, dirname, isAbsolute, join } from 'node:path';
import type { Clock, Environment } from '@ambit/core';
import {
  type Cluster,
  type Context,
  newClusters,
  newContexts,
  newUsers,
  type User,
} from '@kubernetes/client-node/dist/config_types.js';
import { parse } from 'yaml';
import { FileCredentials, FullCredentials, type KubeCredentials } from './credentials.ts';
import { KubeError } from './errors.ts';

const SERVICE_ACCOUNT_DIR = '/var/run/secrets/kubernetes.io/serviceaccount';

export interface KubeconfigOptions {
  /** A file; then nothing else is looked at. */
  readonly path?: string | undefined;
  readonly environment: Environment;
  readonly clock: Clock;
  /** Default `/var/run/secrets/kubernetes.io/serviceaccount`. */
  readonly serviceAccountDir?: string;
}

interface Entries {
  readonly clusters: Cluster[];
  readonly users: { readonly user: User; readonly tokenFile: string | undefined }[];
  readonly contexts: Context[];
  currentContext: string | undefined;
}

export class Kubeconfig {
  readonly #entries: Entries;
  readonly #clock: Clock;

  /** Use `loadKubeconfig`. */
  constructor(entries: Entries, clock: Clock) {
    this.#entries = entries;
    this.#clock = clock;
  }

  get contexts(): readonly string[] {
    return this.#entries.contexts.map((context) => context.name);
  }

  get currentContext(): string | undefined {
    return this.#entries.currentContext;
  }

  /** Of the named or current context. Throws KUBE_CONFIG_INVALID if it, its cluster or its user is not there. */
  credentials(contextName = this.currentContext): KubeCredentials {
    const { contexts, clusters, users } = this.#entries;
    const context = contexts.find((c) => c.name === contextName);
    if (context === undefined) {
      const known = this.contexts.join(', ') || 'none';
      throw invalid(`no context "${contextName ?? ''}" in the kubeconfig; known: ${known}`);
    }
    const cluster = clusters.find((c) => c.name === context.cluster);
    const entry = users.find(({ user }) => user.name === context.user);
    if (cluster === undefined) {
      throw invalid(`context "${context.name}" names the unknown cluster "${context.cluster}"`);
    }
    if (entry === undefined && context.user !== undefined) {
      throw invalid(`context "${context.name}" names the unknown user "${context.user}"`);
    }
    const options = {
      cluster,
      user: entry?.user,
      tokenFile: entry?.tokenFile,
      namespace: context.namespace ?? 'default',
      clock: this.#clock,
    };
    const provider = entry?.user.authProvider ?? undefined;
    const needsAll = typeof cluster.proxyUrl === 'string' || provider !== undefined;
    return needsAll ? new FullCredentials(options) : new FileCredentials(options);
  }
}

/** Throws KUBE_CONFIG_INVALID with the file and what is wrong in it, or if there is no configuration at all. */
export function loadKubeconfig(options: KubeconfigOptions): Kubeconfig {
  const { environment, clock } = options;
  const files = kubeconfigFiles(options);
  if (files.length === 0) {
    return new Kubeconfig(podEntries(options), clock);
  }
  const merged: Entries = { clusters: [], users: [], contexts: [], currentContext: undefined };
  const present = files.filter((file) => files.length === 1 || existsSync(file));
  for (const file of present) {
    merge(merged, readEntries(file));
  }
  if (present.length === 0) {
    throw invalid(`no file of KUBECONFIG="${environment['KUBECONFIG'] ?? ''}" exists`);
  }
  return new Kubeconfig(merged, clock);
}

function kubeconfigFiles({ path, environment }: KubeconfigOptions): string[] {
  if (path !== undefined) {
    return [path];
  }
  const listed = (environment['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  if (listed.length > 0) {
    return listed;
  }
  const own = join(environment['HOME'] ?? '', '.kube', 'config');
  return (environment['HOME'] ?? '') !== '' && existsSync(own) ? [own] : [];
}

function podEntries({
  environment,
  serviceAccountDir = SERVICE_ACCOUNT_DIR,
}: KubeconfigOptions): Entries {
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT'] ?? '443';
  const tokenFile = join(serviceAccountDir, 'token');
  if (host === undefined || host === '' || !existsSync(tokenFile)) {
    throw invalid(
      'no Kubernetes configuration: KUBECONFIG and ~/.kube/config are not there, and this is no pod with a service account',
    );
  }
  const namespaceFile = join(serviceAccountDir, 'namespace');
  const namespace = existsSync(namespaceFile)
    ? readFileSync(namespaceFile, 'utf8').trim()
    : 'default';
  const server = `https://${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const cluster = {
    name: 'pod',
    server,
    caFile: join(serviceAccountDir, 'ca.crt'),
    skipTLSVerify: false,
  };
  return {
    clusters: [cluster],
    users: [{ user: { name: 'pod' }, tokenFile }],
    contexts: [{ name: 'pod', cluster: 'pod', user: 'pod', namespace }],
    currentContext: 'pod',
  };
}

function merge(into: Entries, from: Entries): void {
  const named = <T extends { readonly name: string }>(own: T[], other: readonly T[]): void => {
    own.push(...other.filter((entry) => !own.some((o) => o.name === entry.name)));
  };
  named(into.clusters, from.clusters);
  named(into.contexts, from.contexts);
  into.users.push(
    ...from.users.filter((entry) => !into.users.some((o) => o.user.name === entry.user.name)),
  );
  into.currentContext ??= from.currentContext;
}

function readEntries(file: string): Entries {
  try {
    const root = (parse(readFileSync(file, 'utf8')) ?? {}) as Record<string, unknown>;
    const current = root['current-context'];
    return {
      clusters: newClusters(root['clusters']).map((cluster) => absolute(cluster, file)),
      users: newUsers(root['users']).map((user) => ({
        user: absolute(user, file),
        tokenFile: tokenFileOf(root['users'], user.name, file),
      })),
      contexts: newContexts(root['contexts']),
      currentContext: typeof current === 'string' && current !== '' ? current : undefined,
    };
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new KubeError('KUBE_CONFIG_INVALID', `kubeconfig "${file}": ${reason}`, { cause: error });
  }
}

/** `tokenFile` of a user, which client-node reads under another name and only once. */
function tokenFileOf(users: unknown, name: string, file: string): string | undefined {
  const entry = (users as { name?: string; user?: { tokenFile?: unknown } | null }[]).find(
    (u) => u.name === name,
  );
  const path = entry?.user?.tokenFile;
  return typeof path === 'string' ? resolveBeside(file, path) : undefined;
}

function absolute<T extends Cluster | User>(entry: T, file: string): T {
  const fixed: Record<string, unknown> = { ...entry };
  for (const field of ['caFile', 'certFile', 'keyFile']) {
    const path = fixed[field];
    if (typeof path === 'string') {
      fixed[field] = resolveBeside(file, path);
    }
  }
  return fixed as unknown as T;
}

function resolveBeside(file: string, path: string): string {
  return isAbsolute(path) ? path : join(dirname(file), path);
}

function invalid(message: string): KubeError {
  return new KubeError('KUBE_CONFIG_INVALID', message);
}
