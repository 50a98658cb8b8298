/**
 * Which pods agents have captured. An agent speaks for the pods of its own node, and what it said stays
 * true while it is gone, also for the next process here: the rules in the pods' namespaces outlive both.
 *
 * A claim may come before its pod is known, so claims are kept as they came and count once they fit. An agent
 * that starts names its pods one after another; what it said before holds for a while after it came back. It may
 * come back to another replica: of several streams that speak for a node, here or elsewhere, the newest is right.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';

export interface CaptureChange {
  readonly add: readonly string[];
  readonly remove: readonly string[];
  /** Of `add`, those that nobody named. */
  readonly presumed?: readonly string[];
  /** Pods that another replica knows to wait for their agent. */
  readonly awaited?: readonly string[];
}

/** A stream of an agent. */
export interface Speaker {
  readonly id: string;
  readonly sinceMs: number;
  /** Its stream is to another replica, which says it. */
  readonly isElsewhere?: boolean;
  /** What that replica still holds of earlier streams. */
  readonly earlier?: readonly string[];
}

/** Uids that one node may claim; what is over is not counted. */
const UIDS_PER_NODE_MAX = 2_000;
/** Streams that may speak for one node at a time; beyond, the oldest is forgotten. */
const SPEAKERS_PER_NODE_MAX = 8;
/** Until an agent that came back has said all that it holds; taking over a full node takes seconds. */
export const RECLAIM_MS = 60_000;
const POD_UID = /\/\/Pod\/([^/]+)\/([^/]+)$/;
const NOTHING: ReadonlySet<string> = new Set();
const NO_CHANGE: CaptureChange = { add: [], remove: [] };

interface Voice {
  readonly speaker: Speaker;
  readonly uids: ReadonlySet<string>;
}

interface Claims {
  /** The stream that speaks; nothing after a start, and while the agent is gone. */
  readonly speaker: Speaker | undefined;
  readonly now: ReadonlySet<string>;
  /** Said on an earlier stream and not on this one yet. */
  readonly earlier: ReadonlySet<string>;
}

/** What one node claims, for other replicas. */
export interface NodeClaims {
  readonly node: string;
  /** Nothing while its agent is gone. */
  readonly sinceMs: number | undefined;
  readonly now: ReadonlySet<string>;
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
  /** Streams that are open, by node and id. */
  readonly #voices = new Map<string, Map<string, Voice>>();
  /** Id of a stream to the node that it speaks for. */
  readonly #places = new Map<string, string>();
  /** Uid to the node that holds it. */
  readonly #captured = new Map<string, string>();
  /** Held though nobody said so: no policy is in force there on that account. */
  readonly #presumed = new Set<string>();
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
      this.#claims.set(node, { speaker: undefined, now: NOTHING, earlier });
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

  /** Pods that run on a node and that its agent has captured, in order. Not those that are presumed to be. */
  of(node: string): readonly string[] {
    const claims = this.#claims.get(node);
    if (claims === undefined) return [];
    return [...claims.now, ...claims.earlier].filter((uid) => this.isCaptured(node, uid)).sort();
  }

  /** Whether a pod is among those of `of`. */
  isCaptured(node: string, uid: string): boolean {
    return this.#captured.get(uid) === node && !this.#presumed.has(uid);
  }

