/**
 * What one other replica says, as it stands after the last complete batch of one stream.
 *
 * Half a batch is nothing: between the proxy that has joined and what it has not acknowledged yet, everything would
 * look as if it were in force.
 */
import type { ObjectKey } from '@ambit/api';
import type { ReplicaAnswer, ReplicaCaptures, ReplicaProxy, ReplicaUpdate } from '@ambit/xds';

import { ControllerError } from '../errors.ts';

/** As many as one replica accepts streams. */
export const PROXIES_MAX = 10_000;
export const NODES_MAX = 10_000;
export const ANSWERS_MAX = 100_000;
export const AWAITED_MAX = 100_000;
/** Of one batch, of all kinds together; a first batch has everything. */
const BATCH_ENTRIES_MAX = PROXIES_MAX + NODES_MAX + ANSWERS_MAX + AWAITED_MAX;

export class RemoteState {
  readonly proxies = new Map<string, ReplicaProxy>();
  readonly captures = new Map<string, ReplicaCaptures>();
  readonly answers = new Map<ObjectKey, ReplicaAnswer>();
  #parts: ReplicaUpdate[] = [];
  #entries = 0;

  /** The batch that this part completes; nothing before. Throws CONTROLLER_REPLICA_LIMIT. */
  receive(part: ReplicaUpdate): readonly ReplicaUpdate[] | undefined {
    // One more, so that parts with nothing in them have a bound too.
    this.#entries += entriesOf(part) + 1;
    this.#check('a batch', this.#entries, BATCH_ENTRIES_MAX);
    this.#parts.push(part);
    if (!part.isComplete) return undefined;
    const batch = this.#parts;
    this.#parts = [];
    this.#entries = 0;
    for (const one of batch) this.#apply(one);
    this.#check('proxies', this.proxies.size, PROXIES_MAX);
    this.#check('nodes', this.captures.size, NODES_MAX);
    this.#check('answers', this.answers.size, ANSWERS_MAX);
    return batch;
  }

  #apply(update: ReplicaUpdate): void {
    for (const id of update.goneProxies) this.proxies.delete(id);
    for (const proxy of update.proxies) this.proxies.set(proxy.id, proxy);
    for (const node of update.goneNodes) this.captures.delete(node);
    for (const captures of update.captures) this.captures.set(captures.node, captures);
    for (const key of update.goneKeys) this.answers.delete(key);
    for (const answer of update.answers) this.answers.set(answer.key, answer);
  }

  #check(what: string, count: number, max: number): void {
    if (count <= max) return;
    throw new ControllerError(
      'CONTROLLER_REPLICA_LIMIT',
      `${what} of another replica: ${count}, more than ${max}`,
    );
  }
}

export function entriesOf(update: ReplicaUpdate): number {
  const { proxies, goneProxies, captures, goneNodes, answers, goneKeys, awaited } = update;
  return [proxies, goneProxies, captures, goneNodes, answers, goneKeys, awaited].reduce(
    (sum, list) => sum + list.length,
    0,
  );
}
