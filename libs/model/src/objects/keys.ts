/**
 * Names of things: object keys, service keys, hosts as written, label selectors as index buckets.
 *
 * A selector is indexed under one of its label pairs, and an object is looked up by each of its own
 * pairs; so an object meets exactly the selectors that could match it, and `selects` decides.
 */
import type { Gateway, MeshObject, ObjectKey } from '@ambit/api';

export type Labels = Readonly<Record<string, string>>;

export interface ModelOptions {
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly clusterDomain: string;
  readonly clusterId: string;
  readonly network: string;
  /**
   * `promised` (absent too): whoever makes pods starts nothing in them before their agent has captured them,
   * so a new pod counts as captured. `reported`: nobody vouches for that, and a pod is captured once its agent says so.
   */
  readonly capture?: 'promised' | 'reported';
  /**
   * Whether whoever has the model is told by agents what they have captured. Then a pod that none of them names is captured by
   * nobody, whoever promised it, and no policy about it is in force. Absent: nobody can tell, and it is not said.
   */
  readonly hearsAgents?: boolean;
  /** Value of `istio.io/rev` that this mesh answers to. Absent: `default`. */
  readonly revision?: string;
}

export function keyOf(object: MeshObject): ObjectKey {
  return objectKey(object.kind, object.metadata.namespace, object.metadata.name);
}

export function objectKey(kind: string, namespace: string, name: string): ObjectKey {
  return namespace === '' ? `${kind}/${name}` : `${kind}/${namespace}/${name}`;
}

export function classKey({ spec }: Gateway): ObjectKey {
  return objectKey('GatewayClass', '', spec.gatewayClassName);
}

/** Kind, namespace ('' when cluster-scoped) and name of a key. */
export function splitKey(key: ObjectKey): { kind: string; namespace: string; name: string } {
  const [kind = '', second = '', third] = key.split('/');
  return third === undefined
    ? { kind, namespace: '', name: second }
    : { kind, namespace: second, name: third };
}

/** A host without a dot is completed with the object's namespace; any other is taken as it is. */
export function resolveHost(host: string, namespace: string, clusterDomain: string): string {
  const lower = host.toLowerCase();
  return lower.includes('.') || lower === '*'
    ? lower
    : `${lower}.${namespace}.svc.${clusterDomain}`;
}

/** The host itself, then `*.` forms from the most to the least specific, then `*`. */
export function hostBuckets(hostname: string): readonly string[] {
  const buckets = [hostname];
  let rest = hostname.startsWith('*.') ? hostname.slice(2) : hostname;
  while (rest.includes('.')) {
    rest = rest.slice(rest.indexOf('.') + 1);
    buckets.push(`*.${rest}`);
  }
  buckets.push('*');
  return buckets;
}

/** Whether what is exported reaches a namespace. Empty: everywhere. */
export function isExportedTo(exportTo: readonly string[], own: string, namespace: string): boolean {
  if (exportTo.length === 0) return true;
  return exportTo.some(
    (entry) => entry === '*' || entry === namespace || (entry === '.' && own === namespace),
  );
}

/** Every pair of the selector is among the labels. An empty selector selects everything. */
export function selects(selector: Labels, labels: Labels): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false;
  return true;
}

/** The one bucket that a selector with labels stands in. */
export function selectorBucket(namespace: string, selector: Labels): string {
  const key = Object.keys(selector).sort()[0] ?? '';
  return `${namespace}|${key}=${selector[key] ?? ''}`;
}

/** The buckets in which selectors that match these labels may stand. */
export function labelBuckets(namespace: string, labels: Labels): readonly string[] {
  return Object.keys(labels).map((key) => `${namespace}|${key}=${labels[key] ?? ''}`);
}

interface Aged {
  readonly metadata: {
    readonly creationTimestampMs: number;
    readonly namespace: string;
    readonly name: string;
  };
}

/** Older first, then by name, then by namespace. */
export function byAge(a: Aged, b: Aged): number {
  return (
    a.metadata.creationTimestampMs - b.metadata.creationTimestampMs ||
    compareText(a.metadata.name, b.metadata.name) ||
    compareText(a.metadata.namespace, b.metadata.namespace)
  );
}

export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
