/**
 * One type on one stream: what is subscribed to, what the client has, what it must still get.
 *
 * At most one response of a type is unanswered. What changes meanwhile is merged, so a slow client
 * costs a set of names and never a queue.
 */
import type { Resource } from '../resource.ts';

export interface InFlight {
  readonly nonce: string;
  readonly sequence: number;
  /** Name to version. */
  readonly resources: ReadonlyMap<string, string>;
  /** Which of the resources apply only where they are named. */
  readonly byName: ReadonlySet<string>;
  readonly removed: readonly string[];
}

export interface Rejected {
  readonly version: string;
  readonly reason: string;
}

/** What one response will hold. */
export interface Collected {
  readonly changed: readonly Resource[];
  readonly removed: readonly string[];
  /** More than fits; goes into the next response. */
  readonly hasMore: boolean;
}

export class TypeState {
  readonly typeUrl: string;
  isWildcard = false;
  /** As asked for, primary names or aliases. */
  readonly names = new Set<string>();
  /** Sent or claimed, by primary name. */
  readonly sent = new Map<string, string>();
  readonly acked = new Map<string, string>();
  readonly rejected = new Map<string, Rejected>();
  inFlight: InFlight | undefined;
  lastSequence = 0;
  ackedSequence = 0;
  /** A response is owed even if it is empty: the client waits for it. */
  owesAnswer = false;
  #pending: Set<string> | 'all' = new Set();
  /** Asked for by name, and not answered since. */
  readonly #unanswered = new Set<string>();
  /** Removals and narrowings that are kept back until dependants are sent. */
  readonly #kept = new Set<string>();
  /** Acknowledged in a form that applies only where it is named. */
  readonly #ackedByName = new Set<string>();

  readonly #isSilent: boolean;

  /** `isSilent`: subscribed to and never answered, so that nothing ever waits to be sent. */
  constructor(typeUrl: string, { isSilent = false }: { readonly isSilent?: boolean } = {}) {
    this.typeUrl = typeUrl;
    this.#isSilent = isSilent;
  }

  get hasWork(): boolean {
    return this.owesAnswer || this.#pending === 'all' || this.#pending.size > 0;
  }

  get hasKept(): boolean {
    return this.#kept.size > 0;
  }

  get isSettled(): boolean {
    return !this.hasWork && !this.hasKept && this.inFlight === undefined;
  }

  mark(names: ReadonlySet<string> | 'all'): void {
    if (this.#isSilent) {
      return;
    }
    if (names === 'all') {
      this.#pending = 'all';
    } else if (this.#pending !== 'all') {
      for (const name of names) {
        this.#pending.add(name);
      }
    }
  }

  /** `*` is everything. A name that is asked for again is sent again. */
  subscribe(names: readonly string[]): void {
    for (const name of names) {
      if (name === '*') {
        this.isWildcard = true;
        this.mark('all');
      } else {
        this.names.add(name);
        if (!this.#isSilent) {
          this.#unanswered.add(name);
        }
        this.mark(new Set([name]));
      }
    }
  }

  unsubscribe(names: readonly string[]): void {
    for (const name of names) {
      if (name === '*') {
        this.isWildcard = false;
      }
      this.names.delete(name);
      this.#unanswered.delete(name);
      if (!this.isWildcard) {
        this.#forget(name);
      }
    }
  }

  /** Takes what is pending out, as one response of at most `bytesMax` of content. */
  collect(
    all: ReadonlyMap<string, Resource>,
    { bytesMax }: { readonly bytesMax: number },
  ): Collected {
    const wanted = this.isWildcard ? undefined : this.#resolve(all);
    const candidates = this.#candidates(all, wanted);
    this.#pending = new Set();
    this.owesAnswer = false;
    const changed: Resource[] = [];
    const removed = new Set<string>();
    for (const name of candidates) {
      const resource = wanted === undefined || wanted.has(name) ? all.get(name) : undefined;
      if (resource === undefined) {
        if (this.sent.has(name)) {
          removed.add(name);
        }
      } else if (this.sent.get(name) !== resource.version) {
        changed.push(resource);
      }
    }
    // An unknown name is answered once by its removal, so that the client stops waiting.
    for (const name of this.#unanswered) {
      if (resolveName(all, name) === undefined) {
        removed.add(name);
      }
    }
    this.#unanswered.clear();
    changed.sort((a, b) => a.rank - b.rank);
    const fitting = cut(changed, bytesMax);
    for (const { name } of changed.slice(fitting.length)) {
      this.mark(new Set([name]));
    }
    return { changed: fitting, removed: [...removed], hasMore: fitting.length < changed.length };
  }

