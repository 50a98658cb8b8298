/**
 * Every value of the installation: path, type, default and what it is for.
 *
 * values.yaml, its schema, the table in docs/install.md and the checks of meshctl are made from this and from nothing else.
 */
import { VERSION } from '../version.ts';
import type { JsonMap, JsonValue } from './values.ts';

export type ValueType = 'string' | 'integer' | 'boolean' | 'list' | 'map';

export interface ValueEntry {
  readonly path: string;
  readonly type: ValueType;
  readonly default: JsonValue;
  readonly doc: string;
  readonly allowed?: readonly string[];
  /** Of strings; an empty one is allowed where it is the default. */
  readonly pattern?: string;
  readonly min?: number;
  readonly max?: number;
  /** Of a list's items. */
  readonly items?: 'string' | 'map';
}

const NAME = '^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)?$';
const DOMAIN = '^([a-z0-9]([a-z0-9.-]*[a-z0-9])?)?$';
const DIRECTORY = '^(/[A-Za-z0-9._-]+)+$';
const LOG_LEVELS = '^[A-Za-z0-9_:,-]+$';

const string = (path: string, fallback: string, doc: string, pattern?: string): ValueEntry => ({
  path,
  type: 'string',
  default: fallback,
  doc,
  ...(pattern === undefined ? {} : { pattern }),
});
const flag = (path: string, fallback: boolean, doc: string): ValueEntry => ({
  path,
  type: 'boolean',
  default: fallback,
  doc,
});
const integer = (
  path: string,
  fallback: number,
  doc: string,
  [min, max]: readonly [number, number],
): ValueEntry => ({ path, type: 'integer', default: fallback, doc, min, max });
const map = (path: string, fallback: JsonMap, doc: string): ValueEntry => ({
  path,
  type: 'map',
  default: fallback,
  doc,
});
const list = (path: string, fallback: readonly JsonMap[], doc: string): ValueEntry => ({
  path,
  type: 'list',
  default: fallback,
  doc,
  items: 'map',
});

