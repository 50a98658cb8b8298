/**
 * What this replica tells the others: its proxies, what their agents have captured, what they have in force.
 *
 * Changes are gathered, and only what differs from what a watcher was told is sent. A watcher that reads slowly costs
 * a set of names and never a queue. Where there is more to tell than the bounds allow nothing is told, so that others
 * take it for a replica that cannot be asked.
 */
import type { Clock } from '@ambit/core';
import { deepEqual } from '@ambit/model';
import type { Logger } from '@ambit/telemetry';
import {
  type OpenReplicaCall,
  type ReplicaAnswer,
  type ReplicaCall,
  type ReplicaProxy,
  XdsError,
} from '@ambit/xds';

import type { NodeClaims } from '../index/captures.ts';
import { type FeedNames, type FeedTables, splitBatch } from './feed-batch.ts';
import { ANSWERS_MAX, AWAITED_MAX, NODES_MAX, PROXIES_MAX } from './remote-state.ts';

const GATHER_MS = 50;
/** Counts and times of subscriptions change with every push, and are for people. */
const DETAILS_MS = 2_000;
const WATCHERS_MAX = 32;

export interface ReplicaFeedOptions {
  /** Name of the pod that this is. */
  readonly self: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly proxies: () => readonly ReplicaProxy[];
  readonly captures: () => ReadonlyMap<string, NodeClaims>;
  readonly answers: () => ReadonlyMap<string, ReplicaAnswer>;
  /** Uids of pods that wait for their agent. */
  readonly awaited: () => Iterable<string>;
}