  /**
   * Keeps back what would leave a hole until dependants are sent: removals, and resources that apply
   * only where they are named in place of ones that applied everywhere. What the client holds under a
   * name that it claimed or refused is not known, so it may be one of those. Returns what goes now.
   */
  keepBack({ changed, removed, hasMore }: Collected): Collected {
    const isNarrowed = ({ name, appliesByName = false }: Resource): boolean =>
      appliesByName &&
      !this.#ackedByName.has(name) &&
      (this.acked.has(name) || this.rejected.has(name));
    const narrowed = changed.filter(isNarrowed);
    for (const name of [...removed, ...narrowed.map((resource) => resource.name)]) {
      this.#kept.add(name);
    }
    return { changed: changed.filter((one) => !isNarrowed(one)), removed: [], hasMore };
  }

  /** What was kept back and is still true, as one response of at most `bytesMax` of content. */
  takeKept(
    all: ReadonlyMap<string, Resource>,
    { bytesMax }: { readonly bytesMax: number },
  ): Collected {
    const removed: string[] = [];
    const changed: Resource[] = [];
    for (const name of this.#kept) {
      const resource = all.get(name);
      if (resource === undefined) {
        removed.push(name);
      } else if (this.sent.has(name) && this.sent.get(name) !== resource.version) {
        changed.push(resource);
      }
    }
    this.#kept.clear();
    const fitting = cut(changed, bytesMax);
    for (const { name } of changed.slice(fitting.length)) {
      this.#kept.add(name);
    }
    return { changed: fitting, removed, hasMore: fitting.length < changed.length };
  }

  /** Bookkeeping of a response that is being sent. */
  markSent(inFlight: InFlight): void {
    this.inFlight = inFlight;
    this.lastSequence = inFlight.sequence;
    for (const [name, version] of inFlight.resources) {
      this.sent.set(name, version);
      this.#kept.delete(name);
    }
    for (const name of inFlight.removed) {
      this.sent.delete(name);
      // From now on the client may be without it, whatever it acknowledged before.
      this.acked.delete(name);
    }
  }

  /** Applies an answer. `reasonOf` says why a resource of the response was refused, if it was. */
  settle(inFlight: InFlight, reasonOf: (name: string) => string | undefined): void {
    this.inFlight = undefined;
    this.ackedSequence = inFlight.sequence;
    for (const [name, version] of inFlight.resources) {
      const reason = reasonOf(name);
      if (reason === undefined) {
        this.acked.set(name, version);
        this.rejected.delete(name);
        if (inFlight.byName.has(name)) {
          this.#ackedByName.add(name);
        } else {
          this.#ackedByName.delete(name);
        }
      } else {
        this.rejected.set(name, { version, reason });
      }
    }
    for (const name of inFlight.removed) {
      this.rejected.delete(name);
      this.#ackedByName.delete(name);
    }
  }

  #forget(name: string): void {
    this.sent.delete(name);
    this.acked.delete(name);
    this.rejected.delete(name);
    this.#ackedByName.delete(name);
  }

  /** Primary names of what was asked for by name. */
  #resolve(all: ReadonlyMap<string, Resource>): ReadonlySet<string> {
    const resolved = new Set<string>();
    for (const name of this.names) {
      const primary = resolveName(all, name);
      if (primary !== undefined) {
        resolved.add(primary);
        if (this.#unanswered.has(name)) {
          this.sent.delete(primary);
        }
      }
    }
    return resolved;
  }

  #candidates(
    all: ReadonlyMap<string, Resource>,
    wanted: ReadonlySet<string> | undefined,
  ): Iterable<string> {
    if (wanted !== undefined) {
      return new Set([...wanted, ...this.sent.keys()]);
    }
    return this.#pending === 'all' ? new Set([...all.keys(), ...this.sent.keys()]) : this.#pending;
  }
}

/** By primary name, else by alias. The search for an alias is linear: on demand is rare and small. */
function resolveName(all: ReadonlyMap<string, Resource>, name: string): string | undefined {
  if (all.has(name)) {
    return name;
  }
  for (const resource of all.values()) {
    if (resource.aliases.includes(name)) {
      return resource.name;
    }
  }
  return undefined;
}

/** As many from the front as fit, at least one. */
function cut(resources: readonly Resource[], bytesMax: number): readonly Resource[] {
  let bytes = 0;
  for (const [index, { name, value }] of resources.entries()) {
    bytes += value.length + name.length + 64;
    if (bytes > bytesMax && index > 0) {
      return resources.slice(0, index);
    }
  }
  return resources;
}
