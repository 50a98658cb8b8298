/**
 * Owner references and finalizers.
 *
 * Both are lists that others write too, so they are changed with the version they were read at.
 */
import type { CallOptions, KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import type { GroupVersionResource, KubeObject, OwnerReference } from './resources.ts';

/** The reference by which an object goes when its controlling owner goes. Throws KUBE_CONFIG_INVALID for an owner without uid. */
export function ownerReferenceOf(owner: KubeObject): OwnerReference {
  const { apiVersion, kind } = owner;
  const { name, uid } = owner.metadata;
  if (apiVersion === undefined || kind === undefined || uid === undefined) {
    const message = `owner "${name}" has no apiVersion, kind or uid: it was not read from the server`;
    throw new KubeError('KUBE_CONFIG_INVALID', message);
  }
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/** True if the object's controller is this owner, by uid. */
export function isOwnedBy(object: KubeObject, owner: KubeObject): boolean {
  return (object.metadata.ownerReferences ?? []).some(
    (reference) => reference.controller === true && reference.uid === owner.metadata.uid,
  );
}

/** Answers the object with the finalizer, unchanged if it has it. KUBE_CONFLICT if the object has changed since it was read. */
export async function addFinalizer(
  client: KubeClient,
  gvr: GroupVersionResource,
  { object, finalizer, ...options }: FinalizerChange,
): Promise<KubeObject> {
  const finalizers = object.metadata.finalizers ?? [];
  return finalizers.includes(finalizer)
    ? object
    : await write(client, gvr, { object, finalizers: [...finalizers, finalizer], ...options });
}

/** Answers the object without the finalizer; then it may already be gone. KUBE_CONFLICT as above. */
export async function removeFinalizer(
  client: KubeClient,
  gvr: GroupVersionResource,
  { object, finalizer, ...options }: FinalizerChange,
): Promise<KubeObject> {
  const before = object.metadata.finalizers ?? [];
  const finalizers = before.filter((f) => f !== finalizer);
  return finalizers.length === before.length
    ? object
    : await write(client, gvr, { object, finalizers, ...options });
}

export interface FinalizerChange extends CallOptions {
  /** As read: the resourceVersion is what the change is made against. */
  readonly object: KubeObject;
  /** `domain/name`. */
  readonly finalizer: string;
}

async function write(
  client: KubeClient,
  gvr: GroupVersionResource,
  options: CallOptions & { readonly object: KubeObject; readonly finalizers: readonly string[] },
): Promise<KubeObject> {
  const { object, finalizers, signal } = options;
  const { resourceVersion, uid } = object.metadata;
  return await client.patch(gvr, object.metadata, {
    type: 'merge',
    patch: { metadata: { resourceVersion, uid, finalizers } },
    signal,
  });
}
