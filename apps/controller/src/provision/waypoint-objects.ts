/**
 * The objects that run a waypoint: ServiceAccount, Deployment and Service, as the reference makes them
 * (semantics §4.5), so that labels, names and ports are those that people and tools look for.
 */
import type { WaypointSpec } from '@ambit/model';

export const WAYPOINT_IMAGE = 'ambit/waypoint';
const MANAGED_BY = 'istio.io-mesh-controller';
const HBONE_PORT = 15008;
const STATUS_PORT = 15021;
const METRICS_PORT = 15020;

type Json = Readonly<Record<string, unknown>>;

export function waypointObjects(spec: WaypointSpec): readonly Json[] {
  const { namespace, name, serviceAccount } = spec;
  const labels = {
    'gateway.istio.io/managed': MANAGED_BY,
    'gateway.networking.k8s.io/gateway-name': name,
    'gateway.networking.k8s.io/gateway-class-name': spec.className,
  };
  const metadata = (kindName: string): Json => ({
    name: kindName,
    namespace,
    labels,
    annotations: {
      'ambit.io/because': spec.because.slice(0, 20).join(','),
      // The model lets only pods of this account serve the waypoint's Service.
      'gateway.istio.io/service-account': serviceAccount,
    },
    ...ownerOf(spec),
  });
  return [
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: metadata(serviceAccount) },
    {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: metadata(name),
      spec: deploymentSpec(spec, labels),
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: metadata(name),
      spec: {
        type: 'ClusterIP',
        ipFamilyPolicy: 'PreferDualStack',
        selector: { 'gateway.networking.k8s.io/gateway-name': name },
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
      },
    },
  ];
}

function deploymentSpec(spec: WaypointSpec, labels: Json): Json {
  const { namespace, name, serviceAccount, className } = spec;
  return {
    replicas: 1,
    selector: { matchLabels: { 'gateway.networking.k8s.io/gateway-name': name } },
    template: {
      metadata: {
        labels: {
          ...labels,
          'istio.io/dataplane-mode': 'none',
          'sidecar.istio.io/inject': 'false',
          'service.istio.io/canonical-name': name,
          'service.istio.io/canonical-revision': 'latest',
        },
      },
      spec: {
        serviceAccountName: serviceAccount,
        containers: [
          {
            name: 'istio-proxy',
            image: WAYPOINT_IMAGE,
            env: [
              { name: 'GATEWAY', value: `${namespace}/${name}` },
              { name: 'GATEWAY_CLASS', value: className },
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
          },
        ],
      },
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
