/**
 * How to reach an API server and who we are there.
 *
 * Files are read again: a token bound to a pod lives an hour, and the cluster's root may change. The
 * whole of client-node costs 0.4 s and 80 MB, so only its small parts are loaded, and the rest when a
 * kubeconfig wants a proxy or an old authentication plug-in.
 */

import { readFile } from 'node:fs/promises';
import type { Agent, AgentOptions } from 'node:https';
import type { Clock } from '@ambit/core';
import type { Cluster, User } from '@kubernetes/client-node/dist/config_types.js';
import { ExecAuth } from '@kubernetes/client-node/dist/exec_auth.js';
import { KubeError } from './errors.ts';

/** As client-go: a file may be this old. */
const FILE_MS_MAX = 60_000;

export interface AppliedCredentials {
  readonly headers: Readonly<Record<string, string>>;
  /** The same object until something in it changes, so that connections can be kept by it. */
  readonly tls: AgentOptions;
  /** Set if connections go through a proxy. */
  readonly agent?: Agent;
}

export interface KubeCredentials {
  /** `https://host:port[/path]`, no slash at the end. */
  readonly server: string;
  /** Of the context, or `default`. */
  readonly namespace: string;
  /** Throws KUBE_CREDENTIALS_UNAVAILABLE. */
  apply(): Promise<AppliedCredentials>;
  /** After a 401: what is cached is read again. */
  invalidate(): void;
}

export interface CredentialsOptions {
  readonly cluster: Cluster;
  readonly user: User | undefined;
  /** Not known to client-node's `User`. */
  readonly tokenFile?: string | undefined;
  readonly namespace: string;
  readonly clock: Clock;
}

/** Certificates, tokens, token files and exec plug-ins of a kubeconfig or of a pod. */
export class FileCredentials implements KubeCredentials {
  readonly server: string;
  readonly namespace: string;
  readonly #options: CredentialsOptions;
  #exec = new ExecAuth();
  #tls: AgentOptions = {};
  #tlsText = '';
  #token: string | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  /** Throws KUBE_CONFIG_INVALID for a server that is neither https nor on this machine. */
  constructor(options: CredentialsOptions) {
    checkServer(options.cluster.server);
    this.server = options.cluster.server;
    this.namespace = options.namespace;
    this.#options = options;
  }

  async apply(): Promise<AppliedCredentials> {
    const { user, clock } = this.#options;
    try {
      if (clock.now() - this.#readAt > FILE_MS_MAX) {
        await this.#readFiles();
        this.#readAt = clock.now();
      }
      const headers: Record<string, string> = {};
      const request: { headers: Record<string, string>; cert?: string; key?: string } = { headers };
      if (user !== undefined && this.#exec.isAuthProvider(user)) {
        await this.#exec.applyAuthentication(withExecInfo(user, this.#options.cluster), request);
      }
      const { cert, key } = request;
      const tls = cert === undefined || key === undefined ? {} : { cert, key };
      return { headers: { ...this.#headers(), ...lowerCase(headers) }, tls: this.#keep(tls) };
    } catch (error) {
      const message = 'credentials for the API server cannot be read';
      throw new KubeError('KUBE_CREDENTIALS_UNAVAILABLE', message, {
        cause: error,
        retryable: true,
      });
    }
  }

  invalidate(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
    this.#exec = new ExecAuth();
  }

  #headers(): Record<string, string> {
    const { user } = this.#options;
    const headers: Record<string, string> = {};
    if (this.#token !== undefined) {
      headers['authorization'] = `Bearer ${this.#token}`;
    } else if (typeof user?.username === 'string') {
      const pair = Buffer.from(`${user.username}:${user.password ?? ''}`).toString('base64');
      headers['authorization'] = `Basic ${pair}`;
    }
    if (typeof user?.impersonateUser === 'string') {
      headers['impersonate-user'] = user.impersonateUser;
    }
    return headers;
  }

  #fileTls: AgentOptions = {};

  async #readFiles(): Promise<void> {
    const { cluster, user, tokenFile } = this.#options;
    const ca = await fileOrBase64(cluster.caFile, cluster.caData);
    const cert = await fileOrBase64(user?.certFile, user?.certData);
    const key = await fileOrBase64(user?.keyFile, user?.keyData);
    // A file may end with a newline, which no header takes.
    this.#token = (
      tokenFile === undefined ? user?.token : await readFile(tokenFile, 'utf8')
    )?.trim();
    this.#fileTls = {
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(cluster.skipTLSVerify === true ? { rejectUnauthorized: false } : {}),
      ...(typeof cluster.tlsServerName === 'string' ? { servername: cluster.tlsServerName } : {}),
    };
  }

  #keep(extra: AgentOptions): AgentOptions {
    const tls = { ...this.#fileTls, ...extra };
    const text = JSON.stringify(tls);
    if (text !== this.#tlsText) {
      this.#tlsText = text;
      this.#tls = tls;
    }
    return this.#tls;
  }
}

