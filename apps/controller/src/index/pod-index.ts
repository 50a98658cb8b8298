/** Running pods as the CA asks for them: by name, and by service account and node. */
import type { MeshObject, ObjectKey, Pod } from '@ambit/api';
import type { PodIndex, PodRecord } from '@ambit/identity';

export class ObjectPodIndex implements PodIndex {
  readonly #objects: ReadonlyMap<ObjectKey, MeshObject>;
  /** `namespace/account/node` to the keys of pods there that have not failed. */
  readonly #byAccount = new Map<string, Set<ObjectKey>>();
  readonly #places = new Map<ObjectKey, string>();

  constructor(objects: ReadonlyMap<ObjectKey, MeshObject>) {
    this.#objects = objects;
  }

  /** To be called for every object that was written or taken away. */
  update(key: ObjectKey): void {
    if (!key.startsWith('Pod/')) return;
    const before = this.#places.get(key);
    if (before !== undefined) {
      const keys = this.#byAccount.get(before);
      keys?.delete(key);
      if (keys?.size === 0) this.#byAccount.delete(before);
      this.#places.delete(key);
    }
    const object = this.#objects.get(key);
    if (object?.kind !== 'Pod' || object.status.phase === 'Failed') return;
    const place = placeOf(object);
    this.#places.set(key, place);
    const keys = this.#byAccount.get(place);
    if (keys === undefined) this.#byAccount.set(place, new Set([key]));
    else keys.add(key);
  }

  pod(namespace: string, name: string): PodRecord | undefined {
    const object = this.#objects.get(`Pod/${namespace}/${name}`);
    if (object?.kind !== 'Pod') return undefined;
    return {
      uid: object.metadata.uid ?? '',
      serviceAccount: accountOf(object),
      node: object.spec.nodeName,
    };
  }

  hasPodOnNode(query: {
    readonly namespace: string;
    readonly serviceAccount: string;
    readonly node: string;
  }): boolean {
    return this.#byAccount.has(`${query.namespace}/${query.serviceAccount}/${query.node}`);
  }
}

export function accountOf({ spec }: Pod): string {
  return spec.serviceAccountName || 'default';
}

function placeOf(pod: Pod): string {
  return `${pod.metadata.namespace}/${accountOf(pod)}/${pod.spec.nodeName}`;
}
