/**
 * The label `istio.io/rev` of what is in force instead of a refused object: the one that is written now.
 *
 * The rule: beside another mesh a refused object is whose it says it is. What stands in for another mesh's object is that mesh's too,
 * and so nothing here.
 */
import type { MeshObject } from '@ambit/api';
import { REVISION } from '@ambit/model';

type Json = Readonly<Record<string, unknown>>;

/** Empty where it has none, or none that can be read: then it could be ours. */
export function revisionOf(written: Json): MeshObject['metadata']['labels'] {
  const said = recordOf(recordOf(written['metadata'])['labels'])[REVISION];
  return typeof said === 'string' ? { [REVISION]: said } : {};
}

/** The same for what is told of a refused version. */
export function saidRevision(written: Json): { readonly revision?: string } {
  const { [REVISION]: revision } = revisionOf(written);
  return revision === undefined ? {} : { revision };
}

/** An earlier version under the revision that the refused one has. Of pods and namespaces every label is part of what they are. */
export function underRevisionOf(written: Json, accepted: MeshObject): MeshObject {
  const said = revisionOf(written)[REVISION];
  const { metadata } = accepted;
  if (metadata.labels[REVISION] === said || !isOfMesh(accepted)) return accepted;
  const { [REVISION]: _, ...others } = metadata.labels;
  const labels = said === undefined ? others : { ...others, [REVISION]: said };
  return { ...accepted, metadata: { ...metadata, labels } };
}

function isOfMesh({ apiVersion }: MeshObject): boolean {
  const [group = ''] = apiVersion.split('/');
  return group.endsWith('.istio.io') || group === 'gateway.networking.k8s.io';
}

function recordOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : {};
}
