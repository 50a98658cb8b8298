/**
 * Names of resources and their paths.
 *
 * A name is never empty in a path: `DELETE …/pods/` would mean every pod.
 */
import { KubeError } from './errors.ts';

/** `group` is empty for the core group. */
export interface GroupVersionResource {
  readonly group: string;
  readonly version: string;
  /** Plural, lower case: `pods`. */
  readonly resource: string;
}

export interface ObjectRef {
  /** Absent for cluster-scoped resources. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid: string;
  readonly controller?: boolean;
  readonly blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly generateName?: string;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
}

/** An object as the server gave it. What is beside the metadata is not checked. */
export interface KubeObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

export interface ResourcePath {
  readonly namespace?: string | undefined;
  readonly name?: string | undefined;
  readonly subresource?: string | undefined;
}

/** `/api/v1/namespaces/NS/pods/NAME/SUB`. Throws KUBE_CONFIG_INVALID for an empty or unsafe part. */
export function pathOf(
  { group, version, resource }: GroupVersionResource,
  { namespace, name, subresource }: ResourcePath = {},
): string {
  const root = group === '' ? ['api', version] : ['apis', group, version];
  const parts = [
    ...root,
    ...(namespace === undefined ? [] : ['namespaces', namespace]),
    resource,
    ...(name === undefined ? [] : [name]),
    ...(subresource === undefined ? [] : subresource.split('/')),
  ];
  for (const part of parts) {
    if (part === '' || part === '.' || part === '..') {
      throw new KubeError(
        'KUBE_CONFIG_INVALID',
        `"${part}" is no part of a path of ${resource}: names are not empty`,
      );
    }
  }
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

/** `namespace/name`, or `name` for what has no namespace. */
export function keyOf(ref: ObjectRef): string {
  return ref.namespace === undefined || ref.namespace === ''
    ? ref.name
    : `${ref.namespace}/${ref.name}`;
}

/** The reverse of `keyOf`. */
export function parseKey(key: string): ObjectRef {
  const slash = key.indexOf('/');
  return slash === -1
    ? { name: key }
    : { namespace: key.slice(0, slash), name: key.slice(slash + 1) };
}
