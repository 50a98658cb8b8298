/**
 * The mesh model: objects in, in batches; what proxies hold out, with exactly what a batch changed.
 *
 * A batch that leaves the same objects leaves the same outputs, whatever came before it, but for one
 * thing that is history by nature: pods that were published outside of the mesh and still wait for
 * their agent (`pending`).
 */
import type { Finding, MeshObject, ObjectKey } from '@ambit/api';

import { type Derived, derive } from './derive.ts';
import { ModelError } from './errors.ts';
import type { Collection } from './graph/collection.ts';
import { deepEqual } from './graph/deep-equal.ts';
import { Graph } from './graph/graph.ts';
import { keyOf, type ModelOptions, splitKey } from './objects/keys.ts';
import { isForeign, isOfAnother } from './objects/revision.ts';
import { createSources, type Sources, sourceOf } from './objects/sources.ts';
import { deriveStatuses } from './status/derive-statuses.ts';
import type { Address, MeshDelta, MeshOutputs } from './types.ts';
import { deriveWaypoints } from './waypoint/derive-waypoints.ts';

export interface RefusedVersion {
  readonly key: ObjectKey;
  readonly findings: readonly Finding[];
  /** Its label `istio.io/rev`: of what is another mesh's nothing is said. */
  readonly revision?: string;
}

export interface MeshBatch {
  /** Accepted objects. An object replaces the one of its key and clears what was refused under it. */
  readonly upserts?: readonly MeshObject[];
  readonly removes?: readonly ObjectKey[];
  /** Refused versions. The last accepted version of the same key stays in force. */
  readonly invalid?: readonly RefusedVersion[];
  /** What is to be said about accepted objects: warnings of validation. None clears what was said. */
  readonly notes?: readonly { readonly key: ObjectKey; readonly findings: readonly Finding[] }[];
  /** Objects of kinds that are known but not served; `removes` takes them away. */
  readonly unsupported?: readonly { readonly key: ObjectKey; readonly message: string }[];
  /**
   * Names of namespaces whose bypass (`readBypass`) began or is over, by whoever has a clock. What nobody says is
   * bypassed is not.
   */
  readonly bypassed?: {
    readonly add?: readonly string[];
    readonly remove?: readonly string[];
  };
  /** Uids of pods that an agent has captured, or holds no longer. */
  readonly captured?: {
    readonly add?: readonly string[];
    readonly remove?: readonly string[];
    /** Of `add`, those that no agent has named: they are dialled as captured ones, and no policy counts as in force there. */
    readonly presumed?: readonly string[];
    /** Uids of pods that wait for their agent, by somebody who was here before they were enrolled. */
    readonly awaited?: readonly string[];
  };
}

type Kind = keyof MeshOutputs;

interface Output<V> {
  readonly collection: Collection<V>;
  /** Values at the start of the batch, of what was written since. */
  readonly before: Map<string, V | undefined>;
  snapshot: ReadonlyMap<string, V> | undefined;
}

export class MeshModel {
  readonly #graph = new Graph();
  readonly #sources: Sources;
  readonly #derived: Derived;
  readonly #outputs: { readonly [K in Kind]: Output<unknown> };
  /** Uids whose enrolment was written during the batch, with whether they were enrolled before. */
  readonly #enrolledBefore = new Map<string, boolean | undefined>();
  readonly #isPromised: boolean;
  readonly #revision: string | undefined;

