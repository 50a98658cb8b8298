/**
 * The parts of one waypoint in a cluster, before anybody's overlays.
 *
 * Rule: the number of replicas is nobody's here, so that an autoscaler or `kubectl scale` may have it. The program gets no right on
 * its node and none in the API; what it proves itself with is a token that only the mesh's CA takes.
 */
import type { KubeObject, OwnerReference } from '@ambit/kube';
import type { WaypointSpec } from '@ambit/model';
import {
  type Json,
  partNameOf,
  waypointAnnotations,
  waypointContainer,
  waypointLabels,
  waypointPodLabels,
  waypointSelector,
  waypointServiceSpec,
} from '../../provision/waypoint-objects.ts';
import { MANAGED_BY } from '../context.ts';
import { PART_TYPES, type PartKind, type WaypointPart } from './parts.ts';

/** What is the same for every waypoint of a cluster. */
export interface WaypointSettings {
  readonly image: string;
  readonly imagePullPolicy: string;
  /** `resources` of the container, of waypoints that say nothing else. */
  readonly resources: Json;
  /** Prometheus finds its pods by their annotations. */
  readonly isScraped: boolean;
  /** `https://HOST:PORT` of xDS and CA. */
  readonly controllerAddress: string;
  /** With the mesh's root certificate, in every namespace. */
  readonly rootConfigMap: string;
  readonly rootNamespace: string;
  /** `namespace/name` of accounts that waypoints never run as: those of the controller and of agents. */
  readonly reservedAccounts: ReadonlySet<string>;
  readonly trustDomain: string;
  readonly clusterDomain: string;
  readonly clusterId: string;
  readonly network: string;
  /** As the programs take it: `info`. */
  readonly logLevel: string;
}

export interface WaypointInput {
  readonly spec: WaypointSpec;
  readonly settings: WaypointSettings;
  /** Goes with it. */
  readonly owner?: OwnerReference | undefined;
  readonly serviceType: string;
  /** Only where somebody gave its bounds. */
  readonly hasAutoscaler: boolean;
}

const ROOT_DIR = '/var/run/secrets/istio';
const TOKEN_DIR = '/var/run/secrets/tokens';
/** The CA refuses longer ones; the kubelet renews at four fifths. */
const TOKEN_SECONDS = 43_200;
const USER = 1337;
const SCRAPED = {
  'prometheus.io/scrape': 'true',
  'prometheus.io/port': '15020',
  'prometheus.io/path': '/metrics',
};
/**
 * For requests that are under way when a pod goes. The first seconds of it the program still accepts: everybody has to hear that
 * it leaves.
 */
export const GRACE_SECONDS = 45;
export const DRAIN_DELAY_SECONDS = 5;
/** Ready for less counts for nothing in a roll-out, so that agents know the new one before an old one goes. */
const READY_SECONDS_MIN = 3;

export function waypointParts(input: WaypointInput): readonly WaypointPart[] {
  const { spec, serviceType, hasAutoscaler } = input;
  const name = partNameOf(spec);
  return [
    partOf(input, 'serviceAccount', { automountServiceAccountToken: false }),
    partOf(input, 'service', { spec: { ...waypointServiceSpec(spec), type: serviceType } }),
    partOf(input, 'podDisruptionBudget', {
      spec: {
        // One at a time; a waypoint of one pod does not keep its node from being drained.
        maxUnavailable: 1,
        selector: { matchLabels: waypointSelector(spec) },
        unhealthyPodEvictionPolicy: 'AlwaysAllow',
      },
    }),
    partOf(input, 'deployment', { spec: deploymentSpec(input) }),
    ...(hasAutoscaler
      ? [
          partOf(input, 'horizontalPodAutoscaler', {
            spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name } },
          }),
        ]
      : []),
  ];
}

