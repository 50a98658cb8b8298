/**
 * Writes and deletes parts of waypoints.
 *
 * Rule: what is not ours is neither changed nor deleted. Ours is what carries our label, or what our field manager has applied before;
 * and what is owned is owned by the Gateway of that waypoint. Writes are so many a second.
 */
import { matchesLabels } from '@ambit/api';
import type { Clock } from '@ambit/core';
import {
  type GroupVersionResource,
  isKubeError,
  type KubeClient,
  type KubeError,
  type KubeObject,
  RateLimiter,
} from '@ambit/kube';
import { GATEWAY_NAME } from '../../provision/waypoint-objects.ts';
import { MANAGED_BY } from '../context.ts';
import type { ManagedPart } from './part-reflectors.ts';
import { digestOf, fingerprintOf, PART_TYPES, type WaypointPart } from './parts.ts';

const PER_SECOND = 20;
const BURST = 40;
const MANAGER = 'ambit-controller';
/** How the API server says, with status 500, that an applied object does not fit its schema. */
const SCHEMA_REFUSAL = /failed to (create typed patch object|convert new object)/;

/** An object of that name is there, and somebody else made it. */
export class ForeignPartError extends Error {
  override readonly name = 'ForeignPartError';
}

export interface Written {
  /** Of what was wanted. */
  readonly digest: string;
  /** Of what is there since. */
  readonly fingerprint: string;
  /** What was there before, by version: as long as nothing else is told, the watch is behind. */
  readonly replaced: string | undefined;
}

export class PartWriter {
  readonly #client: KubeClient;
  readonly #limiter: RateLimiter;

  constructor(options: { readonly client: KubeClient; readonly clock: Clock }) {
    this.#client = options.client;
    this.#limiter = new RateLimiter({ clock: options.clock, perSecond: PER_SECOND, burst: BURST });
  }

  /**
   * Brings a part to what is wanted. `known`: as it is there, if it carries our label. Throws ForeignPartError, KubeError. Answers
   * undefined for an account that people chose and made themselves.
   */
  async apply(
    part: WaypointPart,
    options: {
      readonly known: ManagedPart | undefined;
      readonly signal: AbortSignal;
      /** The name is one that people chose: an account of theirs is used as it is. */
      readonly isChosen: boolean;
    },
  ): Promise<Written | undefined> {
    const { known, signal, isChosen } = options;
    const { object } = part;
    const type = PART_TYPES[part.kind];
    const uid = known?.uid ?? (await this.#ownUid(part, options));
    if (uid === 'theirs') {
      if (isChosen) return undefined;
      throw new ForeignPartError(
        `${type.kind}/${object.metadata.namespace}/${object.metadata.name} is there and was not made by this controller for this waypoint: it is left as it is; rename it, delete it, or choose another name by gateway.istio.io/name-override`,
      );
    }
    await this.#limiter.take(signal);
    signal.throwIfAborted();
    // With the uid, an object that took its place meanwhile is not overwritten.
    const metadata = { ...object.metadata, ...(uid === undefined ? {} : { uid }) };
    const applied = await this.#client.apply(
      type,
      { ...object, metadata },
      // Where nothing was seen, whatever has come meanwhile keeps its fields.
      { force: uid !== undefined, fieldManager: MANAGER, signal },
    );
    return {
      digest: digestOf(object),
      fingerprint: fingerprintOf(applied),
      replaced: known?.resourceVersion,
    };
  }

  /** Whether the server would take the part. Throws KubeError; nothing is stored. */
  async check(part: WaypointPart, signal: AbortSignal): Promise<void> {
    await this.#limiter.take(signal);
    await this.#client.apply(PART_TYPES[part.kind], part.object, {
      force: true,
      fieldManager: MANAGER,
      isDryRun: true,
      signal,
    });
  }

  /** Deletes exactly this incarnation. False if it is not ours to delete. */
  async delete(part: ManagedPart, gateway: string, signal: AbortSignal): Promise<boolean> {
    const { owner, kind, namespace, name, uid } = part;
    if (part.isDeleting) return true;
    if (owner !== undefined && (owner.kind !== 'Gateway' || owner.name !== gateway)) return false;
    await this.#limiter.take(signal);
    signal.throwIfAborted();
    const type: GroupVersionResource = PART_TYPES[kind];
    try {
      await this.#client.delete(type, { namespace, name }, { uid, signal });
    } catch (error) {
      if (!isKubeError(error, 'KUBE_NOT_FOUND', 'KUBE_CONFLICT')) throw error;
    }
    return true;
  }

  async #ownUid(
    { kind, object }: WaypointPart,
    { signal, isChosen }: { readonly signal: AbortSignal; readonly isChosen: boolean },
  ): Promise<string | undefined> {
    const found = await this.#client.find(PART_TYPES[kind], object.metadata, { signal });
    if (found === undefined) return undefined;
    // What is of another waypoint goes with that one, and so stays that one's; an account also where nothing says whose it is.
    const [theirs, own] = [waypointOf(found), waypointOf(object)];
    const isOfAnother = theirs !== own && (isChosen || theirs !== undefined);
    return isOurs(found) && !isOfAnother ? found.metadata.uid : 'theirs';
  }
}

function waypointOf({ metadata: { labels } }: KubeObject): string | undefined {
  return labels?.[GATEWAY_NAME];
}

function isOurs(object: KubeObject): boolean {
  const { labels = {} } = object.metadata;
  const managers = (object.metadata as { readonly managedFields?: unknown }).managedFields;
  const hasApplied =
    Array.isArray(managers) &&
    managers.some(
      (entry: { readonly manager?: unknown; readonly operation?: unknown }) =>
        entry.manager === MANAGER && entry.operation === 'Apply',
    );
  return hasApplied || matchesLabels(MANAGED_BY, labels);
}

/** The server says that the object itself is wrong, which repeating does not change. */
export function isRefusedAsWritten(error: unknown): error is KubeError {
  if (!isKubeError(error)) return false;
  const isRefused = error.code === 'KUBE_INVALID' || error.code === 'KUBE_BAD_REQUEST';
  return isRefused || (error.code === 'KUBE_UNAVAILABLE' && SCHEMA_REFUSAL.test(error.message));
}
