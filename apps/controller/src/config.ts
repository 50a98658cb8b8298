/**
 * The controller's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names that the reference has keep their meaning.
 */
import { isIP } from 'node:net';
import { join } from 'node:path';

import { LogLevelError, LogLevels } from '@ambit/telemetry';

import { ControllerError } from './errors.ts';

export interface ListenEndpoint {
  readonly host: string;
  readonly port: number;
}

export interface ControllerConfig {
  /** A later folder's object replaces an earlier one's of the same key. */
  readonly configDirs: readonly string[];
  readonly stateDir: string;
  /** As gRPC takes it: `[::]:15012`. */
  readonly xdsAddress: string;
  readonly metricsAddress: ListenEndpoint | undefined;
  /** Loopback; the socket serves the same when it is taken. */
  readonly adminAddress: ListenEndpoint | undefined;
  readonly adminSocket: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly clusterDomain: string;
  readonly clusterId: string;
  readonly network: string;
  readonly certTtlSeconds: number;
  /** `namespace/serviceaccount` */
  readonly trustedNodeAccounts: readonly string[];
  /** Keys that tokens are verified with; empty: no token is good. */
  readonly tokenJwks: string;
  readonly servingNames: readonly string[];
  /** Empty: a root of its own in the state folder. */
  readonly cacertsDir: string;
  /** Whoever makes pods starts nothing in them before their agent has captured them. */
  readonly podsWaitForAgent: boolean;
  readonly logLevels: LogLevels;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** 90 days, the longest that the CA signs. */
const CERT_TTL_SECONDS_MAX = 7_776_000;
/** Of a unix socket path, with its zero byte (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;
const DOMAIN = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;
const ACCOUNT = /^[a-z0-9.-]+\/[a-z0-9.-]+$/;

/** Throws CONTROLLER_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment): ControllerConfig {
  const problems: string[] = [];
  const read = new Reader(env, problems);
  const stateDir = read.text('AMBIT_STATE_DIR', '/var/lib/ambit');
  const config: ControllerConfig = {
    configDirs: read.list('AMBIT_CONFIG_DIRS', ':', ''),
    stateDir,
    xdsAddress: read.xdsAddress('AMBIT_XDS_ADDRESS', '[::]:15012'),
    metricsAddress: read.endpoint('AMBIT_METRICS_ADDRESS', ':15014'),
    adminAddress: read.endpoint('AMBIT_ADMIN_ADDRESS', '127.0.0.1:15000'),
    adminSocket: read.socketPath('AMBIT_ADMIN_SOCKET', join(stateDir, 'admin.sock')),
    trustDomain: read.matching('TRUST_DOMAIN', 'cluster.local', DOMAIN, 'a domain in lower case'),
    rootNamespace: read.matching('ROOT_NAMESPACE', 'istio-system', DOMAIN, 'a namespace'),
    clusterDomain: read.matching(
      'CLUSTER_DOMAIN',
      'cluster.local',
      DOMAIN,
      'a domain in lower case',
    ),
    clusterId: read.text('CLUSTER_ID', 'Kubernetes'),
    network: read.text('NETWORK', ''),
    certTtlSeconds: read.integer('AMBIT_CERT_TTL_SECONDS', 86_400, 1, CERT_TTL_SECONDS_MAX),
    trustedNodeAccounts: read.accounts(
      'CA_TRUSTED_NODE_ACCOUNTS',
      'istio-system/ztunnel,istio-system/ambit-node-agent',
    ),
    tokenJwks: read.text('AMBIT_TOKEN_JWKS', ''),
    servingNames: read.list('AMBIT_SERVING_NAMES', ',', ''),
    cacertsDir: read.text('AMBIT_CACERTS_DIR', ''),
    podsWaitForAgent: read.flag('AMBIT_PODS_WAIT_FOR_AGENT', 'false'),
    logLevels: read.logLevels('AMBIT_LOG_LEVEL', 'info'),
  };
  if (config.configDirs.length === 0) {
    problems.push('AMBIT_CONFIG_DIRS is not set: folders of YAML, separated by colons');
  }
  if (problems.length > 0) {
    throw new ControllerError('CONTROLLER_CONFIG_INVALID', problems.join('; '));
  }
  return Object.freeze(config);
}

class Reader {
  readonly #env: Environment;
  readonly #problems: string[];

  constructor(env: Environment, problems: string[]) {
    this.#env = env;
    this.#problems = problems;
  }

  text(name: string, fallback: string): string {
    const value = this.#env[name];
    return value === undefined || value === '' ? fallback : value;
  }

  list(name: string, separator: string, fallback: string): readonly string[] {
    return this.text(name, fallback)
      .split(separator)
      .map((part) => part.trim())
      .filter((part) => part !== '');
  }

  matching(name: string, fallback: string, pattern: RegExp, wanted: string): string {
    const value = this.text(name, fallback);
    if (!pattern.test(value)) this.#refuse(name, value, wanted);
    return value;
  }

  flag(name: string, fallback: 'true' | 'false'): boolean {
    const value = this.text(name, fallback);
    if (value !== 'true' && value !== 'false') this.#refuse(name, value, 'true or false');
    return value === 'true';
  }

  accounts(name: string, fallback: string): readonly string[] {
    const accounts = this.list(name, ',', fallback);
    for (const account of accounts) {
      if (!ACCOUNT.test(account)) this.#refuse(name, account, 'namespace/serviceaccount');
    }
    return accounts;
  }

  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.text(name, String(fallback));
    const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= min && value <= max) return value;
    this.#refuse(name, text, `a number from ${min} to ${max}`);
    return fallback;
  }

  socketPath(name: string, fallback: string): string {
    const value = this.text(name, fallback);
    if (Buffer.byteLength(value) > SOCKET_PATH_BYTES_MAX) {
      this.#refuse(name, value, `a path of at most ${SOCKET_PATH_BYTES_MAX} bytes`);
    }
    return value;
  }

  /** `:15014`, `127.0.0.1:0`, `[::1]:15014`; nothing for `off`. */
  endpoint(name: string, fallback: string): ListenEndpoint | undefined {
    const value = this.text(name, fallback);
    if (value === 'off') return undefined;
    const endpoint = parseEndpoint(value);
    if (endpoint === undefined) this.#refuse(name, value, 'IP:PORT or :PORT');
    return endpoint;
  }

  logLevels(name: string, fallback: string): LogLevels {
    const value = this.text(name, fallback);
    try {
      return new LogLevels(value);
    } catch (error) {
      if (!(error instanceof LogLevelError)) throw error;
      this.#refuse(name, value, 'levels such as info or xds:debug,info');
      return new LogLevels(fallback);
    }
  }

  xdsAddress(name: string, fallback: string): string {
    const value = this.text(name, fallback);
    if (parseEndpoint(value) === undefined) this.#refuse(name, value, 'IP:PORT');
    return value.startsWith(':') ? `[::]${value}` : value;
  }

  #refuse(name: string, value: string, wanted: string): void {
    this.#problems.push(`${name} is "${value.slice(0, 80)}", wanted ${wanted}`);
  }
}

function parseEndpoint(text: string): ListenEndpoint | undefined {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const host = match[1] ?? match[2] ?? '';
  const port = Number(match[3]);
  if (port > 65_535 || (host !== '' && isIP(host) === 0)) return undefined;
  return { host: host === '' ? '::' : host, port };
}
