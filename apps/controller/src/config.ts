/**
 * The controller's settings, from the environment; the only reader of it.
 *
 * Every problem is reported at once; the result is frozen. Names that the reference has keep their meaning.
 */
import { join } from 'node:path';

import type { LogLevels } from '@ambit/telemetry';

import { type Environment, type ListenEndpoint, SettingsReader } from './config-reader.ts';
import { ControllerError } from './errors.ts';
import { type KubernetesSettings, readKubernetesSettings } from './kubernetes/settings.ts';

export interface ControllerConfig {
  /** Set: objects are read from the cluster's API, and what is made is made there. */
  readonly kubernetes: KubernetesSettings | undefined;
  /** Without Kubernetes. A later folder's object replaces an earlier one's of the same key. */
  readonly configDirs: readonly string[];
  readonly stateDir: string;
  /** As gRPC takes it: `[::]:15012`. */
  readonly xdsAddress: string;
  readonly metricsAddress: ListenEndpoint | undefined;
  /** Of a stream of a proxy, at which it is told to come back, to any replica; 0: never. */
  readonly streamAgeSeconds: number;
  /** Readiness alone, for the kubelet. */
  readonly statusAddress: ListenEndpoint | undefined;
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

/** 90 days, the longest that the CA signs. */
const CERT_TTL_SECONDS_MAX = 7_776_000;
/** As istiod's `--keepaliveMaxServerConnectionAge`. */
const STREAM_AGE_SECONDS = 1_800;
const STREAM_AGE_SECONDS_MAX = 604_800;
const DOMAIN = /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/;

/** Throws CONTROLLER_CONFIG_INVALID that names every problem. */
export function parseConfig(env: Environment): ControllerConfig {
  const problems: string[] = [];
  const read = new SettingsReader(env, problems);
  const source = read.oneOf('AMBIT_CONFIG_SOURCE', 'directory', ['directory', 'kubernetes']);
  const inCluster = source === 'kubernetes';
  const stateDir = read.text('AMBIT_STATE_DIR', '/var/lib/ambit');
  const config: ControllerConfig = {
    kubernetes: inCluster ? readKubernetesSettings(read) : undefined,
    configDirs: read.list('AMBIT_CONFIG_DIRS', ':', ''),
    stateDir,
    xdsAddress: read.xdsAddress('AMBIT_XDS_ADDRESS', '[::]:15012'),
    streamAgeSeconds: read.integer(
      'AMBIT_XDS_STREAM_AGE_SECONDS',
      inCluster ? STREAM_AGE_SECONDS : 0,
      0,
      STREAM_AGE_SECONDS_MAX,
    ),
    metricsAddress: read.endpoint('AMBIT_METRICS_ADDRESS', ':15014'),
    statusAddress: read.endpoint('AMBIT_STATUS_ADDRESS', inCluster ? ':15021' : 'off'),
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
  if (!inCluster && config.configDirs.length === 0) {
    problems.push('AMBIT_CONFIG_DIRS is not set: folders of YAML, separated by colons');
  }
  if (problems.length > 0) {
    throw new ControllerError('CONTROLLER_CONFIG_INVALID', problems.join('; '));
  }
  return Object.freeze(config);
}
