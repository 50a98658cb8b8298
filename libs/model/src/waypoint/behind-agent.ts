/**
 * Waypoints that leave the end of their tunnels to the agent of their pods (the reference's sandwich): which they are, by the annotation
 * of their Gateway or else of its GatewayClass.
 *
 * Rule: such a proxy gets neither policies nor routes of this mesh, so nothing is taken as decided because it came from there.
 */
import {
  type Gateway,
  type GatewayClass,
  INBOUND_BINDING,
  type ObjectKey,
  parseInboundBinding,
} from '@ambit/api';

import { keyOf } from '../objects/keys.ts';
import type { ApplicationTunnel } from '../types.ts';

/** What is written of one. */
export interface BehindAgent {
  /** Whose annotation it is. */
  readonly object: ObjectKey;
  readonly written: string;
  /** Undefined where that says nothing known: then nothing is handed to it. */
  readonly tunnel?: ApplicationTunnel;
}

/** Of the first of them that has the annotation; undefined: the waypoint ends its tunnels itself. */
export function inboundBindingOf(
  ...objects: readonly (Gateway | GatewayClass | undefined)[]
): BehindAgent | undefined {
  for (const object of objects) {
    const written = object?.metadata.annotations[INBOUND_BINDING];
    if (object === undefined || written === undefined) continue;
    const tunnel = parseInboundBinding(written);
    return { object: keyOf(object), written, ...(tunnel === undefined ? {} : { tunnel }) };
  }
  return undefined;
}

/** The listener that says who may use it, as the reference finds it: that of the binding, else the one for tunnels. */
export function boundListener(
  { spec }: Gateway,
  behind: BehindAgent | undefined,
): Gateway['spec']['listeners'][number] | undefined {
  const { listeners } = spec;
  const forTunnels = listeners.find(({ protocol }) => protocol === 'HBONE');
  if (behind === undefined) return forTunnels ?? listeners[0];
  const { port = 0, protocol } = behind.tunnel ?? {};
  const bound =
    port === 0
      ? listeners.find((one) => protocol === 'PROXY' && one.protocol === 'istio.io/PROXY')
      : listeners.find((one) => one.port === port);
  return bound ?? forTunnels;
}
