/** Of which objects the accepted version outlives a restart, wherever it is kept. */
import type { MeshObject } from '@ambit/api';

/** What the cluster writes all the time and writes again by itself. */
const NOT_KEPT: ReadonlySet<MeshObject['kind']> = new Set(['Pod', 'Node', 'EndpointSlice']);

export function isKept({ kind }: MeshObject): boolean {
  return !NOT_KEPT.has(kind);
}
