/** One batch for one watcher, in parts of bounded size. */
import type { ReplicaAnswer, ReplicaProxy, ReplicaUpdate } from '@ambit/xds';

import type { NodeClaims } from '../index/captures.ts';

export interface FeedTables {
  readonly proxies: ReadonlyMap<string, ReplicaProxy>;
  readonly captures: ReadonlyMap<string, NodeClaims>;
  readonly answers: ReadonlyMap<string, ReplicaAnswer>;
  /** Uids. One that waits no longer was captured or is gone, which is known by other ways. */
  readonly awaited: ReadonlyMap<string, true>;
}

export type FeedNames = { readonly [K in keyof FeedTables]: ReadonlySet<string> };

/** Characters of texts in one part; a part has at least one entry. */
export const PART_LENGTH_MAX = 512 * 1024;
/** What an entry weighs besides its texts. */
const ENTRY_LENGTH = 64;

type Lists = {
  -readonly [K in Exclude<
    keyof ReplicaUpdate,
    'replica' | 'isComplete'
  >]: ReplicaUpdate[K][number][];
};

/** At least one part; the last one completes the batch. What is not in a table any more is gone. */
export function splitBatch(names: FeedNames, tables: FeedTables, replica: string): ReplicaUpdate[] {
  const parts: Lists[] = [emptyLists()];
  let length = 0;
  const place = (weight: number): Lists => {
    const size = weight + ENTRY_LENGTH;
    if (length > 0 && length + size > PART_LENGTH_MAX) {
      parts.push(emptyLists());
      length = 0;
    }
    length += size;
    return parts.at(-1) ?? emptyLists();
  };
  for (const id of names.proxies) {
    const proxy = tables.proxies.get(id);
    if (proxy === undefined) place(id.length).goneProxies.push(id);
    else place(lengthOfProxy(proxy)).proxies.push(proxy);
  }
  for (const node of names.captures) {
    const claims = tables.captures.get(node);
    if (claims === undefined) {
      place(node.length).goneNodes.push(node);
      continue;
    }
    const uids = [...claims.now];
    const earlier = [...claims.earlier];
    place(lengthOf(uids) + lengthOf(earlier)).captures.push({
      node,
      connectedAtMs: claims.sinceMs,
      uids,
      earlier,
    });
  }
  for (const key of names.answers) {
    const answer = tables.answers.get(key);
    if (answer === undefined) place(key.length).goneKeys.push(key);
    else place(lengthOfAnswer(answer)).answers.push(answer);
  }
  for (const uid of names.awaited) {
    if (tables.awaited.has(uid)) place(uid.length).awaited.push(uid);
  }
  return parts.map((lists, at) => ({ replica, isComplete: at === parts.length - 1, ...lists }));
}

function emptyLists(): Lists {
  return {
    proxies: [],
    goneProxies: [],
    captures: [],
    goneNodes: [],
    answers: [],
    goneKeys: [],
    awaited: [],
  };
}

function lengthOfProxy(proxy: ReplicaProxy): number {
  const { id, name, pod, node, subscriptions, trust = [] } = proxy;
  const texts = subscriptions.map(({ type, error = '' }) => type + error);
  return (
    lengthOf([id, name, pod, node, ...trust]) +
    lengthOf(texts) +
    subscriptions.length * ENTRY_LENGTH
  );
}

function lengthOfAnswer({ key, uid, waitingNames, refusals }: ReplicaAnswer): number {
  return key.length + uid.length + lengthOf(waitingNames) + lengthOf(refusals);
}

function lengthOf(texts: readonly string[]): number {
  return texts.reduce((sum, text) => sum + text.length + 4, 0);
}
