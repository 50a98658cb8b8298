/**
 * The agent's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names of the reference keep their meaning (wire.md §11).
 */
import { isIP } from 'node:net';
import { deepFreeze, drainMsOf, type Environment, type HostPort, Settings } from '@ambit/core';
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
  /** A path that opens the node's own network namespace, where kubelet's probes come from. */
  readonly hostNetns: string;
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

export type Endpoint = HostPort;

/** Longer than Kubernetes allows a name to be told apart; a thread each is what a node has cores for. */
const WORKERS_MAX = 128;

/** Throws AGENT_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment): AgentConfig {
  const settings = new Settings(env);
  const runDir = settings.text('AMBIT_RUN_DIR', '/var/run/ambit');
  const xdsAddress = settings.address('XDS_ADDRESS', 'https://istiod.istio-system.svc:15012');
  const config: AgentConfig = {
    nodeName: settings.required('NODE_NAME'),
    podName: settings.required('POD_NAME'),
    podNamespace: settings.required('POD_NAMESPACE'),
    serviceAccount: settings.required('SERVICE_ACCOUNT'),
    instanceIp: ipOf(settings, 'INSTANCE_IP', '1.1.1.1'),
    xdsAddress,
    caAddress: settings.address('CA_ADDRESS', xdsAddress),
    xdsRootCa: settings.text('XDS_ROOT_CA', './var/run/secrets/istio/root-cert.pem'),
    caRootCa: settings.text('CA_ROOT_CA', './var/run/secrets/istio/root-cert.pem'),
    tokenPath: settings.text('AMBIT_TOKEN_PATH', './var/run/secrets/tokens/istio-token'),
    runDir,
    adminSocket: settings.socketPath('AMBIT_ADMIN_SOCKET', `${runDir}/admin.sock`),
    hostNetns: settings.text('AMBIT_HOST_NETNS', '/proc/self/ns/net'),
    workers: settings.integer('AMBIT_WORKERS', { fallback: 1, min: 1, max: WORKERS_MAX }),
    secretTtlSeconds: settings.duration('SECRET_TTL', 86_400),
    drainMs: drainMsOf(settings),
    clusterId: settings.text('ISTIO_META_CLUSTER_ID', settings.text('CLUSTER_ID', 'Kubernetes')),
    clusterDomain: settings.text('CLUSTER_DOMAIN', 'cluster.local'),
    trustDomain: settings.text('TRUST_DOMAIN', 'cluster.local'),
    network: settings.text('NETWORK', ''),
    adminAddress: settings.endpoint('AMBIT_ADMIN_ADDRESS', { host: '127.0.0.1', port: 15_000 }),
    metricsAddress: settings.endpoint('AMBIT_METRICS_ADDRESS', { host: '::', port: 15_020 }),
    readinessAddress: settings.endpoint('AMBIT_READINESS_ADDRESS', { host: '::', port: 15_021 }),
    dnsCapture: settings.flag('ISTIO_META_DNS_CAPTURE', true),
    ipv6Enabled: settings.flag('IPV6_ENABLED', true),
    resolvConf: settings.text('AMBIT_RESOLV_CONF', '/etc/resolv.conf'),
    probeSourceV4: ipOf(settings, 'HOST_PROBE_SNAT_IP', '169.254.7.127', 4),
    probeSourceV6: ipOf(
      settings,
      'HOST_PROBE_SNAT_IPV6',
      'fd16:9254:7127:1337:ffff:ffff:ffff:ffff',
      6,
    ),
    logLevel: settings.text('AMBIT_LOG_LEVEL', 'info'),
    metadata: withPrefix(env, 'ISTIO_META_'),
    xdsHeaders: withPrefix(env, 'XDS_HEADER_'),
    caHeaders: withPrefix(env, 'CA_HEADER_'),
  };
  if (settings.problems.length > 0) {
    const text = `bad settings: ${settings.problems.join('; ')}`;
    throw new AgentError('AGENT_CONFIG_INVALID', text, { retryable: false });
  }
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

function withPrefix(env: Environment, prefix: string): Readonly<Record<string, string>> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      name.startsWith(prefix) && value !== undefined ? [[name.slice(prefix.length), value]] : [],
    ),
  );
}

/** A canonical or plain IP address, of one family if one is given. */
function ipOf(settings: Settings, name: string, fallback: string, family?: 4 | 6): string {
  return settings.parsed(name, {
    fallback,
    wanted: family === undefined ? 'an IP address' : `an IPv${family} address`,
    parse: (value) => {
      const found = isIP(value);
      return found === 0 || (family !== undefined && found !== family) ? undefined : value;
    },
  });
}
