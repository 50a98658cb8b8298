/**
 * What is left of an object before it is parsed: the fields that somebody reads.
 *
 * Most of a pod is volumes, probes and bookkeeping. What is dropped here is dropped while the answer is still
 * arriving, so that ten thousand pods never exist whole.
 */
import type { KubeObject, ObjectMeta } from '@ambit/kube';
import {
  BYPASS_BY,
  BYPASS_REASON,
  BYPASS_SINCE,
  BYPASS_UNTIL,
  CAPTURE_ANNOTATIONS,
  STATIC_POD_HASH,
  WAYPOINT_FALLBACK,
} from '@ambit/model';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const POD_ANNOTATIONS: ReadonlySet<string> = new Set([
  ...CAPTURE_ANNOTATIONS,
  STATIC_POD_HASH,
  'sidecar.istio.io/status',
  // Of another mesh that has captured it.
  'ambient.istio.io/redirection',
]);
const NAMESPACE_ANNOTATIONS: ReadonlySet<string> = new Set([
  'ambient.istio.io/dns-capture',
  'networking.istio.io/traffic-distribution',
  WAYPOINT_FALLBACK,
  BYPASS_UNTIL,
  BYPASS_SINCE,
  BYPASS_BY,
  BYPASS_REASON,
]);

export type Json = Readonly<Record<string, unknown>>;

/** A new object with less in it; what has not the expected shape is left for the parser to refuse. */
export function trimObject(object: KubeObject): Json {
  const { apiVersion, kind, metadata } = object;
  switch (kind ?? '') {
    case 'Pod':
      return {
        apiVersion,
        kind,
        metadata: podMetadata(metadata),
        spec: podSpec(object['spec']),
        status: podStatus(object['status']),
      };
    case 'Node':
      return { apiVersion, kind, metadata: bare(metadata) };
    case 'Namespace': {
      const annotations = picked(metadata.annotations, NAMESPACE_ANNOTATIONS);
      return { apiVersion, kind, metadata: { ...bare(metadata), annotations } };
    }
    case 'EndpointSlice': {
      const { addressType, ports } = object;
      const endpoints = listOf(object['endpoints']).map(endpoint);
      return { apiVersion, kind, metadata: bare(metadata), addressType, endpoints, ports };
    }
    default: {
      const { status: _status, ...rest } = object;
      return { ...rest, metadata: withoutBulk(metadata) };
    }
  }
}

function bare({ name, namespace, uid, labels }: ObjectMeta): Json {
  return { name, namespace, uid, labels };
}

function podMetadata(metadata: ObjectMeta): Json {
  const { annotations, deletionTimestamp, ownerReferences } = metadata;
  return {
    ...bare(metadata),
    annotations: picked(annotations, POD_ANNOTATIONS),
    deletionTimestamp,
    ownerReferences: ownerOf(ownerReferences),
  };
}

/** The one that a pod is named after: who controls it, else the first. */
function ownerOf(written: unknown): readonly Json[] | undefined {
  const owners = listOf(written);
  const owner = owners.find(({ controller }) => controller === true) ?? owners[0];
  if (owner === undefined) return undefined;
  const { apiVersion, kind, name, controller } = owner;
  return [{ apiVersion, kind, name, controller }];
}

function podSpec(written: unknown): unknown {
  if (!isJson(written)) return written;
  const { serviceAccountName, nodeName, hostNetwork, containers, initContainers } = written;
  // An init container that keeps running serves ports like any other.
  const staying = listOf(initContainers).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const serving = [...listOf(containers), ...staying].flatMap(({ name, ports }) => {
    const named = listOf(ports)
      .filter((port) => port['name'] !== undefined)
      .map((port) => ({
        name: port['name'],
        containerPort: port['containerPort'],
        protocol: port['protocol'],
      }));
    return named.length === 0 ? [] : [{ name, ports: named }];
  });
  return { serviceAccountName, nodeName, hostNetwork, containers: serving };
}

function podStatus(written: unknown): unknown {
  if (!isJson(written)) return written;
  const { phase, podIP, podIPs, conditions } = written;
  const ready = listOf(conditions).filter(({ type }) => type === 'Ready');
  return {
    phase,
    podIP,
    podIPs,
    conditions: ready.map(({ type, status }) => ({ type, status })),
  };
}

function endpoint({ addresses, conditions, targetRef, nodeName }: Json): Json {
  return { addresses, conditions, targetRef, nodeName };
}

function withoutBulk(metadata: ObjectMeta): Json {
  const { managedFields: _managed, ...rest } = metadata as ObjectMeta & { managedFields?: unknown };
  const { annotations } = rest;
  if (!isJson(annotations) || annotations[LAST_APPLIED] === undefined) return { ...rest };
  const { [LAST_APPLIED]: _applied, ...kept } = annotations;
  return { ...rest, annotations: kept };
}

function picked(annotations: unknown, wanted: ReadonlySet<string>): unknown {
  if (!isJson(annotations)) return annotations;
  return Object.fromEntries(Object.entries(annotations).filter(([name]) => wanted.has(name)));
}

function listOf(value: unknown): readonly Json[] {
  return Array.isArray(value) ? (value as readonly unknown[]).filter(isJson) : [];
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