/** Everything that client-node can do: proxies, OpenID Connect, the old cloud plug-ins. Loads all of it. */
export class FullCredentials implements KubeCredentials {
  readonly server: string;
  readonly namespace: string;
  readonly #cluster: Cluster;
  readonly #user: User | undefined;
  #config: Promise<{ applyToHTTPSOptions(options: object): Promise<void> }> | undefined;
  readonly #tls: AgentOptions = {};

  constructor({ cluster, user, namespace }: CredentialsOptions) {
    checkServer(cluster.server);
    this.server = cluster.server;
    this.namespace = namespace;
    this.#cluster = cluster;
    this.#user = user;
  }

  async apply(): Promise<AppliedCredentials> {
    const options: { headers: Record<string, string>; agent?: Agent } = { headers: {} };
    try {
      this.#config ??= this.#load();
      const config = await this.#config;
      await config.applyToHTTPSOptions(options);
    } catch (error) {
      this.#config = undefined;
      const message = 'credentials for the API server cannot be made';
      throw new KubeError('KUBE_CREDENTIALS_UNAVAILABLE', message, {
        cause: error,
        retryable: true,
      });
    }
    const { headers, agent } = options;
    return {
      headers: lowerCase(headers),
      tls: this.#tls,
      ...(agent === undefined ? {} : { agent }),
    };
  }

  invalidate(): void {
    this.#config = undefined;
  }

  async #load(): Promise<{ applyToHTTPSOptions(options: object): Promise<void> }> {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromClusterAndUser(this.#cluster, this.#user ?? { name: 'none' });
    return config;
  }
}

/** Plug-ins made with client-go want to know the version that they shall speak. */
function withExecInfo(user: User, cluster: Cluster): User {
  const exec = user.exec as
    | { apiVersion?: string; provideClusterInfo?: boolean; env?: readonly object[] }
    | null
    | undefined;
  if (exec === undefined || exec === null) {
    return user;
  }
  const info = {
    apiVersion: exec.apiVersion ?? 'client.authentication.k8s.io/v1',
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(exec.provideClusterInfo === true
        ? { cluster: { server: cluster.server, 'certificate-authority-data': cluster.caData } }
        : {}),
    },
  };
  const env = [...(exec.env ?? []), { name: 'KUBERNETES_EXEC_INFO', value: JSON.stringify(info) }];
  return { ...user, exec: { ...exec, env } };
}

function lowerCase(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([k, value]) => [k.toLowerCase(), value]));
}

function checkServer(server: string): void {
  const url = URL.parse(server);
  const isLocal = url !== null && /^(?:localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  if (url?.protocol !== 'https:' && !(url?.protocol === 'http:' && isLocal)) {
    throw new KubeError(
      'KUBE_CONFIG_INVALID',
      `server "${server.slice(0, 80)}" is not an https URL: credentials are not sent in clear`,
    );
  }
}

async function fileOrBase64(
  file: string | null | undefined,
  base64: string | null | undefined,
): Promise<string | undefined> {
  if (typeof file === 'string' && file !== '') {
    return await readFile(file, 'utf8');
  }
  return typeof base64 === 'string' && base64 !== ''
    ? Buffer.from(base64, 'base64').toString('utf8')
    : undefined;
}
