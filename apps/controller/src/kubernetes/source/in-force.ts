/**
 * Which version of a refused object is in force, and so may be remembered as the one accepted last.
 *
 * The one rule: that an object could be read does not put it in force. Only what was taken when it was delivered counts.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { deepEqual, keyOf } from '@ambit/model';

import type { SourceChange } from '../../source/config-source.ts';
import type { LastAccepted } from './last-accepted.ts';
import type { ReadObject } from './read-object.ts';

/** A valid version that could not be used. */
interface Unusable {
  readonly refused: MeshObject;
  /** In force instead; nothing, or a stand-in: undefined. */
  readonly inForce: MeshObject | undefined;
}

export class InForce {
  readonly #lastAccepted: LastAccepted;
  /** Of objects that are there, until a later version is in force. */
  readonly #unusable = new Map<ObjectKey, Unusable>();
  /** In force if what is being delivered is taken. */
  readonly #expected = new Map<ObjectKey, MeshObject>();
  #delivered: ReadonlyMap<ObjectKey, MeshObject> = new Map();
  /** Of the change that is delivered. */
  readonly #refusedNow = new Set<ObjectKey>();

  constructor(lastAccepted: LastAccepted) {
    this.#lastAccepted = lastAccepted;
  }

  /** What was read of an object before, with what is in force of it. */
  before(key: ObjectKey, read: ReadObject | undefined): ReadObject | undefined {
    const instead = this.#unusable.get(key);
    if (instead === undefined || !deepEqual(versionOf(read), instead.refused)) return read;
    const { inForce: object } = instead;
    return object === undefined ? undefined : { kind: 'accepted', object, findings: [] };
  }

  /** The object is refused, and this version is to stay, once that is delivered. */
  expect(key: ObjectKey, object: MeshObject): void {
    this.#expected.set(key, object);
  }

  /** Of what is being delivered. */
  unusable(key: ObjectKey, inForce: MeshObject | undefined): void {
    this.#refusedNow.add(key);
    const refused = this.#delivered.get(key);
    if (refused !== undefined) this.#unusable.set(key, { refused, inForce });
    if (inForce !== undefined) this.#lastAccepted.keep(key, inForce);
  }

  usable(object: MeshObject, isRefused: boolean): void {
    const key = keyOf(object);
    this.#unusable.delete(key);
    if (isRefused) this.#lastAccepted.keep(key, object);
    else this.#lastAccepted.forget(key);
  }

  gone(key: ObjectKey): void {
    this.#unusable.delete(key);
    this.#expected.delete(key);
    this.#lastAccepted.forget(key);
  }

  /** What was accepted before is forgotten when its successor is in force, and not before. */
  deliver(change: SourceChange, onChange: (change: SourceChange) => void): void {
    this.#refusedNow.clear();
    this.#delivered = new Map(change.upserts.map((object) => [keyOf(object), object]));
    onChange(change);
    const invalid = new Set(change.invalid.map(({ key }) => key));
    for (const key of this.#delivered.keys()) {
      if (this.#refusedNow.has(key)) continue;
      this.#unusable.delete(key);
      if (!invalid.has(key)) this.#lastAccepted.forget(key);
    }
    this.#delivered = new Map();
    for (const key of invalid) this.#settle(key);
    for (const key of change.upserts.map(keyOf)) this.#expected.delete(key);
  }

  #settle(key: ObjectKey): void {
    const object = this.#expected.get(key);
    this.#expected.delete(key);
    if (object === undefined) return;
    const isRefused = deepEqual(this.#unusable.get(key)?.refused, object);
    const known = this.#lastAccepted.of(key, object.metadata.uid ?? '');
    // What an earlier process had in force stays known, although this one cannot use it.
    if (!isRefused || deepEqual(known, object)) this.#lastAccepted.keep(key, object);
  }
}

function versionOf(read: ReadObject | undefined): MeshObject | undefined {
  if (read?.kind === 'accepted') return read.object;
  return read?.kind === 'refused' && !read.isStandIn ? read.inForce : undefined;
}