function partOf({ spec, owner }: WaypointInput, kind: PartKind, body: Json): WaypointPart {
  const { group, version, kind: kindName } = PART_TYPES[kind];
  const object: KubeObject = {
    apiVersion: group === '' ? version : `${group}/${version}`,
    kind: kindName,
    metadata: {
      name: kind === 'serviceAccount' ? spec.serviceAccount : partNameOf(spec),
      namespace: spec.namespace,
      labels: { ...waypointLabels(spec), ...MANAGED_BY },
      annotations: {
        ...waypointAnnotations(spec),
        ...(kind === 'service'
          ? { 'networking.istio.io/traffic-distribution': 'PreferClose' }
          : {}),
      },
      ...(owner === undefined ? {} : { ownerReferences: [owner] }),
    },
    ...body,
  };
  return { kind, object };
}

function deploymentSpec({ spec, settings }: WaypointInput): Json {
  return {
    selector: { matchLabels: waypointSelector(spec) },
    minReadySeconds: READY_SECONDS_MIN,
    strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
    template: {
      metadata: {
        labels: { ...waypointPodLabels(spec), ...MANAGED_BY },
        annotations: {
          ...spec.infrastructure?.annotations,
          'kubectl.kubernetes.io/default-container': 'istio-proxy',
          ...(settings.isScraped ? SCRAPED : {}),
        },
      },
      spec: podSpec(spec, settings),
    },
  };
}

function podSpec(spec: WaypointSpec, settings: WaypointSettings): Json {
  return {
    serviceAccountName: spec.serviceAccount,
    automountServiceAccountToken: false,
    terminationGracePeriodSeconds: GRACE_SECONDS,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER,
      runAsGroup: USER,
      fsGroup: USER,
      seccompProfile: { type: 'RuntimeDefault' },
    },
    ...spreadOut({ matchLabels: waypointSelector(spec) }),
    containers: [containerOf(spec, settings)],
    volumes: [
      // Written by the controller into every namespace: the pod waits for it.
      { name: 'root-cert', configMap: { name: settings.rootConfigMap } },
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
      { name: 'tmp', emptyDir: { medium: 'Memory', sizeLimit: '64Mi' } },
    ],
  };
}

function containerOf(spec: WaypointSpec, settings: WaypointSettings): Json {
  const container = waypointContainer(spec);
  return {
    ...container,
    image: settings.image,
    imagePullPolicy: settings.imagePullPolicy,
    env: [...container.env, ...environment(settings)],
    resources: settings.resources,
    volumeMounts: [
      { name: 'root-cert', mountPath: ROOT_DIR, readOnly: true },
      { name: 'token', mountPath: TOKEN_DIR, readOnly: true },
      { name: 'tmp', mountPath: '/tmp' },
    ],
  };
}

function environment(settings: WaypointSettings): readonly Json[] {
  const plain = (name: string, value: string): Json => ({ name, value });
  const field = (name: string, fieldPath: string): Json => ({
    name,
    valueFrom: { fieldRef: { fieldPath } },
  });
  return [
    field('POD_NAME', 'metadata.name'),
    field('POD_NAMESPACE', 'metadata.namespace'),
    field('SERVICE_ACCOUNT', 'spec.serviceAccountName'),
    field('NODE_NAME', 'spec.nodeName'),
    field('INSTANCE_IP', 'status.podIP'),
    plain('XDS_ADDRESS', settings.controllerAddress),
    plain('CA_ADDRESS', settings.controllerAddress),
    plain('XDS_ROOT_CA', `${ROOT_DIR}/root-cert.pem`),
    plain('CA_ROOT_CA', `${ROOT_DIR}/root-cert.pem`),
    plain('CRL_PATH', `${ROOT_DIR}/ca-crl.pem`),
    plain('AMBIT_TOKEN_PATH', `${TOKEN_DIR}/istio-token`),
    plain('TRUST_DOMAIN', settings.trustDomain),
    plain('CLUSTER_DOMAIN', settings.clusterDomain),
    plain('ISTIO_META_CLUSTER_ID', settings.clusterId),
    plain('NETWORK', settings.network),
    plain('ROOT_NAMESPACE', settings.rootNamespace),
    plain('AMBIT_LOG_LEVEL', settings.logLevel),
  ];
}

/** Over nodes, and over zones by affinity: where nodes have none, a second constraint makes the scheduler spread over nothing. */
function spreadOut(labelSelector: Json): Json {
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
