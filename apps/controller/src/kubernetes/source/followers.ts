/** The reflectors of all kinds: what is kept of each object, and where an object is in the cluster. */
import type { MeshObject, ObjectKey } from '@ambit/api';
import {
  type GroupVersionResource,
  type ObjectRef,
  parseKey,
  keyOf as placeOf,
  Reflector,
  type ReflectorEvent,
  watchDefinitions,
} from '@ambit/kube';

import { deepEqual } from '@ambit/model';

import type { KubernetesContext } from '../context.ts';
import type { FollowedKind } from './followed-kinds.ts';
import { NO_FINDINGS, type ReadObject, readObject } from './read-object.ts';
import type { KindHealth } from './reading-problems.ts';
import { SharedValues } from './shared-values.ts';

/** Where an object is in the cluster, for whoever writes to it. */
export interface ClusterObject {
  readonly kind: string;
  readonly gvr: GroupVersionResource;
  readonly ref: ObjectRef;
  readonly uid: string;
  readonly resourceVersion: string;
  /** Of the version that was judged last, also if it was refused; 0 for kinds without one. */
  readonly generation: number;
}

export interface FollowersOptions {
  readonly context: KubernetesContext;
  readonly kinds: readonly FollowedKind[];
  readonly onEvent: (followed: FollowedKind, event: ReflectorEvent<ReadObject>) => void;
  /** What an earlier process had accepted of this incarnation. */
  readonly lastAccepted: (key: ObjectKey, uid: string) => MeshObject | undefined;
  /** What was read of an object before, as it counts for its next version: with what is in force of it. */
  readonly before: (key: ObjectKey, read: ReadObject | undefined) => ReadObject | undefined;
}

/** What a reflector holds: of what is accepted without a finding, and so of nearly everything, the object alone. */
type Kept = MeshObject | ReadObject;

interface Follower {
  readonly followed: FollowedKind;
  readonly reflector: Reflector<Kept>;
}

export class Followers {
  readonly #options: FollowersOptions;
  readonly #shared = new SharedValues();
  /** By the prefix of their keys. */
  readonly #followers: ReadonlyMap<string, Follower>;
  /** A kind that comes is followed within a second. */
  readonly #definitions: Reflector<true>;

  constructor(options: FollowersOptions) {
    this.#options = options;
    this.#followers = new Map(
      options.kinds.map((followed) => [
        followed.keyPrefix,
        { followed, reflector: this.#reflectorOf(followed) },
      ]),
    );
    const { http, discovery, clock } = options.context;
    this.#definitions = watchDefinitions({ http, discovery, clock });
  }

  start(): void {
    this.#definitions.start();
    for (const { reflector } of this.#followers.values()) reflector.start();
  }

  /** When every kind that is served was read as a whole, or is not there. Rejects when stopped. */
  async whenRead(): Promise<void> {
    const served = [...this.#followers.values()].filter(({ followed }) => followed.isServed);
    await Promise.all(served.map(({ reflector }) => reflector.whenSynced()));
  }

  async stop(): Promise<void> {
    const reflectors = [...this.#followers.values()].map(({ reflector }) => reflector);
    await Promise.all([...reflectors, this.#definitions].map((reflector) => reflector.stop()));
  }

  health(): readonly KindHealth[] {
    return [...this.#followers.values()].map(({ followed, reflector }) => ({
      kind: followed.kind,
      resource: nameOf(followed),
      ...reflector.health(),
    }));
  }

  get(key: ObjectKey): ReadObject | undefined {
    const { follower, place } = this.#find(key);
    return opened(follower?.reflector.get(place));
  }

  /** Also of refused objects. Undefined if there is none, or its kind is not served now. */
  objectOf(key: ObjectKey): ClusterObject | undefined {
    const { follower, place } = this.#find(key);
    if (follower === undefined) return undefined;
    const { followed, reflector } = follower;
    const identity = reflector.identityOf(place);
    const { version } = reflector.health();
    if (identity === undefined || version === undefined) return undefined;
    const { group, resource } = followed.resource;
    const read = opened(reflector.get(place));
    return {
      kind: followed.kind,
      gvr: { group, version, resource },
      ref: parseKey(place),
      ...identity,
      generation: read === undefined ? 0 : generationOf(read),
    };
  }

  #find(key: ObjectKey): { readonly follower: Follower | undefined; readonly place: string } {
    const slash = key.indexOf('/');
    return { follower: this.#followers.get(key.slice(0, slash)), place: key.slice(slash + 1) };
  }

  #reflectorOf(followed: FollowedKind): Reflector<Kept> {
    const { context, lastAccepted, before, onEvent } = this.#options;
    const { http, discovery, clock, metrics } = context;
    const { resource, labelSelector, isServed, keyPrefix } = followed;
    const reflector: Reflector<Kept> = new Reflector({
      http,
      discovery,
      clock,
      metrics,
      resource,
      metadataOnly: !isServed,
      ...(labelSelector === undefined ? {} : { labelSelector }),
      prune: (object) => {
        const place = placeOf(object.metadata);
        const { uid = '' } = object.metadata;
        const key = `${keyPrefix}/${place}`;
        const known = reflector.get(place);
        const read = kept(
          readObject(object, {
            followed,
            shared: this.#shared,
            before: before(key, opened(known)),
            lastAccepted: () => lastAccepted(key, uid),
          }),
        );
        // Whoever was told of it before holds that one, and is told of no other.
        return deepEqual(known, read) ? known : read;
      },
      onEvent: (event) => onEvent(followed, openedEvent(event)),
    });
    return reflector;
  }
}

function kept(read: ReadObject): Kept {
  return read.kind === 'accepted' && read.findings === NO_FINDINGS ? read.object : read;
}

function opened(held: Kept): ReadObject;
function opened(held: Kept | undefined): ReadObject | undefined;
function opened(held: Kept | undefined): ReadObject | undefined {
  return held === undefined || isRead(held)
    ? held
    : { kind: 'accepted', object: held, findings: NO_FINDINGS };
}

function isRead(held: Kept): held is ReadObject {
  return held.kind === 'accepted' || held.kind === 'refused' || held.kind === 'unsupported';
}

function openedEvent(event: ReflectorEvent<Kept>): ReflectorEvent<ReadObject> {
  switch (event.kind) {
    case 'added':
      return { ...event, object: opened(event.object) };
    case 'updated':
      return { ...event, object: opened(event.object), old: opened(event.old) };
    case 'deleted':
      return { ...event, old: opened(event.old) };
    case 'forgotten':
    case 'malformed':
    case 'synced':
      return event;
  }
}

function generationOf(read: ReadObject): number {
  return read.kind === 'accepted' ? read.object.metadata.generation : read.generation;
}

function nameOf({ resource: { group, resource } }: FollowedKind): string {
  return group === '' ? resource : `${resource}.${group}`;
}
