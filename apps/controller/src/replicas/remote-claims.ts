/** What the agents of one other replica have captured, as it says, brought to the captures here. */
import type { ReplicaCaptures, ReplicaUpdate } from '@ambit/xds';

import type { CaptureChange, Captures } from '../index/captures.ts';

export class RemoteClaims {
  readonly #replica: string;
  readonly #captures: Captures;
  /** By node, the stream that it spoke of last. */
  readonly #speakers = new Map<string, string>();

  constructor(replica: string, captures: Captures) {
    this.#replica = replica;
    this.#captures = captures;
  }

  apply(batch: readonly ReplicaUpdate[]): CaptureChange {
    const changes = batch.flatMap(({ goneNodes, captures }) => [
      ...goneNodes.map((node) => this.#release(node)),
      ...captures.flatMap((claims) => this.#take(claims)),
    ]);
    const awaited = batch.flatMap((part) => part.awaited);
    return { ...merge(changes), ...(awaited.length === 0 ? {} : { awaited }) };
  }

  /** Nobody speaks there any more; what was said holds until somebody does, wherever that is. */
  release(): CaptureChange {
    return merge([...this.#speakers.keys()].map((node) => this.#release(node)));
  }

  #take({ node, connectedAtMs, uids, earlier }: ReplicaCaptures): readonly CaptureChange[] {
    if (connectedAtMs === undefined) {
      return [this.#release(node), this.#captures.adopt(node, [...uids, ...earlier])];
    }
    const id = `${this.#replica}/${node}/${connectedAtMs}`;
    const speaker = { id, sinceMs: connectedAtMs, isElsewhere: true, earlier };
    const before = this.#speakers.get(node);
    this.#speakers.set(node, id);
    const claimed = this.#captures.claim(node, new Set(uids), speaker);
    return before === undefined || before === id
      ? [claimed]
      : [claimed, this.#captures.release(before)];
  }

  #release(node: string): CaptureChange {
    const id = this.#speakers.get(node);
    this.#speakers.delete(node);
    return id === undefined ? { add: [], remove: [] } : this.#captures.release(id);
  }
}

/** What is left of changes that came one after another. */
function merge(changes: readonly CaptureChange[]): CaptureChange {
  const add = new Set<string>();
  const remove = new Set<string>();
  for (const change of changes) {
    for (const uid of change.add) if (!remove.delete(uid)) add.add(uid);
    for (const uid of change.remove) if (!add.delete(uid)) remove.add(uid);
  }
  return { add: [...add], remove: [...remove] };
}
