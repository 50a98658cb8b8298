/** A waypoint's parts as they are to be applied: base, overlays, and what follows from both. Pure. */
import type { Finding } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import { type Json, WAYPOINT_CONTAINER } from '../../provision/waypoint-objects.ts';
import { complain, type Overlays, overlaid, valueAt } from './overlays.ts';
import type { WaypointPart } from './parts.ts';
import { type WaypointInput, waypointParts } from './waypoint-parts.ts';

export interface BuiltWaypoint {
  readonly parts: readonly WaypointPart[];
  /** Not empty: the overlays are not to be used. */
  readonly findings: readonly Finding[];
}

/** Each overlay is laid over what the ones before it made. */
export function buildWaypoint(
  input: Omit<WaypointInput, 'hasAutoscaler'>,
  overlays: readonly Overlays[],
): BuiltWaypoint {
  const findings: Finding[] = [];
  const hasAutoscaler = overlays.some((one) => one.horizontalPodAutoscaler !== undefined);
  const parts = waypointParts({ ...input, hasAutoscaler }).map((part) => {
    const merged = overlaid(part, overlays, findings);
    const isSound = part.kind === 'deployment' && findings.length === 0;
    return isSound ? { ...merged, object: withWorkers(merged.object) } : merged;
  });
  const replicas = valueAt(
    parts.find(({ kind }) => kind === 'deployment')?.object,
    'spec.replicas',
  );
  if (hasAutoscaler && replicas !== undefined) {
    complain(findings, {
      path: 'deployment.spec.replicas',
      message: 'is set beside an autoscaler, which sets it too',
      found: JSON.stringify(replicas),
      allowed: 'nothing',
      fix: 'write minReplicas in horizontalPodAutoscaler',
    });
  }
  return { parts, findings };
}

/** A thread for each CPU that the container may use; one where nothing bounds it, since a node's number says nothing. */
function withWorkers(deployment: KubeObject): KubeObject {
  const spec = deployment['spec'] as Json;
  const template = spec['template'] as Json;
  const pod = template['spec'] as Json;
  const containers = (pod['containers'] as readonly Json[]).map((container) => {
    const env = (container['env'] ?? []) as readonly Json[];
    const isSaid = env.some(({ name }) => name === 'AMBIT_WORKERS');
    const isBounded = valueAt(container, 'resources.limits.cpu') !== undefined;
    return container['name'] === WAYPOINT_CONTAINER && isBounded && !isSaid
      ? { ...container, env: [...env, WORKERS] }
      : container;
  });
  return {
    ...deployment,
    spec: { ...spec, template: { ...template, spec: { ...pod, containers } } },
  };
}

const WORKERS: Json = {
  name: 'AMBIT_WORKERS',
  valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1' } },
};
