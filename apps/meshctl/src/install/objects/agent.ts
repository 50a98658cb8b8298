/**
 * The agent of each node.
 *
 * It has no credential of the Kubernetes API: what it proves itself with is a token that only the mesh's CA takes. Each
 * capability says what needs it; a test runs the system calls with these and no others.
 */
import {
  comment,
  ifGiven,
  join,
  type Node,
  type NodeMap,
  releaseNamespace,
  spread,
  text,
  value,
} from '../symbolic.ts';
import {
  AGENT,
  AGENT_CLEANUP,
  CONTROLLER,
  fieldEnv,
  imageOf,
  imagePullSecrets,
  labelsOf,
  metadataOf,
  plainEnv,
  podAnnotations,
  podLabels,
  probe,
  selectorOf,
} from './common.ts';

const ROOT_DIR = '/var/run/secrets/istio';
const TOKEN_DIR = '/var/run/secrets/tokens';
const CNI_BIN_DIR = '/host/opt/cni/bin';
const CNI_CONF_DIR = '/host/etc/cni/net.d';
const CNI_CACHE_DIR = '/host/var/lib/cni/results';
const HOST_PROC = '/host/proc';
/** The CA refuses longer ones; the kubelet renews at four fifths. */
const TOKEN_SECONDS = 43_200;

export const AGENT_CAPABILITIES: readonly { readonly name: string; readonly why: string }[] = [
  {
    name: 'NET_ADMIN',
    why: 'nft rules, routes and net sysctls in pods; sockets that dial from the address of the client (IP_TRANSPARENT, SO_MARK).',
  },
  { name: 'SYS_ADMIN', why: "setns(2) into a pod's network namespace; nothing smaller allows it." },
  {
    name: 'SYS_PTRACE',
    why: 'Open /proc/PID/ns/net of processes of other users, and of process 1 for the probes of the kubelet.',
  },
];

export function agentServiceAccount(): Node {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: metadataOf(AGENT, AGENT),
    automountServiceAccountToken: false,
  };
}

export function agentDaemonSet(): Node {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: metadataOf(AGENT, AGENT),
    spec: {
      selector: { matchLabels: selectorOf(AGENT) },
      updateStrategy: {
        type: 'RollingUpdate',
        rollingUpdate: comment(
          'The new agent listens before the old one stops: no connection finds nobody.',
          { maxSurge: 1, maxUnavailable: 0 },
        ),
      },
      template: {
        metadata: {
          labels: podLabels(AGENT),
          annotations: podAnnotations('agent.podAnnotations', 'node-agent', '15020'),
        },
        spec: {
          ...podOfNode(),
          terminationGracePeriodSeconds: value('agent.terminationGracePeriodSeconds'),
          containers: [agentContainer()],
          volumes: agentVolumes(),
        },
      },
    },
  };
}

/**
 * Takes everything of the agent off its node, then waits to be deleted. The uninstaller makes it when no agent is left, reads
 * the end of its init container on every node, and deletes it.
 */
export function cleanupDaemonSet(): Node {
  const container = (name: string): NodeMap => ({
    name,
    image: imageOf('node-agent'),
    imagePullPolicy: value('imagePullPolicy'),
    args: ['cleanup'],
    env: agentEnv(),
    resources: value('agent.resources'),
    securityContext: agentSecurity(),
    volumeMounts: agentMounts(),
  });
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: metadataOf(AGENT_CLEANUP, AGENT_CLEANUP),
    spec: {
      selector: { matchLabels: selectorOf(AGENT_CLEANUP) },
      template: {
        metadata: { labels: podLabels(AGENT_CLEANUP) },
        spec: {
          ...podOfNode(),
          terminationGracePeriodSeconds: 0,
          initContainers: [container('cleanup')],
          containers: [container('again')],
          volumes: agentVolumes(),
        },
      },
    },
  };
}

function podOfNode(): NodeMap {
  return {
    serviceAccountName: AGENT,
    automountServiceAccountToken: false,
    hostPID: comment("Pods' namespaces are named by processes of the node.", true),
    imagePullSecrets,
    priorityClassName: ifGiven('agent.priorityClassName'),
    nodeSelector: ifGiven('agent.nodeSelector'),
    tolerations: ifGiven('agent.tolerations'),
  };
}

function agentContainer(): Node {
  return {
    name: 'node-agent',
    image: imageOf('node-agent'),
    imagePullPolicy: value('imagePullPolicy'),
    env: agentEnv(),
    ports: [
      { name: 'http-metrics', containerPort: 15_020, protocol: 'TCP' },
      { name: 'status', containerPort: 15_021, protocol: 'TCP' },
    ],
    startupProbe: probe(1, 180),
    readinessProbe: probe(3, 3),
    resources: value('agent.resources'),
    securityContext: agentSecurity(),
    volumeMounts: agentMounts(),
  };
}

function agentSecurity(): NodeMap {
  return {
    runAsUser: comment('The folders of the node are of root.', 0),
    runAsGroup: 0,
    runAsNonRoot: false,
    privileged: false,
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    seccompProfile: { type: 'RuntimeDefault' },
    appArmorProfile: comment(
      'The default profile forbids to look at processes of the node and to enter their namespaces.',
      { type: 'Unconfined' },
    ),
    capabilities: {
      drop: ['ALL'],
      add: AGENT_CAPABILITIES.map(({ name, why }) => comment(why, name)),
    },
  };
}

