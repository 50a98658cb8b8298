/**
 * Changes that were made, and when each was there: by a bare watch, and at the last of all agents.
 *
 * A change is at the agents when all of them hold what it made, or what a later change of the same object made: two that
 * follow closely arrive as one. Whether anything was lost is never said by this book, but by what agents hold in the end.
 */
export interface Change {
  /** The resource that agents get. */
  readonly name: string;
  readonly dueNs: bigint;
  /** Whether a state of the resource is what the change makes of it. */
  readonly isMade: (state: string) => boolean;
  /** What the watch shows it by: the version written, or that the object is gone. */
  mark: string | undefined;
  writtenNs: bigint | undefined;
  seenNs: bigint | undefined;
  answeredNs: bigint | undefined;
}

export class ChangeLog {
  readonly changes: Change[] = [];
  /** Those that are not at the agents, by name, in order. */
  readonly #open = new Map<string, Change[]>();
  readonly #seen = new Map<string, bigint>();

  add(change: Pick<Change, 'name' | 'dueNs' | 'isMade'>): Change {
    const times = { mark: undefined, writtenNs: undefined, seenNs: undefined };
    const added: Change = { ...change, ...times, answeredNs: undefined };
    this.changes.push(added);
    this.#open.set(added.name, [...(this.#open.get(added.name) ?? []), added]);
    return added;
  }

  /** All agents hold this state of a resource. */
  answered(name: string, state: string, atNs: bigint): void {
    const open = this.#open.get(name) ?? [];
    const latest = open.findLastIndex(({ isMade }) => isMade(state));
    for (const change of open.slice(0, latest + 1)) change.answeredNs = atNs;
    const left = open.slice(latest + 1);
    if (left.length === 0) this.#open.delete(name);
    else this.#open.set(name, left);
  }

  watched(mark: string, atNs: bigint): void {
    this.#seen.set(mark, atNs);
  }

  /** Changes that the watch has not shown. */
  unseen(): readonly Change[] {
    for (const change of this.changes) {
      if (change.mark !== undefined) change.seenNs ??= this.#seen.get(change.mark);
    }
    return this.changes.filter(({ seenNs }) => seenNs === undefined);
  }

  /** Changes of which all agents never held what they made, so far. */
  unanswered(): readonly Change[] {
    return this.changes.filter(({ answeredNs }) => answeredNs === undefined);
  }
}