  /** By node, what nobody else can say better: of nodes that speak here, and of those that speak nowhere. */
  own(): ReadonlyMap<string, NodeClaims> {
    const own = new Map<string, NodeClaims>();
    for (const [node, { speaker, now, earlier }] of this.#claims) {
      if (speaker?.isElsewhere === true) continue;
      if (speaker === undefined && [...earlier].some((uid) => this.#presumed.has(uid))) continue;
      own.set(node, { node, sinceMs: speaker?.sinceMs, now, earlier });
    }
    return own;
  }

  /** What an agent claims now on one stream, whole. */
  claim(node: string, uids: ReadonlySet<string>, speaker: Speaker): CaptureChange {
    const now = new Set([...uids].slice(0, UIDS_PER_NODE_MAX));
    this.refused += uids.size - now.size;
    const voices = this.#voices.get(node) ?? new Map<string, Voice>();
    this.#voices.set(node, voices);
    voices.set(speaker.id, { speaker, uids: now });
    this.#places.set(speaker.id, node);
    const oldest = voices.size > SPEAKERS_PER_NODE_MAX ? newest(voices, -1) : undefined;
    if (oldest !== undefined) {
      voices.delete(oldest.speaker.id);
      this.#places.delete(oldest.speaker.id);
    }
    return this.#listen(node);
  }

  /** A stream has ended. What it said holds until another one speaks. */
  release(id: string): CaptureChange {
    const node = this.#places.get(id);
    const voices = node === undefined ? undefined : this.#voices.get(node);
    if (node === undefined || voices === undefined) return NO_CHANGE;
    this.#places.delete(id);
    voices.delete(id);
    if (voices.size > 0) return this.#listen(node);
    this.#voices.delete(node);
    const claims = this.#claims.get(node);
    if (claims !== undefined) this.#claims.set(node, { ...claims, speaker: undefined });
    return NO_CHANGE;
  }

  /** What another replica remembers of a node that nobody here has heard of. */
  adopt(node: string, uids: readonly string[]): CaptureChange {
    if (this.#claims.has(node) || uids.length === 0) return NO_CHANGE;
    const earlier = new Set(uids.slice(0, UIDS_PER_NODE_MAX));
    this.#claims.set(node, { speaker: undefined, now: NOTHING, earlier });
    return this.#settle(uids);
  }

  /**
   * Pods that may have been captured before anybody here, or at another replica, could remember it: after all replicas have ended at
   * once. They count as captured until the agent of their node has spoken, and as long after as an agent that comes back has.
   */
  presume(uids: Iterable<string>): CaptureChange {
    const byNode = new Map<string, string[]>();
    for (const uid of uids) {
      const node = this.#nodeOf(uid) ?? '';
      if (node === '' || this.#claims.has(node)) continue;
      byNode.set(node, [...(byNode.get(node) ?? []), uid]);
    }
    const add = [...byNode].flatMap(([node, held]) => this.adopt(node, held).add);
    for (const uid of add) this.#presumed.add(uid);
    return { add, remove: [], presumed: add };
  }

  /**
   * Of pods that are about to be written, those that the agents of their nodes have named already, for the same batch: nobody is told
   * that a pod is captured by nobody because it was named before it was known.
   */
  namedOf(pods: Iterable<MeshObject>, clusterId: string): readonly string[] {
    return [...pods].flatMap((pod) => {
      if (pod.kind !== 'Pod') return [];
      const uid = `${clusterId}//Pod/${pod.metadata.namespace}/${pod.metadata.name}`;
      const claims = this.#claims.get(pod.spec.nodeName);
      const isNamed = claims?.now.has(uid) === true || claims?.earlier.has(uid) === true;
      return isNamed && !this.#presumed.has(uid) ? [uid] : [];
    });
  }

  /** Pods that were written or taken away. */
  update(keys: Iterable<ObjectKey>, clusterId: string): CaptureChange {
    const uids = [...keys].flatMap((key) =>
      key.startsWith('Pod/') ? [`${clusterId}//${key}`] : [],
    );
    return this.#settle(uids);
  }

  /** Takes the word of the newest stream of a node. */
  #listen(node: string): CaptureChange {
    const voice = newest(this.#voices.get(node) ?? new Map(), 1);
    if (voice === undefined) return NO_CHANGE;
    const { speaker, uids: now } = voice;
    // What was presumed is now said, which is something else.
    const confirmed = [...now].filter((uid) => this.#presumed.delete(uid));
    const before = this.#claims.get(node);
    const isSame = before?.speaker?.id === speaker.id;
    const held = [
      ...(before?.earlier ?? []),
      ...(isSame ? [] : [...(before?.now ?? []), ...(speaker.earlier ?? [])]),
    ];
    const earlier = new Set(held.filter((uid) => !now.has(uid)).slice(0, UIDS_PER_NODE_MAX));
    this.#claims.set(node, { speaker, now, earlier });
    if (!isSame && earlier.size > 0) this.#lapseLater(node, speaker.id);
    // One pod more is one pod to look at, however many its node has; those that move are seen by `update`.
    const heard = before?.now ?? NOTHING;
    const gone = [...heard].filter((uid) => !now.has(uid));
    const come = [...now].filter((uid) => !heard.has(uid));
    const { add, remove } = this.#settle([...gone, ...held, ...come]);
    const said = confirmed.filter((uid) => this.#captured.get(uid) === node);
    return { add: [...new Set([...add, ...said])], remove };
  }

  #lapseLater(node: string, id: string): void {
    const { clock, onLapse } = this.#options;
    clock.sleep(RECLAIM_MS, this.#stopping.signal).then(
      () => {
        const claims = this.#claims.get(node);
        if (claims?.speaker?.id !== id) return;
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
      else {
        this.#captured.delete(uid);
        this.#presumed.delete(uid);
      }
    }
    return { add, remove };
  }

  #nodeOf(uid: string): string | undefined {
    const match = POD_UID.exec(uid);
    const pod = this.#options.objects.get(`Pod/${match?.[1] ?? ''}/${match?.[2] ?? ''}`);
    return pod?.kind === 'Pod' ? pod.spec.nodeName : undefined;
  }
}

/** The voice that began last, or with `-1` first. */
function newest(voices: ReadonlyMap<string, Voice>, order: 1 | -1): Voice | undefined {
  let found: Voice | undefined;
  for (const voice of voices.values()) {
    const later = voice.speaker.sinceMs - (found?.speaker.sinceMs ?? 0);
    if (found === undefined || later * order > 0 || (later === 0 && order === 1)) found = voice;
  }
  return found;
}
