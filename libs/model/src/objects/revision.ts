/**
 * Whose an object is where two meshes are in one cluster: the label `istio.io/rev` of the object itself,
 * else of its namespace, names the control plane. Without any it is the default one's.
 */
import type { MeshObject } from '@ambit/api';
import type { Labels } from './keys.ts';

export const REVISION = 'istio.io/rev';
export const DEFAULT_REVISION = 'default';

/** Labels from the object outwards; the first that has the label decides. */
export function isOwnedBy(
  revision: string = DEFAULT_REVISION,
  ...labels: readonly Labels[]
): boolean {
  const said = labels.map((each) => each[REVISION]).find((value) => value !== undefined);
  return (said ?? DEFAULT_REVISION) === revision;
}

/** Kinds that describe the cluster and not a mesh: they are there for both. */
const OF_THE_CLUSTER: ReadonlySet<MeshObject['kind']> = new Set<MeshObject['kind']>([
  'Namespace',
  'Node',
  'Pod',
  'Service',
  'EndpointSlice',
  'Gateway',
  'GatewayClass',
]);

/**
 * An object that names another mesh's revision configures that one alone. One that names none configures both, so
 * that a policy holds while its namespace moves from one to the other. Whose a Gateway is depends on its namespace too.
 */
export function isForeign({ kind, metadata }: MeshObject, revision = DEFAULT_REVISION): boolean {
  return isOfAnother(kind, metadata.labels[REVISION], revision);
}

/** The same of what could not be read but for its kind and this label. */
export function isOfAnother(
  kind: string,
  said: string | undefined,
  revision = DEFAULT_REVISION,
): boolean {
  return !OF_THE_CLUSTER.has(kind as MeshObject['kind']) && said !== undefined && said !== revision;
}
