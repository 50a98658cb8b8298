/**
 * Takes what a source delivers. An object that the mesh cannot be derived from, or that cannot be told to proxies, is refused by itself
 * as one that is not valid: the version before it stays in force, or a stand-in takes its place.
 *
 * So no object holds up another, and none keeps a replica from starting. What could not be taken is tried again: an object after
 * something else has changed, for the cause may have been there, and a removal at any rate.
 */
import { type Finding, type MeshObject, type ObjectKey, serializeObject } from '@ambit/api';
import { Backoff, type Clock } from '@ambit/core';
import { keyOf } from '@ambit/model';
import type { Logger } from '@ambit/telemetry';

import type { ConfigSource, SourceChange } from './config-source.ts';
import { isStandIn, standInsFor } from './stand-in.ts';

export interface IntakeOptions {
  /** Takes a change as a whole, or throws and takes nothing of it. */
  readonly apply: (change: SourceChange) => void;
  /** What is in force. */
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly source: Pick<ConfigSource, 'acceptedBefore' | 'unusable' | 'usable'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** An object was refused here. */
  readonly onRefused: () => void;
}

/** The longest wait for another attempt. */
export const AGAIN_MS_MAX = 30_000;
const BACKOFF = { initialMs: 1_000, maxMs: AGAIN_MS_MAX, jitter: 0.2 };
const AT_ONCE_MAX = 20;
const NOTHING: SourceChange = { upserts: [], removes: [], invalid: [], notes: [], unsupported: [] };

export class Intake {
  readonly #options: IntakeOptions;
  /** What could not be taken, by the object that it is of; a later change of that takes its place. */
  readonly #waiting = new Map<ObjectKey, SourceChange>();
  readonly #stopping = new AbortController();
  #isTrying = false;
  /** Since what waits was tried. */
  #hasChanged = false;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Objects of which a change could not be taken, and is tried again. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Never throws for what an object is. */
  take(change: SourceChange): void {
    const keys = keysOf(change);
    const again = keys.flatMap((key) => this.#refusedAgain(key, change) ?? []);
    const owed = keys.filter((key) => this.#isRemovalOwed(key) && !change.removes.includes(key));
    for (const key of keys) this.#waiting.delete(key);
    // Not a second version of what was to be removed, but another object.
    this.#take(owed.length === 0 ? change : { ...change, removes: [...change.removes, ...owed] });
    for (const waiting of again)
      for (const { key } of waiting.invalid) this.#waiting.set(key, waiting);
    if (this.#waiting.size > 0 && !this.#isTrying) void this.#tryAgain();
  }

  stop(): void {
    this.#stopping.abort();
  }

  #take(change: SourceChange): void {
    try {
      this.#options.apply(change);
      this.#hasChanged = true;
    } catch (error) {
      const keys = keysOf(change);
      if (keys.length < 2) {
        this.#refuse(change, error);
        return;
      }
      // Whose fault it is is found in halves: most of a first load is right.
      const half = keys.length >> 1;
      this.#take(partOf(change, new Set(keys.slice(0, half))));
      this.#take(partOf(change, new Set(keys.slice(half))));
    }
  }

  #refuse(change: SourceChange, error: unknown): void {
    const { log, onRefused, source } = this.#options;
    const [object] = change.upserts;
    const [key] = keysOf(change);
    onRefused();
    if (key !== undefined) this.#waiting.set(key, change);
    if (object === undefined || key === undefined) {
      const isRemoval = key !== undefined && change.removes.includes(key);
      const message = isRemoval
        ? 'a removed object cannot be taken out and stays in force; it is tried again'
        : 'a change could not be taken, and is tried again';
      log.error(message, { key, error });
      return;
    }
    const told = findingsOf(change, findingOf(error));
    for (const { inForce, taken } of this.#instead(key, object, change)) {
      if (!this.#tries({ ...taken, invalid: [{ key, findings: told }] })) continue;
      // What was to be removed is out; what took its place is not to go with it.
      this.#waiting.set(key, { ...change, removes: [] });
      const kept = inForce === undefined || isStandIn(inForce) ? undefined : inForce;
      source.unusable(key, kept);
      const instead =
        inForce === undefined ? 'nothing' : kept === undefined ? 'stand-in' : 'earlier';
      log.error('an object cannot be used and is refused', { key, error, inForce: instead });
      return;
    }
    log.error('an object cannot be used, nor refused', { key, error });
  }

  /** What may be in force of it, best first. */
  *#instead(
    key: ObjectKey,
    object: MeshObject,
    { removes }: SourceChange,
  ): Generator<{ readonly inForce: MeshObject | undefined; readonly taken: SourceChange }> {
    const present = this.#options.objects.get(key);
    const isSame = removes.length === 0 && present?.metadata.uid === object.metadata.uid;
    if (present !== undefined && isSame && !isStandIn(present)) {
      yield { inForce: present, taken: NOTHING };
    }
    const before = this.#options.source.acceptedBefore(object);
    for (const inForce of before === undefined ? [] : [before]) {
      yield { inForce, taken: { ...NOTHING, removes, upserts: [inForce] } };
    }
    for (const inForce of standInsFor(writtenOf(object))) {
      yield { inForce, taken: { ...NOTHING, removes, upserts: [inForce] } };
    }
    const gone = present === undefined ? removes : [key];
    yield { inForce: undefined, taken: { ...NOTHING, removes: gone } };
  }

  /**
   * A further version of it is refused, and what is to be in force instead is what waits already: it is told only once. Undefined: it is
   * something else, or of a version that was accepted and now is not.
   */
  #refusedAgain(key: ObjectKey, change: SourceChange): SourceChange | undefined {
    const waiting = this.#waiting.get(key);
    const isOfRefused = waiting !== undefined && waiting.invalid.length > 0;
    if (!isOfRefused || waiting.upserts.length === 0 || waiting.removes.length > 0)
      return undefined;
    const { removes, upserts, invalid, notes, unsupported } = partOf(change, new Set([key]));
    const isElse = removes.length + upserts.length + notes.length + unsupported.length > 0;
    return isElse || invalid.length === 0 ? undefined : { ...waiting, invalid };
  }

