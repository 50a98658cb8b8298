/**
 * The objects that run a waypoint: ServiceAccount, Deployment and Service, as the reference makes them,
 * so that labels, names and ports are those that people and tools look for.
 *
 * `waypointObjects` is what a lab or a host without Kubernetes gets; a cluster's objects are made of the same pieces.
 */
import type { WaypointSpec } from '@ambit/model';

export const WAYPOINT_IMAGE = 'ambit/waypoint';
export const GATEWAY_NAME = 'gateway.networking.k8s.io/gateway-name';
export const GATEWAY_CLASS = 'gateway.networking.k8s.io/gateway-class-name';
export const GATEWAY_MANAGED = 'gateway.istio.io/managed';
export const SERVICE_ACCOUNT = 'gateway.istio.io/service-account';
export const BECAUSE = 'ambit.io/because';
/** Tools look for the proxy under this name. */
export const WAYPOINT_CONTAINER = 'istio-proxy';
export const HBONE_PORT = 15008;
const MANAGED_BY = 'istio.io-mesh-controller';
const STATUS_PORT = 15021;
const METRICS_PORT = 15020;
/** Of a policy that concerns a thousand services, a part says enough. */
const BECAUSE_MAX = 20;

export type Json = Readonly<Record<string, unknown>>;
type Texts = Readonly<Record<string, string>>;

/** Of its Service, its Deployment and what goes with them. */
export function partNameOf({ name, partName = name }: WaypointSpec): string {
  return partName;
}

export function waypointObjects(spec: WaypointSpec): readonly Json[] {
  const { namespace, serviceAccount } = spec;
  const name = partNameOf(spec);
  const metadata = (kindName: string): Json => ({
    name: kindName,
    namespace,
    labels: waypointLabels(spec),
    annotations: waypointAnnotations(spec),
    ...ownerOf(spec),
  });
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: metadata(serviceAccount) },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata(name),
      spec: {
        replicas: 1,
        selector: { matchLabels: waypointSelector(spec) },
        template: {
          metadata: {
            labels: waypointPodLabels(spec),
            ...(spec.infrastructure === undefined
              ? {}
              : { annotations: spec.infrastructure.annotations }),
          },
          spec: {
            serviceAccountName: serviceAccount,
            containers: [{ ...waypointContainer(spec), image: WAYPOINT_IMAGE }],
          },
        },
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata(name),
      spec: waypointServiceSpec(spec),
    },
  ];
}

export function waypointSelector({ name }: WaypointSpec): Texts {
  return { [GATEWAY_NAME]: name };
}

/** Of everything that is made for it. What people want there never replaces what finds it. */
export function waypointLabels({ name, className, infrastructure }: WaypointSpec): Texts {
  return {
    ...infrastructure?.labels,
    [GATEWAY_MANAGED]: MANAGED_BY,
    [GATEWAY_NAME]: name,
    [GATEWAY_CLASS]: className,
  };
}

export function waypointAnnotations({
  because,
  serviceAccount,
  infrastructure,
}: WaypointSpec): Texts {
  return {
    ...infrastructure?.annotations,
    [BECAUSE]: because.slice(0, BECAUSE_MAX).join(','),
    // The model lets only pods of this account serve the waypoint's Service.
    [SERVICE_ACCOUNT]: serviceAccount,
  };
}

/** Nobody captures a waypoint: its traffic is the mesh. */
export function waypointPodLabels(spec: WaypointSpec): Texts {
  return {
    ...waypointLabels(spec),
    'istio.io/dataplane-mode': 'none',
    'sidecar.istio.io/inject': 'false',
    'service.istio.io/canonical-name': spec.name,
    'service.istio.io/canonical-revision': 'latest',
  };
}

export function waypointServiceSpec(spec: WaypointSpec): Json {
  return {
    type: 'ClusterIP',
    ipFamilyPolicy: 'PreferDualStack',
    selector: waypointSelector(spec),
    ports: [
      { name: 'status-port', port: STATUS_PORT, protocol: 'TCP', targetPort: STATUS_PORT },
      {
        name: 'mesh',
        port: HBONE_PORT,
        protocol: 'TCP',
        targetPort: HBONE_PORT,
        appProtocol: 'hbone',
      },
    ],
  };
}

/** Without image. */
export function waypointContainer({ namespace, name, partName, className }: WaypointSpec): Json & {
  readonly env: readonly Json[];
} {
  return {
    name: WAYPOINT_CONTAINER,
    env: [
      { name: 'GATEWAY', value: `${namespace}/${name}` },
      { name: 'GATEWAY_CLASS', value: className },
      // What is bound to it names its Service.
      ...(partName === undefined ? [] : [{ name: 'GATEWAY_SERVICE', value: partName }]),
    ],
    ports: [
      { name: 'mesh', containerPort: HBONE_PORT, protocol: 'TCP' },
      { name: 'status-port', containerPort: STATUS_PORT, protocol: 'TCP' },
      { name: 'metrics', containerPort: METRICS_PORT, protocol: 'TCP' },
    ],
    readinessProbe: {
      httpGet: { path: '/healthz/ready', port: STATUS_PORT },
      initialDelaySeconds: 0,
      periodSeconds: 1,
      timeoutSeconds: 1,
      successThreshold: 1,
      failureThreshold: 3,
    },
    securityContext: {
      runAsUser: 1337,
      runAsGroup: 1337,
      runAsNonRoot: true,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
    },
  };
}

/** A waypoint made on demand belongs to nobody's Gateway. */
function ownerOf({ onDemand, name }: WaypointSpec): Json {
  if (onDemand) return {};
  return {
    ownerReferences: [
      {
        apiVersion: 'gateway.networking.k8s.io/v1',
        kind: 'Gateway',
        name,
        controller: true,
      },
    ],
  };
}