  /** `pending`: see `pending`; what an earlier process had. */
  constructor(options: ModelOptions, pending: Iterable<string> = []) {
    this.#isPromised = options.capture !== 'reported';
    this.#revision = options.revision;
    this.#sources = createSources(this.#graph, options);
    this.#derived = derive(this.#graph, this.#sources, options);
    const { podModes, workloads, meshServices, authorizations, enrolments } = this.#derived;
    podModes.onKey((uid, _, before) => {
      if (!this.#enrolledBefore.has(uid)) this.#enrolledBefore.set(uid, before?.isEnrolled);
    });
    const addresses = this.#graph.merge<Address>('addresses', [
      this.#graph.map('workload-addresses', workloads, (workload) => ({
        kind: 'workload',
        workload,
      })),
      this.#graph.map('service-addresses', meshServices, (service) => ({
        kind: 'service',
        service,
      })),
    ]);
    const waypoints = deriveWaypoints(this.#graph, this.#derived);
    const { specs, scopes, objects } = waypoints;
    const statuses = deriveStatuses(this.#graph, this.#derived, waypoints);
    this.#outputs = {
      addresses: track(addresses),
      authorizations: track(authorizations),
      enrolments: track(enrolments),
      pods: track(this.#derived.podFacts),
      waypoints: track(specs),
      scopes: track(scopes),
      objects: track(objects),
      statuses: track(statuses),
    };
    for (const uid of pending) this.#sources.pending.set(uid, true);
    this.#graph.commit();
  }

  /**
   * Uids of pods that are enrolled and that no agent has captured: those that had been published before, and
   * where capture is not promised, all. To be kept by whoever wants a restart to end where it began.
   */
  get pending(): ReadonlySet<string> {
    return new Set(this.#sources.pending.all.keys());
  }

  /** Snapshots, made when they are looked at; the same map until a batch changes something in it. */
  get outputs(): MeshOutputs {
    const outputs = this.#outputs;
    return mapsOf(outputs, (name) => snapshotOf(outputs[name]));
  }

  /** The maps themselves: for one turn of the event loop, in which no batch is applied. Costs nothing at any size. */
  get live(): MeshOutputs {
    const outputs = this.#outputs;
    return mapsOf(outputs, (name) => outputs[name].collection.all);
  }

  /**
   * Removes come before upserts. Answers what changed, net of the whole batch. Whatever throws, also `inspect`, which is shown what
   * the batch would change while `live` has it: nothing of the batch is taken then. Throws MODEL_UNUSABLE.
   */
  apply(batch: MeshBatch, inspect: (delta: MeshDelta) => void = () => undefined): MeshDelta {
    try {
      this.#write(batch);
      this.#run();
      this.#settlePending(batch.captured ?? {});
      this.#run();
      const delta = this.#delta();
      inspect(delta);
      this.#graph.commit();
      this.#forgetBefore(delta);
      return delta;
    } catch (error) {
      this.#graph.rollback();
      this.#enrolledBefore.clear();
      this.#forgetBefore(undefined);
      throw error;
    }
  }

  #write(batch: MeshBatch): void {
    for (const key of batch.removes ?? []) this.#remove(key);
    for (const object of batch.upserts ?? []) this.#upsert(object);
    for (const { key, findings, revision } of batch.invalid ?? []) {
      const isOthers = isOfAnother(splitKey(key).kind, revision, this.#revision);
      this.#sources.refused.set(key, isOthers ? undefined : findings);
    }
    for (const { key, findings } of batch.notes ?? []) {
      this.#sources.notes.set(key, findings.length === 0 ? undefined : findings);
    }
    for (const { key, message } of batch.unsupported ?? []) {
      this.#sources.unsupported.set(key, message);
      this.#sources.refused.set(key, undefined);
    }
    for (const name of batch.bypassed?.remove ?? []) this.#sources.bypassed.set(name, undefined);
    for (const name of batch.bypassed?.add ?? []) this.#sources.bypassed.set(name, true);
    this.#writeCaptured(batch.captured ?? {});
  }

  #writeCaptured({
    add = [],
    remove = [],
    presumed = [],
  }: NonNullable<MeshBatch['captured']>): void {
    const { captured, reported } = this.#sources;
    for (const uid of remove) {
      captured.set(uid, undefined);
      reported.set(uid, undefined);
    }
    for (const uid of add) {
      captured.set(uid, true);
      reported.set(uid, true);
    }
    for (const uid of presumed) reported.set(uid, undefined);
  }

  #run(): void {
    const [first] = this.#graph.run();
    if (first === undefined) return;
    const { collection, key, error } = first;
    const why = error instanceof Error ? error.message : String(error);
    throw new ModelError('MODEL_UNUSABLE', `${collection} of ${key}: ${why}`, {
      side: 'local',
      cause: error,
    });
  }

  #upsert(object: MeshObject): void {
    const key = keyOf(object);
    const value = isForeign(object, this.#revision) ? undefined : object;
    sourceOf(this.#sources, object.kind)?.set(key, value as never);
    this.#sources.refused.set(key, undefined);
  }

  #remove(key: ObjectKey): void {
    const kind = splitKey(key).kind as MeshObject['kind'];
    sourceOf(this.#sources, kind)?.set(key, undefined);
    this.#sources.refused.set(key, undefined);
    this.#sources.notes.set(key, undefined);
    this.#sources.unsupported.set(key, undefined);
  }

  /**
   * A pod waits if it is enrolled and not captured, and was known outside of the mesh before. Where capture is
   * not promised it waits whatever it was before, and again when its agent holds it no longer.
   */
  #settlePending({ remove = [], awaited = [] }: NonNullable<MeshBatch['captured']>): void {
    const { pending, captured } = this.#sources;
    for (const [uid, before] of this.#enrolledBefore) {
      const isEnrolled = this.#isEnrolled(uid);
      if (!isEnrolled) pending.set(uid, undefined);
      else if (!this.#isPromised || before === false) pending.set(uid, true);
    }
    this.#enrolledBefore.clear();
    for (const uid of this.#isPromised ? awaited : [...remove, ...awaited]) {
      if (this.#isEnrolled(uid)) pending.set(uid, true);
    }
    for (const uid of pending.all.keys()) {
      if (captured.peek(uid) !== undefined) pending.set(uid, undefined);
    }
  }

  #isEnrolled(uid: string): boolean {
    return this.#derived.podModes.peek(uid)?.isEnrolled === true;
  }

  #forgetBefore(delta: MeshDelta | undefined): void {
    for (const name of Object.keys(this.#outputs) as Kind[]) {
      const output = this.#outputs[name];
      output.before.clear();
      if (delta !== undefined && delta[name].changed.size + delta[name].removed.size > 0) {
        output.snapshot = undefined;
      }
    }
  }

  #delta(): MeshDelta {
    const outputs = this.#outputs;
    return {
      addresses: deltaOf(outputs.addresses),
      authorizations: deltaOf(outputs.authorizations),
      enrolments: deltaOf(outputs.enrolments),
      pods: deltaOf(outputs.pods),
      waypoints: deltaOf(outputs.waypoints),
      scopes: deltaOf(outputs.scopes),
      objects: deltaOf(outputs.objects),
      statuses: deltaOf(outputs.statuses),
    };
  }
}