  #isRemovalOwed(key: ObjectKey): boolean {
    return this.#waiting.get(key)?.removes.includes(key) === true;
  }

  async #tryAgain(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(BACKOFF);
    this.#isTrying = true;
    while (this.#waiting.size > 0) {
      await clock.sleep(backoff.next(), signal).catch(() => undefined);
      if (signal.aborted) return;
      const { size } = this.#waiting;
      this.#tryWaiting();
      if (this.#waiting.size < size) backoff.reset();
    }
    this.#isTrying = false;
  }

  /** Those first that have waited longest; a bounded number, for each costs a derivation. */
  #tryWaiting(): void {
    const { log, source } = this.#options;
    const mayHelp = this.#hasChanged;
    const due = [...this.#waiting].filter(([key]) => mayHelp || this.#isRemovalOwed(key));
    this.#hasChanged = due.length > AT_ONCE_MAX && mayHelp;
    for (const [key, change] of due.slice(0, AT_ONCE_MAX)) {
      this.#waiting.delete(key);
      if (!this.#tries(change)) {
        this.#waiting.set(key, change);
        if (this.#isRemovalOwed(key)) log.error('a removed object is still in force', { key });
        continue;
      }
      this.#hasChanged = true;
      for (const object of change.upserts) source.usable(object, change.invalid.length > 0);
      log.info('what could not be taken of an object is taken now', { key });
    }
  }

  #tries(change: SourceChange): boolean {
    try {
      this.#options.apply(change);
      return true;
    } catch {
      // The next best is tried; what was wrong with the object itself is what is told.
      return false;
    }
  }
}

/** What was found when it was read is told too. */
function findingsOf({ invalid, notes }: SourceChange, unusable: Finding): readonly Finding[] {
  const read = [...invalid, ...notes].flatMap(({ findings }) => findings);
  const errors = read.filter(({ severity }) => severity === 'error');
  return [...errors, unusable, ...read.filter((finding) => !errors.includes(finding))];
}

function findingOf(error: unknown): Finding {
  const why = error instanceof Error ? error.message : String(error);
  const message = `cannot be used by this version of the controller: ${why.slice(0, 300)}`;
  return { code: 'OBJECT_UNUSABLE', severity: 'error', path: '', message };
}

/** Nothing of it is known, nor where it was to hold. */
const UNREADABLE = { action: 'unreadable', scope: 'unreadable' };

function writtenOf(object: MeshObject): Readonly<Record<string, unknown>> {
  try {
    return serializeObject(object);
  } catch {
    // What it meant cannot be read either: the strictest.
    const { apiVersion, kind, metadata } = object;
    const { name, namespace, uid } = metadata;
    return { apiVersion, kind, metadata: { name, namespace, uid }, spec: UNREADABLE };
  }
}

function keysOf({ removes, upserts, invalid, notes, unsupported }: SourceChange): ObjectKey[] {
  const others = [...invalid, ...notes, ...unsupported].map(({ key }) => key);
  return [...new Set([...removes, ...upserts.map(keyOf), ...others])];
}

function partOf(change: SourceChange, keys: ReadonlySet<ObjectKey>): SourceChange {
  const has = ({ key }: { readonly key: ObjectKey }): boolean => keys.has(key);
  return {
    removes: change.removes.filter((key) => keys.has(key)),
    upserts: change.upserts.filter((object) => keys.has(keyOf(object))),
    invalid: change.invalid.filter(has),
    notes: change.notes.filter(has),
    unsupported: change.unsupported.filter(has),
  };
}
