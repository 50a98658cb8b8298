/** The controller: its Deployment, Service, disruption budget and autoscaler. */
import {
  comment,
  ifGiven,
  join,
  json,
  type Node,
  not,
  orElse,
  releaseNamespace,
  spread,
  text,
  value,
  when,
} from '../symbolic.ts';
import {
  AGENT,
  CONTROLLER,
  fieldEnv,
  imageOf,
  imagePullSecrets,
  metadataOf,
  plainEnv,
  podAnnotations,
  podLabels,
  probe,
  rootNamespace,
  selectorOf,
} from './common.ts';

const STATE_DIR = '/var/lib/ambit';
const CACERTS_DIR = '/etc/ambit/cacerts';
const TOKEN_DIR = '/var/run/secrets/tokens';
/** The CA refuses longer ones; the kubelet renews at four fifths. */
const TOKEN_SECONDS = 43_200;
/** Of nobody in the image; files it may write are in an emptyDir. */
const USER = 65_532;

export function controllerServiceAccount(): Node {
  return {
    apiVersion: 'v1',
    kind: 'ServiceAccount',
    metadata: metadataOf(CONTROLLER, CONTROLLER),
  };
}

export function controllerService(): Node {
  const port = (name: string, number: number, targetPort = number): Node => ({
    name,
    port: number,
    targetPort,
    protocol: 'TCP',
  });
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: metadataOf(CONTROLLER, CONTROLLER),
    spec: {
      type: 'ClusterIP',
      ipFamilyPolicy: 'PreferDualStack',
      selector: selectorOf(CONTROLLER),
      ports: [
        port('grpc-xds', 15_012),
        port('https-webhook', 443, 15_017),
        port('http-metrics', 15_014),
      ],
    },
  };
}

export function controllerDeployment(): Node {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: metadataOf(CONTROLLER, CONTROLLER),
    spec: {
      replicas: when(not(value('controller.hpa.enabled')), value('controller.replicas')),
      selector: { matchLabels: selectorOf(CONTROLLER) },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      template: {
        metadata: {
          labels: podLabels(CONTROLLER),
          annotations: podAnnotations('controller.podAnnotations', 'controller', '15014'),
        },
        spec: {
          serviceAccountName: CONTROLLER,
          imagePullSecrets,
          priorityClassName: ifGiven('controller.priorityClassName'),
          nodeSelector: ifGiven('controller.nodeSelector'),
          tolerations: [
            comment('Nodes wait for their agent, and agents for a controller.', {
              key: 'ambit.io/agent-not-ready',
              operator: 'Exists',
            }),
            spread('controller.tolerations'),
          ],
          ...spreadOut(),
          securityContext: {
            runAsNonRoot: true,
            runAsUser: USER,
            runAsGroup: USER,
            fsGroup: USER,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [controllerContainer()],
          volumes: [
            { name: 'state', emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } },
            comment('By which the other replicas know it as one of them.', {
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
            }),
            when(value('ca.cacertsSecret'), {
              name: 'cacerts',
              secret: { secretName: value('ca.cacertsSecret') },
            }),
          ],
        },
      },
    },
  };
}

/** Over nodes, and over zones by affinity: where nodes have none, a second constraint makes the scheduler spread over nothing. */
function spreadOut() {
  const labelSelector = { matchLabels: selectorOf(CONTROLLER) };
  const zones = { topologyKey: 'topology.kubernetes.io/zone', labelSelector };
  return {
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 'kubernetes.io/hostname',
        whenUnsatisfiable: 'ScheduleAnyway',
        labelSelector,
        // Those that an update replaces do not count.
        matchLabelKeys: ['pod-template-hash'],
      },
    ],
    affinity: {
      podAntiAffinity: {
        preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm: zones }],
      },
    },
  };
}

function controllerContainer(): Node {
  return {
    name: 'controller',
    image: imageOf('controller'),
    imagePullPolicy: value('imagePullPolicy'),
    env: controllerEnv(),
    ports: [
      { name: 'grpc-xds', containerPort: 15_012, protocol: 'TCP' },
      { name: 'https-webhook', containerPort: 15_017, protocol: 'TCP' },
      { name: 'http-metrics', containerPort: 15_014, protocol: 'TCP' },
      { name: 'status', containerPort: 15_021, protocol: 'TCP' },
    ],
    startupProbe: probe(2, 90),
    readinessProbe: probe(3, 3),
    resources: value('controller.resources'),
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    },
    volumeMounts: [
      { name: 'state', mountPath: STATE_DIR },
      { name: 'token', mountPath: TOKEN_DIR, readOnly: true },
      when(value('ca.cacertsSecret'), { name: 'cacerts', mountPath: CACERTS_DIR, readOnly: true }),
    ],
  };
}

