/**
 * The waypoint's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names of the reference keep their meaning (wire.md §11).
 */
import { deepFreeze, drainMsOf, type Environment, type HostPort, Settings } from '@ambit/core';
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

export type Endpoint = HostPort;

const WORKERS_MAX = 128;

/** Throws WAYPOINT_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment): WaypointConfig {
  const settings = new Settings(env);
  const xdsAddress = settings.address('XDS_ADDRESS', 'https://istiod.istio-system.svc:15012');
  const rootCa = './var/run/secrets/istio/root-cert.pem';
  const config: WaypointConfig = {
    gateway: gatewayOf(settings, 'GATEWAY'),
    className: settings.text('GATEWAY_CLASS', 'istio-waypoint'),
    nodeName: settings.text('NODE_NAME', ''),
    podName: settings.required('POD_NAME'),
    podNamespace: settings.required('POD_NAMESPACE'),
    serviceAccount: settings.required('SERVICE_ACCOUNT'),
    instanceIp: settings.text('INSTANCE_IP', '1.1.1.1'),
    xdsAddress,
    caAddress: settings.address('CA_ADDRESS', xdsAddress),
    xdsRootCa: settings.text('XDS_ROOT_CA', rootCa),
    caRootCa: settings.text('CA_ROOT_CA', rootCa),
    tokenPath: settings.text('AMBIT_TOKEN_PATH', './var/run/secrets/tokens/istio-token'),
    adminSocket: settings.socketPath('AMBIT_ADMIN_SOCKET', ''),
    workers: settings.integer('AMBIT_WORKERS', { fallback: 1, min: 1, max: WORKERS_MAX }),
    secretTtlSeconds: settings.duration('SECRET_TTL', 86_400),
    drainMs: drainMsOf(settings),
    clusterId: settings.text('ISTIO_META_CLUSTER_ID', settings.text('CLUSTER_ID', 'Kubernetes')),
    clusterDomain: settings.text('CLUSTER_DOMAIN', 'cluster.local'),
    trustDomain: settings.text('TRUST_DOMAIN', 'cluster.local'),
    rootNamespace: settings.text('ROOT_NAMESPACE', 'istio-system'),
    network: settings.text('NETWORK', ''),
    hboneAddress: settings.endpoint('AMBIT_HBONE_ADDRESS', { host: '::', port: 15_008 }),
    adminAddress: settings.endpoint('AMBIT_ADMIN_ADDRESS', { host: '127.0.0.1', port: 15_000 }),
    metricsAddress: settings.endpoint('AMBIT_METRICS_ADDRESS', { host: '::', port: 15_020 }),
    readinessAddress: settings.endpoint('AMBIT_READINESS_ADDRESS', { host: '::', port: 15_021 }),
    logLevel: settings.text('AMBIT_LOG_LEVEL', 'info'),
  };
  if (xdsAddress === '') {
    settings.problem('XDS_ADDRESS', 'is empty: a waypoint has no configuration of its own', '');
  }
  if (settings.problems.length > 0) {
    const text = `bad settings: ${settings.problems.join('; ')}`;
    throw new WaypointError('WAYPOINT_CONFIG_INVALID', text);
  }
  return deepFreeze(config);
}

/** The identity that this waypoint serves under. */
export function identityOf(config: WaypointConfig): string {
  return `spiffe://${config.trustDomain}/ns/${config.podNamespace}/sa/${config.serviceAccount}`;
}

/** `namespace/name` */
function gatewayOf(settings: Settings, name: string): WaypointConfig['gateway'] {
  const value = settings.text(name, '');
  const [namespace = '', gateway = '', ...rest] = value.split('/');
  const parsed = { namespace, name: gateway };
  return namespace === '' || gateway === '' || rest.length > 0
    ? settings.problem(name, `"${value.slice(0, 80)}" is not NAMESPACE/NAME`, parsed)
    : parsed;
}