export const VALUES: readonly ValueEntry[] = [
  string('hub', 'ambit', 'Registry and folder of the images.', '^[A-Za-z0-9./:_-]+$'),
  string('tag', VERSION, 'Tag of the images.', '^[A-Za-z0-9._-]{1,128}$'),
  {
    ...string('imagePullPolicy', 'IfNotPresent', 'When nodes pull images.'),
    allowed: ['Always', 'IfNotPresent', 'Never'],
  },
  list('imagePullSecrets', [], 'Secrets for the registry: `- name: NAME`.'),
  string(
    'revision',
    'default',
    'Value of `istio.io/rev` that this control plane answers to.',
    NAME,
  ),
  string(
    'rootNamespace',
    '',
    'Objects in it hold for the whole mesh. Empty: where Ambit is installed.',
    NAME,
  ),
  string(
    'trustDomain',
    'cluster.local',
    'First part of every identity. Changing it changes all of them.',
    DOMAIN,
  ),
  string('clusterDomain', 'cluster.local', 'Domain of service names.', DOMAIN),
  string('clusterId', 'Kubernetes', 'Name of this cluster in the mesh.', '^[A-Za-z0-9._-]+$'),
  string(
    'network',
    '',
    'Network that the pods of this cluster are in. Empty: there is one.',
    '^[A-Za-z0-9._-]*$',
  ),
  string('logLevel', 'info', 'Of all programs: `info`, or `xds:debug,info`.', LOG_LEVELS),
  flag(
    'strictMtls',
    false,
    'Refuse plaintext in the whole mesh (a PeerAuthentication in the root namespace).',
  ),

  string(
    'ca.secret',
    'ambit-ca-secret',
    "Secret that the controller keeps its own CA's key in.",
    NAME,
  ),
  string(
    'ca.cacertsSecret',
    '',
    'Secret with a CA of yours (`cacerts` as with Istio). Empty: the mesh makes one.',
    NAME,
  ),
  string(
    'ca.certManagerIssuer',
    '',
    'Issuer of cert-manager that signs for workloads: `ClusterIssuer/mesh`. Empty: the CA of the mesh does.',
    '^([A-Z][A-Za-z0-9]*(/[a-z0-9.-]+){1,2})?$',
  ),
  string(
    'ca.rootConfigMap',
    'ambit-ca-root-cert',
    'ConfigMap with the root certificate that the controller writes to every namespace.',
    NAME,
  ),
  integer('ca.certTtlSeconds', 86_400, 'Longest life of a certificate.', [60, 7_776_000]),
  string(
    'ca.trustedNodeAccounts',
    '',
    'More accounts that may ask for identities of the pods on their node, such as `istio-system/ztunnel`; commas between.',
    '^([a-z0-9.-]+/[a-z0-9.-]+(,[a-z0-9.-]+/[a-z0-9.-]+)*)?$',
  ),

  integer(
    'controller.replicas',
    2,
    'All serve, one writes. Not used with `controller.hpa.enabled`.',
    [1, 20],
  ),
  map(
    'controller.resources',
    { requests: { cpu: '100m', memory: '256Mi' }, limits: { memory: '2Gi' } },
    'Of each replica.',
  ),
  flag('controller.hpa.enabled', false, 'Scale the controller by CPU.'),
  integer('controller.hpa.minReplicas', 2, 'Fewest replicas.', [1, 20]),
  integer('controller.hpa.maxReplicas', 5, 'Most replicas.', [1, 100]),
  integer(
    'controller.hpa.cpuPercent',
    80,
    'CPU of the request at which one more is started.',
    [1, 1000],
  ),
  flag('controller.pdb.enabled', true, 'Keep one replica while nodes are drained.'),
  string('controller.priorityClassName', 'system-cluster-critical', 'Empty: none.'),
  map('controller.nodeSelector', { 'kubernetes.io/os': 'linux' }, 'Where the controller runs.'),
  list('controller.tolerations', [], 'Taints that the controller accepts.'),
  map('controller.podAnnotations', {}, 'More annotations of its pods.'),
  list('controller.env', [], 'More environment variables.'),

  map(
    'agent.resources',
    { requests: { cpu: '200m', memory: '256Mi' }, limits: { memory: '1Gi' } },
    'Of the agent on each node.',
  ),
  integer(
    'agent.workers',
    0,
    'Threads that carry bytes. 0: one for each CPU of `limits.cpu`, without it one.',
    [0, 128],
  ),
  integer(
    'agent.terminationGracePeriodSeconds',
    30,
    'How long an old agent keeps its connections.',
    [5, 86_400],
  ),
  string('agent.certTtl', '24h', 'Life of the certificates it asks for.', '^[0-9]+(ms|s|m|h)?$'),
  flag('agent.dnsCapture', true, 'Answer names of the mesh in the pod, ask others upstream.'),
  flag('agent.ipv6', true, 'Capture IPv6 too. Turn off where nodes have none.'),
  string('agent.priorityClassName', 'system-node-critical', 'Empty: none.'),
  map(
    'agent.nodeSelector',
    { 'kubernetes.io/os': 'linux' },
    'Which nodes have an agent. A pod of an enrolled namespace does not start on others.',
  ),
  list(
    'agent.tolerations',
    [{ operator: 'Exists' }],
    'An agent belongs on every node, whatever its taints.',
  ),
  map('agent.podAnnotations', {}, 'More annotations of its pods.'),
  list('agent.env', [], 'More environment variables.'),
  string(
    'agent.runDir',
    '/run/ambit',
    'Folder on the node that agents hand over to each other by.',
    DIRECTORY,
  ),

  string(
    'cni.binDir',
    '/opt/cni/bin',
    'Where the container runtime looks for CNI plugins. GKE: `/home/kubernetes/bin`.',
    DIRECTORY,
  ),
  string('cni.confDir', '/etc/cni/net.d', 'Where it looks for their configuration.', DIRECTORY),
  string(
    'cni.cacheDir',
    '/var/lib/cni/results',
    'Where it keeps records of pods that run.',
    DIRECTORY,
  ),
  string(
    'cni.netnsDir',
    '/var/run/netns',
    "Where the runtime keeps pods' network namespaces.",
    DIRECTORY,
  ),

  flag(
    'taint.enabled',
    true,
    'Keep pods off nodes that have no agent yet (taint `ambit.io/agent-not-ready`).',
  ),

  map(
    'waypoint.resources',
    { requests: { cpu: '100m', memory: '128Mi' }, limits: { memory: '1Gi' } },
    'Of waypoints that say nothing else.',
  ),

  flag(
    'monitoring.annotations',
    true,
    'Annotate pods for Prometheus (`prometheus.io/scrape`), waypoints too.',
  ),
  flag('monitoring.rules.configMap', false, 'Alert rules as ConfigMap `ambit-alerts`.'),
  flag(
    'monitoring.rules.prometheusRule',
    false,
    'Alert rules as PrometheusRule (needs the Prometheus operator).',
  ),
  map('monitoring.rules.labels', {}, 'Labels by which your Prometheus finds rules.'),
  flag('monitoring.dashboard.enabled', false, 'Grafana dashboard as ConfigMap `ambit-dashboard`.'),
  map(
    'monitoring.dashboard.labels',
    { grafana_dashboard: '1' },
    'Labels by which your Grafana finds dashboards.',
  ),

  flag(
    'resourceQuota.enabled',
    false,
    'Allow system-critical pods in this namespace (GKE refuses them outside of kube-system).',
  ),
  integer('resourceQuota.pods', 1_000, 'How many.', [1, 100_000]),
  flag('networkPolicy.enabled', false, 'Let into the programs of Ambit only what they need.'),
];

const BY_PATH = new Map(VALUES.map((entry) => [entry.path, entry]));

/** Throws for a path that no value has: a manifest would otherwise always find it empty. */
export function typeOfValue(path: string): ValueType {
  const entry = BY_PATH.get(path);
  if (entry === undefined) throw new TypeError(`there is no value "${path}"`);
  return entry.type;
}