function controllerEnv(): Node {
  const host = join(CONTROLLER, '.', releaseNamespace, '.svc');
  const ownAgent = join(releaseNamespace, `/${AGENT}`);
  return [
    plainEnv('AMBIT_CONFIG_SOURCE', 'kubernetes'),
    fieldEnv('POD_NAME', 'metadata.name'),
    fieldEnv('POD_NAMESPACE', 'metadata.namespace'),
    fieldEnv('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    plainEnv('AMBIT_TOKEN_PATH', `${TOKEN_DIR}/istio-token`),
    plainEnv('REVISION', orElse(value('revision'), 'default')),
    plainEnv('ROOT_NAMESPACE', rootNamespace),
    plainEnv('TRUST_DOMAIN', value('trustDomain')),
    plainEnv('CLUSTER_DOMAIN', value('clusterDomain')),
    plainEnv('CLUSTER_ID', value('clusterId')),
    plainEnv('NETWORK', value('network')),
    plainEnv('AMBIT_LOG_LEVEL', value('logLevel')),
    plainEnv('AMBIT_STATE_DIR', STATE_DIR),
    plainEnv('AMBIT_SERVING_NAMES', join(host, ',', host, '.', value('clusterDomain'))),
    plainEnv('AMBIT_CERT_TTL_SECONDS', text('ca.certTtlSeconds')),
    plainEnv('AMBIT_CA_SECRET', value('ca.secret')),
    when(
      value('ca.certManagerIssuer'),
      plainEnv('AMBIT_CERT_MANAGER_ISSUER', value('ca.certManagerIssuer')),
    ),
    plainEnv('AMBIT_ROOT_CONFIGMAP', value('ca.rootConfigMap')),
    when(value('ca.cacertsSecret'), plainEnv('AMBIT_CACERTS_DIR', CACERTS_DIR)),
    comment(
      'Who may ask for identities of other pods on its node: nobody but the agents.',
      when(
        value('ca.trustedNodeAccounts'),
        plainEnv('CA_TRUSTED_NODE_ACCOUNTS', join(ownAgent, ',', value('ca.trustedNodeAccounts'))),
        plainEnv('CA_TRUSTED_NODE_ACCOUNTS', ownAgent),
      ),
    ),
    plainEnv('AMBIT_SERVICE', CONTROLLER),
    plainEnv('AMBIT_NODE_TAINT', text('taint.enabled')),
    comment(
      'With the taint no pod starts where nobody captures it, so new pods count as captured at once.',
      plainEnv('AMBIT_PODS_WAIT_FOR_AGENT', text('taint.enabled')),
    ),
    plainEnv('AMBIT_WAYPOINT_IMAGE', imageOf('waypoint')),
    plainEnv('AMBIT_WAYPOINT_IMAGE_PULL_POLICY', value('imagePullPolicy')),
    plainEnv('AMBIT_WAYPOINT_RESOURCES', json('waypoint.resources')),
    plainEnv('AMBIT_WAYPOINT_SCRAPED', text('monitoring.annotations')),
    spread('controller.env'),
  ];
}

export function controllerDisruptionBudget(): Node {
  return when(value('controller.pdb.enabled'), {
    apiVersion: 'policy/v1',
    kind: 'PodDisruptionBudget',
    metadata: metadataOf(CONTROLLER, CONTROLLER),
    spec: {
      minAvailable: 1,
      selector: { matchLabels: selectorOf(CONTROLLER) },
      unhealthyPodEvictionPolicy: 'AlwaysAllow',
    },
  });
}

export function controllerAutoscaler(): Node {
  return when(value('controller.hpa.enabled'), {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: metadataOf(CONTROLLER, CONTROLLER),
    spec: {
      minReplicas: value('controller.hpa.minReplicas'),
      maxReplicas: value('controller.hpa.maxReplicas'),
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: CONTROLLER },
      metrics: [
        {
          type: 'Resource',
          resource: {
            name: 'cpu',
            target: { type: 'Utilization', averageUtilization: value('controller.hpa.cpuPercent') },
          },
        },
      ],
    },
  });
}
