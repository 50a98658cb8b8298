/**
 * When a node carries the taint.
 *
 * A new node does at once, until its first agent is ready. One that had an agent gets it when none was ready for a while, so that a
 * restart is no reason. While more than half of the nodes have lost theirs, something else is wrong than a node: then no further
 * node is closed to everybody's pods, and the CNI plugin alone holds back those of the mesh. And where no agent at all becomes
 * ready, all are freed: agents may be waiting for a pod, such as the one of DNS, that has nowhere to go.
 */
import type { Clock } from '@ambit/core';

import { isTainted, type NodeFacts } from './node-facts.ts';

/** Longer than an agent takes to start again. */
export const AGENT_GRACE_MS = 30_000;
/** Without a ready agent anywhere for so long, the taint keeps away what agents need. */
export const NOBODY_READY_MS = 60_000;
/** A node of this age may have waited for a new leader. */
const NEW_NODE_MS = 120_000;

export interface AgentPresence {
  /** The DaemonSet wants an agent there. */
  readonly isWanted: boolean;
  readonly isReady: boolean;
}

export interface TaintVerdict {
  readonly isTainted: boolean;
  /** Asks again then, also if nothing changes. */
  readonly againInMs?: number;
}

interface Known {
  readonly uid: string;
  /** Monotonic; since when no agent is ready. Undefined while one is. */
  lostAtMs: number | undefined;
  /** Never had an agent that this process knows of, and is young. */
  isNew: boolean;
}

export class TaintPlan {
  readonly #clock: Clock;
  readonly #graceMs: number;
  /** Nodes that an agent is wanted on. */
  readonly #known = new Map<string, Known>();
  readonly #lost = new Set<string>();
  readonly #ready = new Set<string>();
  /** Monotonic; since when no agent is ready anywhere. */
  #nobodySinceMs: number;

  constructor({
    clock,
    graceMs = AGENT_GRACE_MS,
  }: { readonly clock: Clock; readonly graceMs?: number }) {
    this.#clock = clock;
    this.#graceMs = graceMs;
    this.#nobodySinceMs = clock.now();
  }

  /** Nodes that had an agent, or are too old to be new, and have no ready one. */
  get lost(): number {
    return this.#lost.size;
  }

  /** All nodes are to be judged again when this changes. */
  get isAnyReady(): boolean {
    return this.#ready.size > 0;
  }

  judge(node: NodeFacts, { isWanted, isReady }: AgentPresence): TaintVerdict {
    const { name } = node;
    if (!isWanted) {
      this.forget(name);
      return { isTainted: false };
    }
    const known = this.#knownOf(node);
    if (isReady) {
      known.lostAtMs = undefined;
      known.isNew = false;
      this.#lost.delete(name);
      this.#ready.add(name);
      return { isTainted: false };
    }
    this.#unready(name);
    known.lostAtMs ??= this.#clock.now();
    if (!known.isNew) this.#lost.add(name);
    if (this.#ready.size > 0) return this.#judgeWaiting(node, known);
    const leftMs = this.#nobodySinceMs + NOBODY_READY_MS - this.#clock.now();
    if (leftMs <= 0) return { isTainted: false, againInMs: this.#graceMs };
    const verdict = this.#judgeWaiting(node, known);
    return { ...verdict, againInMs: Math.min(leftMs, verdict.againInMs ?? leftMs) };
  }

  #judgeWaiting({ taints }: NodeFacts, { isNew, lostAtMs = 0 }: Known): TaintVerdict {
    if (isNew || isTainted(taints)) return { isTainted: true };
    const leftMs = lostAtMs + this.#graceMs - this.#clock.now();
    if (leftMs > 0) return { isTainted: false, againInMs: leftMs };
    return this.#isWidespread
      ? { isTainted: false, againInMs: this.#graceMs }
      : { isTainted: true };
  }

  forget(name: string): void {
    this.#known.delete(name);
    this.#lost.delete(name);
    this.#unready(name);
  }

  #unready(name: string): void {
    if (this.#ready.delete(name) && this.#ready.size === 0) this.#nobodySinceMs = this.#clock.now();
  }

  get #isWidespread(): boolean {
    return this.#lost.size > Math.max(1, this.#known.size / 2);
  }

  #knownOf({ name, uid, createdAtMs }: NodeFacts): Known {
    const known = this.#known.get(name);
    if (known?.uid === uid) return known;
    this.forget(name);
    const isNew = this.#clock.wallNow() - createdAtMs < NEW_NODE_MS;
    const made: Known = { uid, lostAtMs: undefined, isNew };
    this.#known.set(name, made);
    return made;
  }
}