function track<V>(collection: Collection<V>): Output<unknown> {
  const output: Output<V> = { collection, before: new Map(), snapshot: undefined };
  collection.onKey((key, _, before) => {
    if (!output.before.has(key)) output.before.set(key, before);
  });
  return output as Output<unknown>;
}

function deltaOf(output: Output<unknown>): {
  readonly changed: ReadonlySet<string>;
  readonly removed: ReadonlySet<string>;
} {
  const changed = new Set<string>();
  const removed = new Set<string>();
  for (const [key, before] of output.before) {
    const now = output.collection.peek(key);
    if (deepEqual(before, now)) continue;
    (now === undefined ? removed : changed).add(key);
  }
  return { changed, removed };
}

/** One property for each output, looked up when it is asked for. */
function mapsOf<K extends string>(
  outputs: Readonly<Record<K, unknown>>,
  mapOf: (name: K) => ReadonlyMap<string, unknown>,
): MeshOutputs {
  const maps = {};
  for (const name of Object.keys(outputs) as K[]) {
    Object.defineProperty(maps, name, { enumerable: true, get: () => mapOf(name) });
  }
  return maps as MeshOutputs;
}

function snapshotOf(output: Output<unknown>): ReadonlyMap<string, unknown> {
  output.snapshot ??= new Map(output.collection.all);
  return output.snapshot;
}
