/**
 * Annotations that only the mesh itself writes, on what it puts in force in place of an object that is refused.
 *
 * The one rule: nobody's object says them. They give a policy a reach that its namespace does not have.
 */
import type { View } from './view.ts';

/** On what is in force instead of a security object that is refused and was never accepted. */
export const STAND_IN = 'ambit.io/stand-in';

/** Its value where a waypoint made it, of a policy whose scope it could not read: that may target a class of waypoints from any namespace. */
export const UNREAD = 'unread';

/** On one of which nobody knows where it was to hold: it does in its namespace, and at whatever it could have named there. */
export const ANYWHERE = 'ambit.io/stand-in-anywhere';

/** Refuses them with any value: what stands in is marked after it was read. */
export function reservedAnnotationRules(root: View): void {
  for (const name of [STAND_IN, ANYWHERE]) {
    const annotation = root.at('metadata', 'annotations', name);
    if (!annotation.exists) continue;
    annotation.complain({
      code: 'RESERVED_ANNOTATION',
      message:
        'is for what the mesh puts in place of a refused object; an object that is written cannot say it',
      allowed: 'any annotation but ambit.io/stand-in and ambit.io/stand-in-anywhere',
      fix: 'remove it',
    });
  }
}
