/**
 * Which pods agents have captured. An agent speaks for the pods of its own node, and what it said stays
 * true while it is gone: the rules in the pods' namespaces outlive it.
 *
 * A claim may come before its pod is known, so claims are kept as they came and count once they fit.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';

export interface CaptureChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** Uids that one node may claim; what is over is not counted. */
const UIDS_PER_NODE_MAX = 2_000;
const POD_UID = /\/\/Pod\/([^/]+)\/([^/]+)$/;

export class Captures {
  readonly #objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly #claims = new Map<string, ReadonlySet<string>>();
  /** Uid to the node that holds it. */
  readonly #captured = new Map<string, string>();
  /** Claims over the bound. */
  refused = 0;

  constructor(objects: ReadonlyMap<ObjectKey, MeshObject>) {
    this.#objects = objects;
  }

  /** Pods that run on a node and that its agent has captured. */
  of(node: string): readonly string[] {
    return [...this.#captured].filter(([, holder]) => holder === node).map(([uid]) => uid);
  }

  /** What an agent claims now, whole. */
  claim(node: string, uids: ReadonlySet<string>): CaptureChange {
    const before = this.#claims.get(node) ?? new Set();
    const claimed = new Set([...uids].slice(0, UIDS_PER_NODE_MAX));
    this.refused += uids.size - claimed.size;
    this.#claims.set(node, claimed);
    return this.#settle([...before, ...claimed]);
  }

  /** Pods that were written or taken away. */
  update(keys: Iterable<ObjectKey>, clusterId: string): CaptureChange {
    const uids = [...keys].flatMap((key) =>
      key.startsWith('Pod/') ? [`${clusterId}//${key}`] : [],
    );
    return this.#settle(uids);
  }

  #settle(uids: readonly string[]): CaptureChange {
    const add: string[] = [];
    const remove: string[] = [];
    for (const uid of new Set(uids)) {
      const node = this.#nodeOf(uid);
      const isHeld = node !== undefined && this.#claims.get(node)?.has(uid) === true;
      if (isHeld && !this.#captured.has(uid)) add.push(uid);
      if (!isHeld && this.#captured.has(uid)) remove.push(uid);
      if (isHeld) this.#captured.set(uid, node);
      else this.#captured.delete(uid);
    }
    return { add, remove };
  }

  #nodeOf(uid: string): string | undefined {
    const match = POD_UID.exec(uid);
    const pod = this.#objects.get(`Pod/${match?.[1] ?? ''}/${match?.[2] ?? ''}`);
    return pod?.kind === 'Pod' ? pod.spec.nodeName : undefined;
  }
}
