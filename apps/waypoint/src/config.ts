/**
 * The waypoint's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names of the reference keep their meaning (wire.md §11).
 */
import { WaypointError } from './errors.ts';

export interface WaypointConfig {
  /** Of the Gateway that this waypoint runs for. */
  readonly gateway: { readonly namespace: string; readonly name: string };
  readonly className: string;
  readonly nodeName: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly serviceAccount: string;
  readonly instanceIp: string;
  /** `https://host:port` */
  readonly xdsAddress: string;
  readonly caAddress: string;
  readonly xdsRootCa: string;
  readonly caRootCa: string;
  readonly tokenPath: string;
  /** Empty: no unix socket. */
  readonly adminSocket: string;
  readonly workers: number;
  readonly secretTtlSeconds: number;
  readonly drainMs: number;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly network: string;
  readonly hboneAddress: Endpoint;
  readonly adminAddress: Endpoint;
  readonly metricsAddress: Endpoint;
  readonly readinessAddress: Endpoint;
  readonly logLevel: string;
}

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

const WORKERS_MAX = 128;
const SECONDS_PER_UNIT: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 };
/** Of a unix socket path, with its zero byte (unix(7)). */
const SOCKET_PATH_BYTES_MAX = 107;

/** Throws WAYPOINT_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment): WaypointConfig {
  const reader = new Reader(env);
  const xdsAddress = reader.address('XDS_ADDRESS', 'https://istiod.istio-system.svc:15012');
  const rootCa = './var/run/secrets/istio/root-cert.pem';
  const config: WaypointConfig = {
    gateway: reader.gateway('GATEWAY'),
    className: reader.text('GATEWAY_CLASS', 'istio-waypoint'),
    nodeName: reader.text('NODE_NAME', ''),
    podName: reader.required('POD_NAME'),
    podNamespace: reader.required('POD_NAMESPACE'),
    serviceAccount: reader.required('SERVICE_ACCOUNT'),
    instanceIp: reader.text('INSTANCE_IP', '1.1.1.1'),
    xdsAddress,
    caAddress: reader.address('CA_ADDRESS', xdsAddress),
    xdsRootCa: reader.text('XDS_ROOT_CA', rootCa),
    caRootCa: reader.text('CA_ROOT_CA', rootCa),
    tokenPath: reader.text('AMBIT_TOKEN_PATH', './var/run/secrets/tokens/istio-token'),
    adminSocket: reader.socketPath('AMBIT_ADMIN_SOCKET', ''),
    workers: reader.integer('AMBIT_WORKERS', { fallback: 1, min: 1, max: WORKERS_MAX }),
    secretTtlSeconds: reader.duration('SECRET_TTL', 86_400),
    drainMs: drainMsOf(reader),
    clusterId: reader.text('ISTIO_META_CLUSTER_ID', reader.text('CLUSTER_ID', 'Kubernetes')),
    clusterDomain: reader.text('CLUSTER_DOMAIN', 'cluster.local'),
    trustDomain: reader.text('TRUST_DOMAIN', 'cluster.local'),
    rootNamespace: reader.text('ROOT_NAMESPACE', 'istio-system'),
    network: reader.text('NETWORK', ''),
    hboneAddress: reader.endpoint('AMBIT_HBONE_ADDRESS', { host: '::', port: 15_008 }),
    adminAddress: reader.endpoint('AMBIT_ADMIN_ADDRESS', { host: '127.0.0.1', port: 15_000 }),
    metricsAddress: reader.endpoint('AMBIT_METRICS_ADDRESS', { host: '::', port: 15_020 }),
    readinessAddress: reader.endpoint('AMBIT_READINESS_ADDRESS', { host: '::', port: 15_021 }),
    logLevel: reader.text('AMBIT_LOG_LEVEL', 'info'),
  };
  reader.throwProblems();
  return deepFreeze(config);
}

/** The identity that this waypoint serves under. */
export function identityOf(config: WaypointConfig): string {
  return `spiffe://${config.trustDomain}/ns/${config.podNamespace}/sa/${config.serviceAccount}`;
}

/** How long open connections get when the waypoint stops (wire.md §7.6). */
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

class Reader {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  throwProblems(): void {
    if (this.#problems.length > 0) {
      throw new WaypointError(
        'WAYPOINT_CONFIG_INVALID',
        `bad settings: ${this.#problems.join('; ')}`,
      );
    }
  }

  text(name: string, fallback: string): string {
    return this.#env[name] ?? fallback;
  }

  required(name: string): string {
    const value = this.#env[name] ?? '';
    return value === '' ? this.#problem(name, 'is required', '') : value;
  }

  /** `namespace/name` */
  gateway(name: string): WaypointConfig['gateway'] {
    const value = this.#env[name] ?? '';
    const [namespace = '', gateway = '', ...rest] = value.split('/');
    return namespace === '' || gateway === '' || rest.length > 0
      ? this.#problem(name, `"${value.slice(0, 80)}" is not NAMESPACE/NAME`, {
          namespace,
          name: gateway,
        })
      : { namespace, name: gateway };
  }

  /** A missing scheme is https. */
  address(name: string, fallback: string): string {
    const value = this.#env[name] ?? fallback;
    const text = value.includes('://') ? value : `https://${value}`;
    const url = URL.parse(text);
    return url === null || url.protocol !== 'https:' || url.port === ''
      ? this.#problem(name, `"${value.slice(0, 80)}" is not https://HOST:PORT`, fallback)
      : text;
  }

  integer(
    name: string,
    range: { readonly fallback: number; readonly min: number; readonly max: number },
  ): number {
    const { fallback, min, max } = range;
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
