/** The settings that agents and waypoints share, under the names of the reference. */
import { drainMsOf, type HostPort, type Settings } from '@ambit/core';
import { type ContainerLimits, workerHeapBytes, workersFor } from '@ambit/telemetry';

const ROOT_CERTIFICATE = './var/run/secrets/istio/root-cert.pem';
/** A thread each is what a machine has cores for. */
const WORKERS_MAX = 128;

export interface ProxySettings {
  readonly podName: string;
  readonly podNamespace: string;
  readonly serviceAccount: string;
  /** `https://host:port`; may be empty. */
  readonly xdsAddress: string;
  readonly caAddress: string;
  readonly xdsRootCa: string;
  readonly caRootCa: string;
  /** File of revocation lists; empty: none is followed. */
  readonly crlPath: string;
  readonly tokenPath: string;
  readonly workers: number;
  /** What the container may use, and what the heap of each worker may of it; undefined: as V8 sees fit. */
  readonly limits: ContainerLimits;
  readonly workerHeapBytes: number | undefined;
  readonly secretTtlSeconds: number;
  readonly drainMs: number;
  readonly clusterId: string;
  readonly clusterDomain: string;
  readonly trustDomain: string;
  readonly network: string;
  readonly adminAddress: HostPort;
  readonly metricsAddress: HostPort;
  readonly readinessAddress: HostPort;
  readonly logLevel: string;
}

/** Problems are in `settings`. Without a number of workers there are as many as the container has processors. */
export function readProxySettings(settings: Settings, limits: ContainerLimits): ProxySettings {
  const said = settings.integer('AMBIT_WORKERS', { fallback: 0, min: 0, max: WORKERS_MAX });
  const workers = said === 0 ? workersFor(limits, WORKERS_MAX) : said;
  const xdsAddress = settings.address('XDS_ADDRESS', 'https://istiod.istio-system.svc:15012');
  return {
    podName: settings.required('POD_NAME'),
    podNamespace: settings.required('POD_NAMESPACE'),
    serviceAccount: settings.required('SERVICE_ACCOUNT'),
    xdsAddress,
    caAddress: settings.address('CA_ADDRESS', xdsAddress),
    xdsRootCa: settings.text('XDS_ROOT_CA', ROOT_CERTIFICATE),
    caRootCa: settings.text('CA_ROOT_CA', ROOT_CERTIFICATE),
    crlPath: settings.text('CRL_PATH', ''),
    tokenPath: settings.text('AMBIT_TOKEN_PATH', './var/run/secrets/tokens/istio-token'),
    workers,
    limits,
    workerHeapBytes: workerHeapBytes(limits, workers),
    secretTtlSeconds: settings.duration('SECRET_TTL', 86_400),
    drainMs: drainMsOf(settings),
    clusterId: settings.text('ISTIO_META_CLUSTER_ID', settings.text('CLUSTER_ID', 'Kubernetes')),
    clusterDomain: settings.text('CLUSTER_DOMAIN', 'cluster.local'),
    trustDomain: settings.text('TRUST_DOMAIN', 'cluster.local'),
    network: settings.text('NETWORK', ''),
    adminAddress: settings.endpoint('AMBIT_ADMIN_ADDRESS', { host: '127.0.0.1', port: 15_000 }),
    metricsAddress: settings.endpoint('AMBIT_METRICS_ADDRESS', { host: '::', port: 15_020 }),
    readinessAddress: settings.endpoint('AMBIT_READINESS_ADDRESS', { host: '::', port: 15_021 }),
    logLevel: settings.text('AMBIT_LOG_LEVEL', 'info'),
  };
}
