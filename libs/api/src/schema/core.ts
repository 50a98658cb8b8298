/**
 * The Kubernetes core objects that the mesh reads. Fields that it does not read are left alone: they
 * are the cluster's, and it has checked them.
 */
import * as z from 'zod';
import type { Deployment, PodSpec, PodStatus, Probe, Service } from '../types/meta.ts';
import {
  integer,
  leaf,
  listOf,
  name,
  oneOf,
  portNumber,
  reportType,
  reshape,
  text,
} from './build.ts';
import { labels } from './values.ts';

const PROTOCOLS = ['TCP', 'UDP', 'SCTP'] as const;
const protocol = oneOf(PROTOCOLS).default('TCP');

const portOrName = leaf<number | string>(
  (raw, report) => {
    if (typeof raw === 'number' && Number.isInteger(raw) && raw >= 1 && raw <= 65_535) return raw;
    if (typeof raw === 'string' && raw !== '') return /^\d+$/.test(raw) ? Number(raw) : raw;
    reportType(raw, 'a port of 1 to 65535 (number) or the name of a container port', report);
    return undefined;
  },
  (value) => value,
);

const writtenPort = z.object({
  name: text.default(''),
  port: portNumber,
  protocol,
  targetPort: portOrName.exactOptional(),
  appProtocol: text.exactOptional(),
});
type ServicePort = Service['spec']['ports'][number];
const servicePort = reshape<z.output<typeof writtenPort>, ServicePort>(
  writtenPort,
  (value) => ({ ...value, targetPort: value.targetPort ?? value.port }),
  (value) => value,
);

const writtenService = z.object({
  type: oneOf(['ClusterIP', 'NodePort', 'LoadBalancer', 'ExternalName']).default('ClusterIP'),
  selector: labels,
  ports: listOf(servicePort),
  clusterIP: text.exactOptional(),
  clusterIPs: listOf(text),
  ipFamilies: listOf(oneOf(['IPv4', 'IPv6'])),
  ipFamilyPolicy: oneOf(['SingleStack', 'PreferDualStack', 'RequireDualStack']).exactOptional(),
  publishNotReadyAddresses: z.boolean().default(false),
  internalTrafficPolicy: oneOf(['Cluster', 'Local']).default('Cluster'),
  trafficDistribution: text.exactOptional(),
  externalName: text.exactOptional(),
});
export const serviceSpec: z.ZodType<Service['spec']> = reshape<
  z.output<typeof writtenService>,
  Service['spec']
>(
  writtenService,
  ({ clusterIP, clusterIPs, ipFamilies, ...rest }) => {
    const addresses = (clusterIPs.length > 0 ? clusterIPs : [clusterIP ?? '']).filter(
      (ip) => ip !== '',
    );
    return { ...rest, clusterIPs: addresses, ipFamilies: familiesOf(addresses, ipFamilies) };
  },
  (value) => ({
    ...value,
    ...(value.clusterIPs[0] === undefined ? {} : { clusterIP: value.clusterIPs[0] }),
  }),
);

type Family = 'IPv4' | 'IPv6';
function familiesOf(addresses: readonly string[], written: readonly Family[]): readonly Family[] {
  if (written.length > 0) return written;
  const known = addresses.filter((ip) => ip !== 'None');
  if (known.length === 0) return ['IPv4'];
  return known.map((ip) => (ip.includes(':') ? 'IPv6' : 'IPv4'));
}

const probePort = z.object({ port: portOrName });
const probe: z.ZodType<Probe> = z.object({
  httpGet: z.object({ path: text.default('/'), port: portOrName }).exactOptional(),
  tcpSocket: probePort.exactOptional(),
  exec: z.object({ command: listOf(text) }).exactOptional(),
  initialDelaySeconds: integer(0).default(0),
  periodSeconds: integer(1).default(10),
  timeoutSeconds: integer(1).default(1),
  successThreshold: integer(1).default(1),
  failureThreshold: integer(1).default(3),
});

const writtenEnv = z.object({
  name,
  value: text.exactOptional(),
  valueFrom: z.unknown().exactOptional(),
});
type Env = PodSpec['containers'][number]['env'];
/** A value from elsewhere (`valueFrom`) is not the mesh's to read: such an entry is left out. */
const env = reshape<readonly { readonly name: string; readonly value?: string }[], Env>(
  listOf(writtenEnv as unknown as z.ZodType<{ readonly name: string; readonly value?: string }>),
  (items) =>
    items
      .filter((item) => !('valueFrom' in item) || item.valueFrom === undefined)
      .map((item) => ({ name: item.name, value: item.value ?? '' })),
  (items) => items,
);

const container = z.object({
  name,
  image: text.exactOptional(),
  command: listOf(text),
  args: listOf(text),
  env,
  ports: listOf(z.object({ name: text.exactOptional(), containerPort: portNumber, protocol })),
  readinessProbe: probe.exactOptional(),
});

const podSpec: z.ZodType<PodSpec> = z.object({
  serviceAccountName: reshape<string, string>(
    text.default(''),
    (value) => (value === '' ? 'default' : value),
    (value) => value,
  ),
  nodeName: text.default(''),
  hostNetwork: z.boolean().default(false),
  containers: listOf(container),
});

const writtenStatus = z.object({
  phase: oneOf(['Pending', 'Running', 'Succeeded', 'Failed', 'Unknown']).default('Pending'),
  podIP: text.exactOptional(),
  podIPs: listOf(z.object({ ip: text })),
  conditions: listOf(z.object({ type: text, status: text })),
});

const writtenPod = z.object({
  spec: podSpec,
  status: writtenStatus.prefault({} as never),
  deletionTimestamp: text.exactOptional(),
});
type PodBody = { readonly spec: PodSpec; readonly status: PodStatus };

/** The body of a Pod; `deletionTimestamp` is lifted from its metadata by the caller. */
export const podBody: z.ZodType<PodBody> = reshape<z.output<typeof writtenPod>, PodBody>(
  writtenPod,
  ({ spec, status, deletionTimestamp }) => {
    const listed = status.podIPs.map(({ ip }) => ip);
    const podIPs = (listed.length > 0 ? listed : [status.podIP ?? '']).filter((ip) => ip !== '');
    return {
      spec,
      status: {
        phase: status.phase,
        podIPs,
        ready: status.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
        terminating: deletionTimestamp !== undefined,
      },
    };
  },
  ({ spec, status }) => ({
    spec,
    status: {
      phase: status.phase,
      ...(status.podIPs[0] === undefined ? {} : { podIP: status.podIPs[0] }),
      podIPs: status.podIPs.map((ip) => ({ ip })),
      conditions: [{ type: 'Ready', status: status.ready ? 'True' : 'False' }],
    },
    ...(status.terminating ? { deletionTimestamp: TERMINATING_SINCE } : {}),
  }),
);

/** Only that the field is set counts; the time itself is not kept. */
const TERMINATING_SINCE = '1970-01-01T00:00:00Z';

export const deploymentSpec: z.ZodType<Deployment['spec']> = z.object({
  replicas: integer(0).default(1),
  selector: z.object({ matchLabels: labels }).prefault({} as never),
  template: z.object({
    metadata: z.object({ labels, annotations: labels }).prefault({} as never),
    spec: podSpec,
  }),
});
