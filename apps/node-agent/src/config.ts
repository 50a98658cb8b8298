/**
 * The agent's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names of the reference keep their meaning (wire.md §11).
 */
import { isIP } from 'node:net';
import { AgentError } from './errors.ts';

export interface AgentConfig {
  readonly nodeName: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly serviceAccount: string;
  readonly instanceIp: string;
  /** `https://host:port`; empty: no controller, what is on disk decides. */
  readonly xdsAddress: string;
  readonly caAddress: string;
  readonly xdsRootCa: string;
  readonly caRootCa: string;
  readonly tokenPath: string;
  readonly runDir: string;
  readonly adminSocket: string;
  readonly workers: number;
  readonly secretTtlSeconds: number;
  readonly drainMs: number;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly network: string;
  readonly adminAddress: Endpoint;
  readonly metricsAddress: Endpoint;
  readonly readinessAddress: Endpoint;
  readonly dnsCapture: boolean;
  readonly ipv6Enabled: boolean;
  readonly resolvConf: string;
  readonly probeSourceV4: string;
  readonly probeSourceV6: string;
  readonly logLevel: string;
  /** `ISTIO_META_*` without the prefix, for the control plane. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly xdsHeaders: Readonly<Record<string, string>>;
  readonly caHeaders: Readonly<Record<string, string>>;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** Longer than Kubernetes allows a name to be told apart; a thread each is what a node has cores for. */
const WORKERS_MAX = 128;
const SECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  ms: 0.001,
  s: 1,
  m: 60,
  h: 3600,
};
/** Of a unix socket path, with its zero byte (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/** Throws AGENT_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment): AgentConfig {
  const reader = new Reader(env);
  const runDir = reader.text('AMBIT_RUN_DIR', '/var/run/ambit');
  const xdsAddress = reader.address('XDS_ADDRESS', 'https://istiod.istio-system.svc:15012');
  const config: AgentConfig = {
    nodeName: reader.required('NODE_NAME'),
    podName: reader.required('POD_NAME'),
    podNamespace: reader.required('POD_NAMESPACE'),
    serviceAccount: reader.required('SERVICE_ACCOUNT'),
    instanceIp: reader.ip('INSTANCE_IP', '1.1.1.1'),
    xdsAddress,
    caAddress: reader.address('CA_ADDRESS', xdsAddress),
    xdsRootCa: reader.text('XDS_ROOT_CA', './var/run/secrets/istio/root-cert.pem'),
    caRootCa: reader.text('CA_ROOT_CA', './var/run/secrets/istio/root-cert.pem'),
    tokenPath: reader.text('AMBIT_TOKEN_PATH', './var/run/secrets/tokens/istio-token'),
    runDir,
    adminSocket: reader.socketPath('AMBIT_ADMIN_SOCKET', `${runDir}/admin.sock`),
    workers: reader.integer('AMBIT_WORKERS', { fallback: 1, min: 1, max: WORKERS_MAX }),
    secretTtlSeconds: reader.duration('SECRET_TTL', 86_400),
    drainMs: drainMsOf(reader),
    clusterId: reader.text('ISTIO_META_CLUSTER_ID', reader.text('CLUSTER_ID', 'Kubernetes')),
    clusterDomain: reader.text('CLUSTER_DOMAIN', 'cluster.local'),
    trustDomain: reader.text('TRUST_DOMAIN', 'cluster.local'),
    network: reader.text('NETWORK', ''),
    adminAddress: reader.endpoint('AMBIT_ADMIN_ADDRESS', { host: '127.0.0.1', port: 15_000 }),
    metricsAddress: reader.endpoint('AMBIT_METRICS_ADDRESS', { host: '::', port: 15_020 }),
    readinessAddress: reader.endpoint('AMBIT_READINESS_ADDRESS', { host: '::', port: 15_021 }),
    dnsCapture: reader.flag('ISTIO_META_DNS_CAPTURE', true),
    ipv6Enabled: reader.flag('IPV6_ENABLED', true),
    resolvConf: reader.text('AMBIT_RESOLV_CONF', '/etc/resolv.conf'),
    probeSourceV4: reader.ip('HOST_PROBE_SNAT_IP', '169.254.7.127', 4),
    probeSourceV6: reader.ip('HOST_PROBE_SNAT_IPV6', 'fd16:9254:7127:1337:ffff:ffff:ffff:ffff', 6),
    logLevel: reader.text('AMBIT_LOG_LEVEL', 'info'),
    metadata: withPrefix(env, 'ISTIO_META_'),
    xdsHeaders: withPrefix(env, 'XDS_HEADER_'),
    caHeaders: withPrefix(env, 'CA_HEADER_'),
  };
  reader.throwProblems();
  return deepFreeze(config);
}

/** For the admin dump: camelCase as it is, headers (which may be credentials) by name alone. */
export function describeConfig(config: AgentConfig): Readonly<Record<string, unknown>> {
  const names = (headers: Readonly<Record<string, string>>) => Object.keys(headers).sort();
  return {
    ...config,
    localNode: config.nodeName,
    numWorkerThreads: config.workers,
    secretTtl: { secs: config.secretTtlSeconds, nanos: 0 },
    proxyMode: 'Shared',
    dnsProxy: config.dnsCapture,
    xdsHeaders: names(config.xdsHeaders),
    caHeaders: names(config.caHeaders),
  };
}

