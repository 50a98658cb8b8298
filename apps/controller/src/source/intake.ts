/**
 * Takes what a source delivers. An object that the mesh cannot be derived from, or that cannot be told to proxies, is refused by itself
 * as one that is not valid: the version before it stays in force, or a stand-in takes its place.
 *
 * So no object holds up another, and none keeps a replica from starting.
 */
import { type Finding, type MeshObject, type ObjectKey, serializeObject } from '@ambit/api';
import { keyOf } from '@ambit/model';
import type { Logger } from '@ambit/telemetry';

import type { ConfigSource, SourceChange } from './config-source.ts';
import { isStandIn, standInsFor } from './stand-in.ts';

export interface IntakeOptions {
  /** Takes a change as a whole, or throws and takes nothing of it. */
  readonly apply: (change: SourceChange) => void;
  /** What is in force. */
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly source: Pick<ConfigSource, 'acceptedBefore' | 'unusable'>;
  readonly log: Logger;
  /** An object was refused here. */
  readonly onRefused: () => void;
}

const NOTHING: SourceChange = { upserts: [], removes: [], invalid: [], notes: [], unsupported: [] };

export class Intake {
  readonly #options: IntakeOptions;

  constructor(options: IntakeOptions) {
    this.#options = options;
  }

  /** Never throws for what an object is. */
  take(change: SourceChange): void {
    try {
      this.#options.apply(change);
    } catch (error) {
      const keys = keysOf(change);
      if (keys.length < 2) {
        this.#refuse(change, error);
        return;
      }
      // Whose fault it is is found in halves: most of a first load is right.
      const half = keys.length >> 1;
      this.take(partOf(change, new Set(keys.slice(0, half))));
      this.take(partOf(change, new Set(keys.slice(half))));
    }
  }

  #refuse(change: SourceChange, error: unknown): void {
    const { log, onRefused, source } = this.#options;
    const [object] = change.upserts;
    const [key] = keysOf(change);
    onRefused();
    if (object === undefined || key === undefined) {
      log.error('a change could not be taken', { key, error });
      return;
    }
    for (const { inForce, taken } of this.#instead(key, object, change)) {
      if (!this.#tries({ ...taken, invalid: [{ key, findings: [findingOf(error)] }] })) continue;
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

function findingOf(error: unknown): Finding {
  const why = error instanceof Error ? error.message : String(error);
  const message = `cannot be used by this version of the controller: ${why.slice(0, 300)}`;
  return { code: 'OBJECT_UNUSABLE', severity: 'error', path: '', message };
}

function writtenOf(object: MeshObject): Readonly<Record<string, unknown>> {
  try {
    return serializeObject(object);
  } catch {
    // What it meant cannot be read either: the strictest.
    const { apiVersion, kind, metadata } = object;
    const { name, namespace, uid } = metadata;
    return { apiVersion, kind, metadata: { name, namespace, uid }, spec: { action: 'unreadable' } };
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
