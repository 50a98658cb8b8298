/** A waypoint's parts with overlays laid over them. Tests only. */
import type { Finding } from '@ambit/api';

import { buildWaypoint } from './build-waypoint.ts';
import { parseOverlays } from './overlays.ts';
import type { PartKind } from './parts.ts';
import { onDemand, SETTINGS } from './provision.testing.ts';

/** `data` is that of one ConfigMap, of a Gateway's own unless `isOfClass`. */
export function build(
  data: Readonly<Record<string, string>> = {},
  more: Partial<Parameters<typeof buildWaypoint>[0]> & { readonly isOfClass?: boolean } = {},
) {
  const findings: Finding[] = [];
  const layer = { overlays: parseOverlays(data, findings), isOfClass: more.isOfClass === true };
  const input = { spec: onDemand('shop'), settings: SETTINGS, serviceType: 'ClusterIP', ...more };
  const built = buildWaypoint(input, [layer]);
  const part = (kind: PartKind): unknown => built.parts.find((one) => one.kind === kind)?.object;
  return {
    part,
    kinds: built.parts.map(({ kind }) => kind),
    findings: [...findings, ...built.findings],
  };
}

/** An overlay of the pods. */
export function pod(text: string): Readonly<Record<string, string>> {
  return { deployment: `spec: {template: {spec: ${text}}}` };
}