export class ReplicaFeed {
  readonly #options: ReplicaFeedOptions;
  readonly #watchers = new Map<string, Watcher>();
  readonly #stopping = new AbortController();
  readonly #tables = {
    proxies: new Map<string, ReplicaProxy>(),
    captures: new Map<string, NodeClaims>(),
    answers: new Map<string, ReplicaAnswer>(),
    awaited: new Map<string, true>(),
  };
  /** When a gathering is due; nothing: none is. */
  #dueAtMs: number | undefined;
  #detailsAtMs = 0;
  #overBound: string | undefined;

  constructor(options: ReplicaFeedOptions) {
    this.#options = options;
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  /** Something that others are told may have changed. */
  touch(): void {
    if (this.#watchers.size > 0) this.#gatherIn(GATHER_MS);
  }

  /** Takes the call of another replica. Throws XDS_FORBIDDEN, XDS_LIMIT. */
  watch(call: ReplicaCall): OpenReplicaCall {
    const { self } = this.#options;
    if (call.watcher === self || (call.replica !== '' && call.replica !== self)) {
      throw new XdsError('XDS_FORBIDDEN', `this is ${self}`, { side: 'downstream' });
    }
    const before = this.#watchers.get(call.watcher);
    if (before === undefined && this.#watchers.size >= WATCHERS_MAX) {
      throw new XdsError('XDS_LIMIT', `more than ${WATCHERS_MAX} replicas`, { retryable: true });
    }
    before?.call.fail(new XdsError('XDS_STOPPED', 'asked again', { retryable: true }));
    this.#gather();
    if (this.#overBound !== undefined) throw new XdsError('XDS_LIMIT', this.#overBound);
    const watcher = new Watcher(call, this.#tables, self);
    this.#watchers.set(call.watcher, watcher);
    return {
      resume: () => watcher.resume(),
      close: () => {
        if (this.#watchers.get(call.watcher) === watcher) this.#watchers.delete(call.watcher);
      },
    };
  }

  stop(): void {
    this.#stopping.abort();
    for (const { call } of [...this.#watchers.values()]) {
      call.fail(new XdsError('XDS_STOPPED', 'stopping', { retryable: true }));
    }
    this.#watchers.clear();
  }

  #gatherIn(ms: number): void {
    const { clock } = this.#options;
    const dueAtMs = clock.now() + ms;
    if (this.#stopping.signal.aborted || (this.#dueAtMs ?? Number.POSITIVE_INFINITY) <= dueAtMs) {
      return;
    }
    this.#dueAtMs = dueAtMs;
    clock.sleep(ms, this.#stopping.signal).then(
      () => {
        // A sooner one has taken its place.
        if (this.#dueAtMs === dueAtMs && this.#watchers.size > 0) this.#gather();
        else if (this.#dueAtMs === dueAtMs) this.#dueAtMs = undefined;
      },
      () => undefined, // stopping
    );
  }

  /** Marks what differs at every watcher, and sends what can be sent. */
  #gather(): void {
    this.#dueAtMs = undefined;
    const { proxies, captures, answers, awaited } = this.#options;
    const waiting = new Map([...awaited()].map((uid) => [uid, true] as const));
    const changed: FeedNames = {
      proxies: this.#takeProxies(proxies()),
      captures: take(this.#tables.captures, captures(), isSameClaims),
      answers: take(this.#tables.answers, answers(), isSameAnswer),
      awaited: take(this.#tables.awaited, waiting, () => true),
    };
    if (!this.#isInBounds()) return;
    for (const watcher of [...this.#watchers.values()]) watcher.mark(changed);
  }

  /** What only people look at is kept back for a while. */
  #takeProxies(now: readonly ReplicaProxy[]): ReadonlySet<string> {
    const { clock } = this.#options;
    const isDue = clock.now() >= this.#detailsAtMs;
    if (isDue) this.#detailsAtMs = clock.now() + DETAILS_MS;
    const next = new Map<string, ReplicaProxy>();
    let isOwed = false;
    for (const proxy of now) {
      const before = this.#tables.proxies.get(proxy.id);
      const isKept =
        before !== undefined &&
        !isDue &&
        deepEqual({ ...before, subscriptions: [] }, { ...proxy, subscriptions: [] });
      isOwed ||= isKept && !deepEqual(before, proxy);
      next.set(proxy.id, isKept ? before : proxy);
    }
    if (isOwed) this.#gatherIn(this.#detailsAtMs - clock.now());
    return take(this.#tables.proxies, next, deepEqual);
  }

  #isInBounds(): boolean {
    const { proxies, captures, answers, awaited } = this.#tables;
    const over = [
      proxies.size > PROXIES_MAX ? `${proxies.size} proxies` : '',
      captures.size > NODES_MAX ? `${captures.size} nodes` : '',
      answers.size > ANSWERS_MAX ? `${answers.size} objects` : '',
      awaited.size > AWAITED_MAX ? `${awaited.size} pods that wait` : '',
    ].filter((text) => text !== '');
    const before = this.#overBound;
    this.#overBound = over.length === 0 ? undefined : `too many to tell: ${over.join(', ')}`;
    if (this.#overBound === undefined) return true;
    if (before === undefined) this.#options.log.error('other replicas are told nothing', { over });
    for (const { call } of [...this.#watchers.values()]) {
      call.fail(new XdsError('XDS_LIMIT', this.#overBound));
    }
    this.#watchers.clear();
    return false;
  }
}

/** One other replica that listens: what it must still be told. */
class Watcher {
  readonly call: ReplicaCall;
  readonly #tables: FeedTables;
  readonly #self: string;
  #pending: { readonly [K in keyof FeedNames]: Set<string> };
  #parts: ReturnType<typeof splitBatch> = [];
  #canSend = false;

  constructor(call: ReplicaCall, tables: FeedTables, self: string) {
    this.call = call;
    this.#tables = tables;
    this.#self = self;
    const all = {
      proxies: new Set(tables.proxies.keys()),
      captures: new Set(tables.captures.keys()),
      answers: new Set(tables.answers.keys()),
      awaited: new Set(tables.awaited.keys()),
    };
    this.#pending = emptyNames();
    // Also when there is nothing: that is something to know.
    this.#parts = splitBatch(all, tables, self);
  }

  mark({ proxies, captures, answers, awaited }: FeedNames): void {
    for (const id of proxies) this.#pending.proxies.add(id);
    for (const node of captures) this.#pending.captures.add(node);
    for (const key of answers) this.#pending.answers.add(key);
    for (const uid of awaited) if (this.#tables.awaited.has(uid)) this.#pending.awaited.add(uid);
    this.#flush();
  }

  resume(): void {
    this.#canSend = true;
    this.#flush();
  }

  #flush(): void {
    while (this.#canSend) {
      const part = this.#parts.shift();
      if (part !== undefined) {
        this.#canSend = this.call.send(part);
        continue;
      }
      const { proxies, captures, answers, awaited } = this.#pending;
      if (proxies.size + captures.size + answers.size + awaited.size === 0) return;
      this.#parts = splitBatch(this.#pending, this.#tables, this.#self);
      this.#pending = emptyNames();
    }
  }
}

function emptyNames(): { readonly [K in keyof FeedNames]: Set<string> } {
  return { proxies: new Set(), captures: new Set(), answers: new Set(), awaited: new Set() };
}

/** Makes one table the other; the names of what differs. */
function take<V>(
  table: Map<string, V>,
  next: ReadonlyMap<string, V>,
  isSame: (a: V, b: V) => boolean,
): ReadonlySet<string> {
  const changed = new Set<string>();
  for (const name of table.keys()) {
    if (!next.has(name)) changed.add(name);
  }
  for (const name of changed) table.delete(name);
  for (const [name, value] of next) {
    const before = table.get(name);
    if (before !== undefined && isSame(before, value)) continue;
    table.set(name, value);
    changed.add(name);
  }
  return changed;
}

/** The sets of a claim are never written to. */
function isSameClaims(a: NodeClaims, b: NodeClaims): boolean {
  return a.sinceMs === b.sinceMs && a.now === b.now && a.earlier === b.earlier;
}

/** There are many, and nearly always nothing differs. */
function isSameAnswer(a: ReplicaAnswer, b: ReplicaAnswer): boolean {
  const isSameCount = a.waiting === b.waiting && a.refused === b.refused;
  if (!isSameCount || a.generation !== b.generation || a.uid !== b.uid) return false;
  return (a.waiting === 0 && a.refused === 0) || deepEqual(a, b);
}