function agentEnv(): Node {
  const controller = join('https://', CONTROLLER, '.', releaseNamespace, '.svc:15012');
  return [
    fieldEnv('NODE_NAME', 'spec.nodeName'),
    fieldEnv('POD_NAME', 'metadata.name'),
    fieldEnv('POD_NAMESPACE', 'metadata.namespace'),
    fieldEnv('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    fieldEnv('INSTANCE_IP', 'status.podIP'),
    plainEnv('XDS_ADDRESS', controller),
    plainEnv('CA_ADDRESS', controller),
    plainEnv('XDS_ROOT_CA', `${ROOT_DIR}/root-cert.pem`),
    plainEnv('CA_ROOT_CA', `${ROOT_DIR}/root-cert.pem`),
    plainEnv('CRL_PATH', `${ROOT_DIR}/ca-crl.pem`),
    plainEnv('AMBIT_TOKEN_PATH', `${TOKEN_DIR}/istio-token`),
    plainEnv('AMBIT_RUN_DIR', value('agent.runDir')),
    plainEnv('AMBIT_HOST_NETNS', '/proc/1/ns/net'),
    plainEnv('AMBIT_HOST_PROC', HOST_PROC),
    plainEnv('AMBIT_CNI_BIN_DIR', CNI_BIN_DIR),
    plainEnv('AMBIT_CNI_CONF_DIR', CNI_CONF_DIR),
    plainEnv('AMBIT_CNI_HOST_BIN_DIR', value('cni.binDir')),
    plainEnv('AMBIT_CNI_CACHE_DIR', CNI_CACHE_DIR),
    plainEnv('AMBIT_WORKERS', text('agent.workers')),
    plainEnv('SECRET_TTL', value('agent.certTtl')),
    plainEnv('TERMINATION_GRACE_PERIOD_SECONDS', text('agent.terminationGracePeriodSeconds')),
    plainEnv('ISTIO_META_CLUSTER_ID', value('clusterId')),
    plainEnv('ISTIO_META_DNS_CAPTURE', text('agent.dnsCapture')),
    plainEnv('IPV6_ENABLED', text('agent.ipv6')),
    plainEnv('NETWORK', value('network')),
    plainEnv('CLUSTER_DOMAIN', value('clusterDomain')),
    plainEnv('TRUST_DOMAIN', value('trustDomain')),
    plainEnv('AMBIT_LOG_LEVEL', value('logLevel')),
    spread('agent.env'),
  ];
}

function agentMounts(): Node {
  return [
    { name: 'root-cert', mountPath: ROOT_DIR, readOnly: true },
    { name: 'token', mountPath: TOKEN_DIR, readOnly: true },
    { name: 'run', mountPath: value('agent.runDir') },
    comment('Namespaces that the runtime makes later must be seen too.', {
      name: 'netns',
      mountPath: value('cni.netnsDir'),
      mountPropagation: 'HostToContainer',
      readOnly: true,
    }),
    comment(
      "A container's own /proc/sys is read-only; net sysctls follow the thread's namespace.",
      {
        name: 'proc',
        mountPath: HOST_PROC,
      },
    ),
    { name: 'cni-bin', mountPath: CNI_BIN_DIR },
    { name: 'cni-conf', mountPath: CNI_CONF_DIR },
    comment(
      'Where the runtime keeps which pod has which namespace: for pods that ran before the plugin was there.',
      {
        name: 'cni-cache',
        mountPath: CNI_CACHE_DIR,
        readOnly: true,
      },
    ),
    { name: 'tmp', mountPath: '/tmp' },
  ];
}

function agentVolumes(): Node {
  const hostPath = (name: string, path: Node, type = 'DirectoryOrCreate'): Node => ({
    name,
    hostPath: { path, type },
  });
  return [
    comment('Written by the controller: the agent starts when there is one.', {
      name: 'root-cert',
      configMap: { name: value('ca.rootConfigMap') },
    }),
    {
      name: 'token',
      projected: {
        sources: [
          {
            serviceAccountToken: {
              audience: 'istio-ca',
              expirationSeconds: TOKEN_SECONDS,
              path: 'istio-token',
            },
          },
        ],
      },
    },
    hostPath('run', value('agent.runDir')),
    hostPath('netns', value('cni.netnsDir')),
    hostPath('proc', '/proc', 'Directory'),
    hostPath('cni-bin', value('cni.binDir')),
    hostPath('cni-conf', value('cni.confDir')),
    hostPath('cni-cache', value('cni.cacheDir')),
    { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } },
  ];
}

/** GKE lets pods of a system-critical class run outside of kube-system only where a quota names the class. */
export function criticalPodsQuota(): Node {
  return {
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'ambit-critical-pods', namespace: releaseNamespace, labels: labelsOf(AGENT) },
    spec: {
      hard: { pods: text('resourceQuota.pods') },
      scopeSelector: {
        matchExpressions: [
          {
            operator: 'In',
            scopeName: 'PriorityClass',
            values: ['system-node-critical', 'system-cluster-critical'],
          },
        ],
      },
    },
  };
}
