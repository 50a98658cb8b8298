/**
 * What callers do while a waypoint has no ready instance and no policy is its business: wait at a closed door, or go past it.
 *
 * Rule: the way past it is only for routes. What policy guards stays closed, whatever is written.
 */
import type { Finding, MeshObject, Namespace } from '@ambit/api';

import { WAYPOINT_FALLBACK } from '../objects/labels.ts';
import type { Binding, WaypointDefinition } from './waypoints.ts';

/** `direct` for lack of a waypoint; whatever else is written refuses. */
export type WaypointFallback = 'direct' | 'refuse';

/** What holds for one binding. */
export interface FallbackChoice {
  readonly mode: WaypointFallback;
  /** Somebody said so, rather than nobody anything. */
  readonly isWritten: boolean;
}

type Metadata = Pick<MeshObject['metadata'], 'labels' | 'annotations'>;

const SHOWN_MAX = 80;

/** As written on one object, an annotation before a label. */
export function writtenFallback({ labels, annotations }: Metadata): WaypointFallback | undefined {
  const written = annotations[WAYPOINT_FALLBACK] ?? labels[WAYPOINT_FALLBACK];
  if (written === undefined) return undefined;
  return written === 'direct' ? 'direct' : 'refuse';
}

/**
 * The object's own word before its namespace's before the Gateway's. Where nobody said anything: a waypoint that somebody asked for is
 * waited for; one that comes because of a route lets traffic pass until it is there, so that the first route of a service breaks nothing.
 */
export function fallbackOf(
  own: WaypointFallback | undefined,
  context: {
    readonly binding: Binding;
    readonly namespaceObject: Namespace | undefined;
    readonly definition: WaypointDefinition | undefined;
  },
): FallbackChoice {
  const { binding, namespaceObject, definition } = context;
  const ofNamespace =
    namespaceObject === undefined ? undefined : writtenFallback(namespaceObject.metadata);
  const written = own ?? ofNamespace ?? definition?.fallback;
  if (written !== undefined) return { mode: written, isWritten: true };
  const isAskedFor = binding.isLabelled || definition?.object !== undefined;
  return { mode: isAskedFor ? 'refuse' : 'direct', isWritten: false };
}

/** A value that means nothing. */
export function fallbackFindings({ metadata }: Pick<MeshObject, 'metadata'>): readonly Finding[] {
  return (['annotations', 'labels'] as const).flatMap((where): readonly Finding[] => {
    const written = metadata[where][WAYPOINT_FALLBACK];
    if (written === undefined || written === 'direct' || written === 'refuse') return [];
    return [
      {
        code: 'WAYPOINT_FALLBACK_UNKNOWN',
        severity: 'warning',
        path: `metadata.${where}["${WAYPOINT_FALLBACK}"]`,
        message: 'is no way to go without a waypoint: callers are refused until it is ready',
        found: JSON.stringify(written).slice(0, SHOWN_MAX),
        allowed: 'direct, refuse',
      },
    ];
  });
}
