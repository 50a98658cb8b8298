/**
 * Which pods should run, by name: Deployments with their template's hash in the pod's name, and bare Pods. Pure.
 *
 * A changed template gives new names, so that old and new pods can overlap as in a rolling update.
 */
import { createHash } from 'node:crypto';
import type { ObjectKey, OwnerReference, PodSpec } from '@ambit/api';
import type { Manifest, ManifestProblem } from './manifests.ts';

/** Pods of one lab; each is at least one process. */
const PODS_MAX = 500;
const HASH_CHARS = 8;

export interface PodPlan {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly spec: PodSpec;
  readonly ownerReferences: readonly OwnerReference[];
  /** The object that asks for it. */
  readonly owner: ObjectKey;
  /** Changes when the pod has to be made anew. */
  readonly revision: string;
  /** Working directory of its processes. */
  readonly folder: string;
}

export interface WorkloadPlan {
  /** By `namespace/name`. */
  readonly pods: ReadonlyMap<string, PodPlan>;
  readonly problems: readonly ManifestProblem[];
}

/** `folderOf` gives the working directory of what a file's pods run. */
export function planPods(
  manifests: Iterable<Manifest>,
  folderOf: (file: string) => string,
): WorkloadPlan {
  const pods = new Map<string, PodPlan>();
  const problems: ManifestProblem[] = [];
  for (const manifest of manifests) {
    for (const plan of plansOf(manifest, folderOf(manifest.file))) {
      if (pods.size >= PODS_MAX) {
        const message = `${manifest.key}: the lab runs at most ${PODS_MAX} pods`;
        problems.push({ file: manifest.file, message });
        break;
      }
      pods.set(`${plan.namespace}/${plan.name}`, plan);
    }
  }
  return { pods, problems };
}

function plansOf(manifest: Manifest, folder: string): PodPlan[] {
  const { object, key } = manifest;
  const { namespace, name } = object.metadata;
  if (object.kind === 'Pod') {
    const { labels, annotations } = object.metadata;
    const revision = hashOf(object.spec);
    const base = { namespace, name, labels, annotations, spec: object.spec, owner: key };
    return [{ ...base, ownerReferences: [], revision, folder }];
  }
  if (object.kind !== 'Deployment') {
    return [];
  }
  const { template, replicas } = object.spec;
  const revision = hashOf(template);
  const owner = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: `${name}-${revision}` };
  return Array.from({ length: replicas }, (_, ordinal) => ({
    namespace,
    name: `${name}-${revision}-${ordinal}`,
    labels: { ...template.metadata.labels, 'pod-template-hash': revision },
    annotations: template.metadata.annotations,
    spec: template.spec,
    ownerReferences: [{ ...owner, controller: true }],
    owner: key,
    revision,
    folder,
  }));
}

function hashOf(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex').slice(0, HASH_CHARS);
}

export interface Placed {
  readonly node: string;
  readonly owner: ObjectKey;
}

/** The node for a pod: the one it names, else where its owner has the fewest pods, then where there are the fewest. */
export function chooseNode(
  plan: PodPlan,
  nodes: readonly string[],
  placed: Iterable<Placed>,
): string | undefined {
  if (plan.spec.nodeName !== '') {
    return nodes.find((node) => node === plan.spec.nodeName);
  }
  const all = [...placed];
  const count = (node: string, owner?: ObjectKey): number =>
    all.filter((pod) => pod.node === node && (owner === undefined || pod.owner === owner)).length;
  const ranked = nodes.toSorted(
    (a, b) => count(a, plan.owner) - count(b, plan.owner) || count(a) - count(b),
  );
  return ranked[0];
}
