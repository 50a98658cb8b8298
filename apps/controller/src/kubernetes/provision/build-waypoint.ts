/** A waypoint's parts as they are to be applied: base, overlays, and what follows from both. Pure. */
import type { Finding } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';
import { type Json, WAYPOINT_CONTAINER } from '../../provision/waypoint-objects.ts';
import { complain, type Layer, overlaid, valueAt } from './overlays.ts';
import type { WaypointPart } from './parts.ts';
import { checkPodRights } from './pod-rights.ts';
import {
  DRAIN_DELAY_SECONDS,
  GRACE_SECONDS,
  type WaypointInput,
  waypointParts,
} from './waypoint-parts.ts';

export interface BuiltWaypoint {
  readonly parts: readonly WaypointPart[];
  /** Not empty: the overlays are not to be used. */
  readonly findings: readonly Finding[];
}

/** Each overlay is laid over what the ones before it made. */
export function buildWaypoint(
  input: Omit<WaypointInput, 'hasAutoscaler'>,
  layers: readonly Layer[],
): BuiltWaypoint {
  const findings: Finding[] = [];
  const hasAutoscaler = layers.some(
    ({ overlays }) => overlays.horizontalPodAutoscaler !== undefined,
  );
  const parts = waypointParts({ ...input, hasAutoscaler }).map((part) => {
    const merged = overlaid(part, layers, findings);
    if (part.kind === 'deployment') checkPodRights(merged.object, findings);
    const isSound = part.kind === 'deployment' && findings.length === 0;
    return isSound ? { ...merged, object: withEnvironment(merged.object) } : merged;
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

/** What the program must hear of its own pod: how long it has to end, and on how many threads it may run. */
function withEnvironment(deployment: KubeObject): KubeObject {
  const spec = deployment['spec'] as Json;
  const template = spec['template'] as Json;
  const pod = template['spec'] as Json;
  const containers = (pod['containers'] as readonly Json[]).map((container) =>
    container['name'] === WAYPOINT_CONTAINER
      ? { ...container, env: environmentOf(container, pod) }
      : container,
  );
  return {
    ...deployment,
    spec: { ...spec, template: { ...template, spec: { ...pod, containers } } },
  };
}

function environmentOf(container: Json, pod: Json): readonly Json[] {
  const env = (container['env'] ?? []) as readonly Json[];
  const isSaid = (name: string): boolean => env.some((one) => one['name'] === name);
  const grace = pod['terminationGracePeriodSeconds'];
  const said = [
    ...drainEnvironment(typeof grace === 'number' ? Math.max(1, grace) : GRACE_SECONDS),
    // Without a bound the number of the node's CPUs says nothing about this container.
    ...(valueAt(container, 'resources.limits.cpu') === undefined ? [] : [WORKERS]),
  ];
  return [...env, ...said.filter(({ name }) => !isSaid(String(name)))];
}

/** The delay is part of the grace, and never most of it. */
function drainEnvironment(graceSeconds: number): readonly Json[] {
  const delaySeconds = Math.min(DRAIN_DELAY_SECONDS, Math.floor(graceSeconds / 3));
  return [
    { name: 'TERMINATION_GRACE_PERIOD_SECONDS', value: String(graceSeconds) },
    ...(delaySeconds === 0 ? [] : [{ name: 'AMBIT_DRAIN_DELAY', value: `${delaySeconds}s` }]),
  ];
}

const WORKERS: Json = {
  name: 'AMBIT_WORKERS',
  valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1' } },
};
