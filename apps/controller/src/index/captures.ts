/**
 * Which pods agents have captured. An agent speaks for the pods of its own node, and what it said stays
 * true while it is gone, also for the next process here: the rules in the pods' namespaces outlive both.
 *
 * A claim may come before its pod is known, so claims are kept as they came and count once they fit. An agent
 * that starts names its pods one after another; what it said before holds for a while after it came back.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';

export interface CaptureChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
}

/** Uids that one node may claim; what is over is not counted. */
const UIDS_PER_NODE_MAX = 2_000;
/** Until an agent that came back has said all that it holds; taking over a full node takes seconds. */
export const RECLAIM_MS = 60_000;
const POD_UID = /\/\/Pod\/([^/]+)\/([^/]+)$/;
const NOTHING: ReadonlySet<string> = new Set();

interface Claims {
  /** The stream that speaks; nothing after a start. */
  readonly stream: number | undefined;
  readonly now: ReadonlySet<string>;
  /** Said on an earlier stream and not on this one yet. */
  readonly earlier: ReadonlySet<string>;
}

export interface CapturesOptions {
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly clock: Clock;
  /** Pods that an agent did not name again in time. */
  readonly onLapse: (change: CaptureChange) => void;
}

/** What `Captures.save` gives: uids by node. */
export type SavedCaptures = Readonly<Record<string, readonly string[]>>;

export class Captures {
  readonly #options: CapturesOptions;
  readonly #claims = new Map<string, Claims>();
  /** Uid to the node that holds it. */
  readonly #captured = new Map<string, string>();
  readonly #stopping = new AbortController();
  /** Claims over the bound. */
  refused = 0;

  constructor(options: CapturesOptions) {
    this.#options = options;
  }

  /** What an earlier process knew; what does not look like it is left out. */
  restore(json: unknown): void {
    if (typeof json !== 'object' || json === null) return;
    for (const [node, uids] of Object.entries(json)) {
      if (!Array.isArray(uids)) continue;
      const earlier = new Set(uids.filter((uid) => typeof uid === 'string'));
      this.#claims.set(node, { stream: undefined, now: NOTHING, earlier });
    }
  }

  save(): SavedCaptures {
    const nodes = [...this.#claims].sort(([a], [b]) => (a < b ? -1 : 1));
    return Object.fromEntries(
      nodes.map(([node, { now, earlier }]) => [node, [...now, ...earlier].sort()]),
    );
  }

  stop(): void {
    this.#stopping.abort();
  }

  /** Pods that run on a node and that its agent has captured. */
  of(node: string): readonly string[] {
    return [...this.#captured].filter(([, holder]) => holder === node).map(([uid]) => uid);
  }

  /** What an agent claims now on one stream, whole. */
  claim(node: string, uids: ReadonlySet<string>, stream: number): CaptureChange {
    const before = this.#claims.get(node);
    const now = new Set([...uids].slice(0, UIDS_PER_NODE_MAX));
    this.refused += uids.size - now.size;
    const isSame = before?.stream === stream;
    const held = [...(before?.earlier ?? []), ...(isSame ? [] : (before?.now ?? []))];
    const earlier = new Set(held.filter((uid) => !now.has(uid)).slice(0, UIDS_PER_NODE_MAX));
    this.#claims.set(node, { stream, now, earlier });
    if (!isSame && earlier.size > 0) this.#lapseLater(node, stream);
    return this.#settle([...(before?.now ?? []), ...held, ...now]);
  }

  /** Pods that were written or taken away. */
  update(keys: Iterable<ObjectKey>, clusterId: string): CaptureChange {
    const uids = [...keys].flatMap((key) =>
      key.startsWith('Pod/') ? [`${clusterId}//${key}`] : [],
    );
    return this.#settle(uids);
  }

  #lapseLater(node: string, stream: number): void {
    const { clock, onLapse } = this.#options;
    clock.sleep(RECLAIM_MS, this.#stopping.signal).then(
      () => {
        const claims = this.#claims.get(node);
        if (claims?.stream !== stream) return;
        this.#claims.set(node, { ...claims, earlier: NOTHING });
        const change = this.#settle([...claims.earlier]);
        if (change.remove.length > 0) onLapse(change);
      },
      () => undefined, // stopping: the next process waits anew
    );
  }

  #settle(uids: readonly string[]): CaptureChange {
    const add: string[] = [];
    const remove: string[] = [];
    for (const uid of new Set(uids)) {
      const node = this.#nodeOf(uid);
      const claims = node === undefined ? undefined : this.#claims.get(node);
      const isHeld = claims?.now.has(uid) === true || claims?.earlier.has(uid) === true;
      if (isHeld && !this.#captured.has(uid)) add.push(uid);
      if (!isHeld && this.#captured.has(uid)) remove.push(uid);
      if (isHeld && node !== undefined) this.#captured.set(uid, node);
      else this.#captured.delete(uid);
    }
    return { add, remove };
  }

  #nodeOf(uid: string): string | undefined {
    const match = POD_UID.exec(uid);
    const pod = this.#options.objects.get(`Pod/${match?.[1] ?? ''}/${match?.[2] ?? ''}`);
    return pod?.kind === 'Pod' ? pod.spec.nodeName : undefined;
  }
}