/** How long open connections get when the agent stops (wire.md §7.6). */
function drainMsOf(reader: Reader): number {
  const own = reader.duration('CONNECTION_TERMINATION_DEADLINE', undefined);
  if (own !== undefined) {
    return own * 1000;
  }
  const grace = reader.duration('TERMINATION_GRACE_PERIOD_SECONDS', undefined);
  if (grace === undefined) {
    return 5_000;
  }
  return Math.max(1, grace <= 10 ? grace - 1 : grace - 5) * 1000;
}

function withPrefix(env: Environment, prefix: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      name.startsWith(prefix) && value !== undefined ? [[name.slice(prefix.length), value]] : [],
    ),
  );
}

class Reader {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  throwProblems(): void {
    if (this.#problems.length > 0) {
      throw new AgentError('AGENT_CONFIG_INVALID', `bad settings: ${this.#problems.join('; ')}`, {
        retryable: false,
      });
    }
  }

  text(name: string, fallback: string): string {
    return this.#env[name] ?? fallback;
  }

  required(name: string): string {
    const value = this.#env[name] ?? '';
    return value === '' ? this.#problem(name, 'is required', '') : value;
  }

  ip(name: string, fallback: string, family?: 4 | 6): string {
    const value = this.#env[name] ?? fallback;
    const found = isIP(value);
    return found === 0 || (family !== undefined && found !== family)
      ? this.#problem(name, `"${value.slice(0, 80)}" is not an IP address`, fallback)
      : value;
  }

  /** A missing scheme is https. Empty stays empty. */
  address(name: string, fallback: string): string {
    const value = this.#env[name] ?? fallback;
    if (value === '') {
      return '';
    }
    const text = value.includes('://') ? value : `https://${value}`;
    const url = URL.parse(text);
    return url === null || url.protocol !== 'https:' || url.port === ''
      ? this.#problem(name, `"${value.slice(0, 80)}" is not https://HOST:PORT`, fallback)
      : text;
  }

  integer(
    name: string,
    {
      fallback,
      min,
      max,
    }: { readonly fallback: number; readonly min: number; readonly max: number },
  ): number {
    const value = this.#env[name];
    const number = value === undefined ? fallback : Number(value);
    return Number.isInteger(number) && number >= min && number <= max && value !== ''
      ? number
      : this.#problem(name, `"${value?.slice(0, 80)}" is outside ${min}..${max}`, fallback);
  }

  /** Seconds of `90`, `90s`, `5m`, `24h`, `500ms`; more than zero. */
  duration<T extends number | undefined>(name: string, fallback: T): number | T {
    const value = this.#env[name];
    if (value === undefined) {
      return fallback;
    }
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value);
    const seconds = Number(match?.[1]) * (SECONDS_PER_UNIT[match?.[2] ?? 's'] ?? Number.NaN);
    return seconds > 0
      ? seconds
      : this.#problem(name, `"${value.slice(0, 80)}" is not a duration like 90s`, fallback);
  }

  flag(name: string, fallback: boolean): boolean {
    const value = this.#env[name]?.toLowerCase();
    switch (value) {
      case undefined:
        return fallback;
      case 'true':
      case '1':
        return true;
      case 'false':
      case '0':
        return false;
      default:
        return this.#problem(name, `"${value.slice(0, 80)}" is not true or false`, fallback);
    }
  }

  /** `host:port`, `[v6]:port`, `:port`. Port 0 picks one. */
  endpoint(name: string, fallback: Endpoint): Endpoint {
    const value = this.#env[name];
    if (value === undefined) {
      return fallback;
    }
    const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(value);
    const port = Number(match?.[3] ?? Number.NaN);
    return port <= 65_535
      ? { host: (match?.[1] ?? match?.[2]) || '::', port }
      : this.#problem(name, `"${value.slice(0, 80)}" is not HOST:PORT`, fallback);
  }

  socketPath(name: string, fallback: string): string {
    const value = this.#env[name] ?? fallback;
    return Buffer.byteLength(value) > SOCKET_PATH_BYTES_MAX
      ? this.#problem(name, `is longer than ${SOCKET_PATH_BYTES_MAX} bytes`, fallback)
      : value;
  }

  #problem<T>(name: string, what: string, fallback: T): T {
    this.#problems.push(`${name} ${what}`);
    return fallback;
  }
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) {
      deepFreeze(part);
    }
    Object.freeze(value);
  }
  return value;
}
