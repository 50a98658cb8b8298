/** The five kinds of objects that a waypoint is made of in a cluster, and one of them as it is there. */
import { createHash } from 'node:crypto';
import type { GroupVersionResource, KubeObject, OwnerReference } from '@ambit/kube';

/** Names of the keys under which a ConfigMap has overlays for them. In the order in which they are made. */
export const PART_KINDS = [
  'serviceAccount',
  'service',
  'podDisruptionBudget',
  'deployment',
  'horizontalPodAutoscaler',
] as const;
export type PartKind = (typeof PART_KINDS)[number];

interface PartType extends GroupVersionResource {
  readonly kind: string;
}

export const PART_TYPES: Readonly<Record<PartKind, PartType>> = {
  serviceAccount: { group: '', version: 'v1', resource: 'serviceaccounts', kind: 'ServiceAccount' },
  service: { group: '', version: 'v1', resource: 'services', kind: 'Service' },
  podDisruptionBudget: {
    group: 'policy',
    version: 'v1',
    resource: 'poddisruptionbudgets',
    kind: 'PodDisruptionBudget',
  },
  deployment: { group: 'apps', version: 'v1', resource: 'deployments', kind: 'Deployment' },
  horizontalPodAutoscaler: {
    group: 'autoscaling',
    version: 'v2',
    resource: 'horizontalpodautoscalers',
    kind: 'HorizontalPodAutoscaler',
  },
};

/** One object that a waypoint should have. */
export interface WaypointPart {
  readonly kind: PartKind;
  readonly object: KubeObject;
}

/** Written by the server's own controllers on Deployments; nobody's drift. */
const REVISION = 'deployment.kubernetes.io/revision';

/**
 * What tells whether somebody has changed an object: everything but its status. Where the server counts generations, that
 * number stands for the spec; metadata is beside it, because a change of a label makes no new generation.
 */
export function fingerprintOf(object: KubeObject): string {
  const { labels, annotations, ownerReferences, generation } = object.metadata;
  const { metadata: _, status: __, ...body } = object;
  const { [REVISION]: ___, ...others } = annotations ?? {};
  const rest = generation === undefined ? body : { generation };
  return digestOf([labels, others, ownerReferences, rest]);
}

/** Of any JSON, the order of fields left aside. */
export function digestOf(value: unknown): string {
  return createHash('sha256').update(stable(value)).digest('base64url').slice(0, 16);
}

function stable(value: unknown): string {
  return (
    JSON.stringify(value, (_, inner: unknown) =>
      typeof inner === 'object' && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
        : inner,
    ) ?? ''
  );
}

/** The Gateway by which an object is owned, if any. */
export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find(({ controller }) => controller === true);
}
