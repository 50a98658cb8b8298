/**
 * The objects of a cluster: one reflector for each kind, all of which have been read before anything is delivered.
 *
 * No failure removes an object, and no object holds up another: what cannot be read is refused by itself, and what
 * was accepted of it before stays in force, over restarts too (`LastAccepted`).
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { Backoff } from '@ambit/core';
import {
  type GroupVersionResource,
  type ObjectRef,
  parseKey,
  Reflector,
  type ReflectorEvent,
  watchDefinitions,
} from '@ambit/kube';
import { deepEqual } from '@ambit/model';

import type { ConfigSource, SourceChange } from '../../source/config-source.ts';
import type { KubernetesContext } from '../context.ts';
import { ChangeGatherer } from './change-gatherer.ts';
import { FOLLOWED_KINDS, type FollowedKind } from './followed-kinds.ts';
import type { LastAccepted } from './last-accepted.ts';
import { type ReadObject, type RefusedObject, readObject } from './read-object.ts';
import { type KindHealth, ReadingProblems } from './reading-problems.ts';
import { SharedValues } from './shared-values.ts';

const PROBLEMS_EVERY_MS = 1_000;
const RESTORE_BACKOFF = { initialMs: 500, maxMs: 10_000, jitter: 0.2 };

export interface KubernetesSourceOptions {
  readonly context: KubernetesContext;
  readonly lastAccepted: LastAccepted;
  /** Default all (`FOLLOWED_KINDS`). */
  readonly kinds?: readonly FollowedKind[];
}

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

interface Following {
  readonly followed: FollowedKind;
  readonly reflector: Reflector<ReadObject>;
}

export class KubernetesSource implements ConfigSource {
  readonly #options: KubernetesSourceOptions;
  readonly #shared = new SharedValues();
  readonly #stopping = new AbortController();
  readonly #following: ReadonlyMap<string, Following>;
  readonly #definitions: Reflector<true>;
  #gatherer: ChangeGatherer | undefined;
  #running: Promise<void> | undefined;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    const { http, discovery, clock } = options.context;
    const kinds = options.kinds ?? FOLLOWED_KINDS;
    this.#following = new Map(
      kinds.map((followed) => [
        followed.keyPrefix,
        { followed, reflector: this.#reflectorOf(followed) },
      ]),
    );
    this.#definitions = watchDefinitions({ http, discovery, clock });
  }

  async start(
    onChange: (change: SourceChange) => void,
    onProblems: (problems: readonly string[]) => void = () => undefined,
  ): Promise<void> {
    const { clock, log } = this.#options.context;
    const { signal } = this.#stopping;
    const deliver = (change: SourceChange): void => {
      try {
        onChange(change);
      } catch (error) {
        log.error('a change of the cluster could not be taken', { error });
      }
    };
    this.#gatherer = new ChangeGatherer({ clock, onChange: deliver, signal });
    const problems = new ReadingProblems({ log, onProblems });
    await this.#restore(problems);
    if (signal.aborted) return;
    this.#definitions.start();
    for (const { reflector } of this.#following.values()) reflector.start();
    this.#running = this.#watchProblems(problems);
    const served = [...this.#following.values()].filter(({ followed }) => followed.isServed);
    const synced = served.map(({ reflector }) => reflector.whenSynced());
    try {
      await Promise.all(synced);
    } catch {
      return; // stopped before
    }
    this.#options.lastAccepted.finishLoading((key) => this.#takeFound(key));
    this.#gatherer.release();
    problems.update(this.health(), clock.now());
  }

  /** Idempotent. What was delivered stays true as far as anybody knows. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const reflectors = [...this.#following.values()].map(({ reflector }) => reflector);
    await Promise.all([...reflectors, this.#definitions].map((reflector) => reflector.stop()));
    await this.#running;
  }

  /** Of every kind, also of those that the cluster does not have. */
  health(): readonly KindHealth[] {
    return [...this.#following.values()].map(({ followed, reflector }) => ({
      kind: followed.kind,
      resource: nameOf(followed),
      ...reflector.health(),
    }));
  }

  /** Also of refused objects. Undefined if there is none, or its kind is not served now. */
  objectOf(key: ObjectKey): ClusterObject | undefined {
    const { following, place } = this.#find(key);
    const identity = following?.reflector.identityOf(place);
    const version = following?.reflector.health().version;
    if (following === undefined || identity === undefined || version === undefined)
      return undefined;
    const { kind, resource: wanted } = following.followed;
    const gvr = { group: wanted.group, version, resource: wanted.resource };
    const read = following.reflector.get(place);
    const generation = read === undefined ? 0 : generationOf(read);
    return { kind, gvr, ref: parseKey(place), ...identity, generation };
  }

  #find(key: ObjectKey): { readonly following: Following | undefined; readonly place: string } {
    const slash = key.indexOf('/');
    return { following: this.#following.get(key.slice(0, slash)), place: key.slice(slash + 1) };
  }

  #reflectorOf(followed: FollowedKind): Reflector<ReadObject> {
    const { http, discovery, clock, metrics } = this.#options.context;
    const { lastAccepted } = this.#options;
    const reflector: Reflector<ReadObject> = new Reflector({
      http,
      discovery,
      clock,
      metrics,
      resource: followed.resource,
      metadataOnly: !followed.isServed,
      ...(followed.labelSelector === undefined ? {} : { labelSelector: followed.labelSelector }),
      prune: (object) => {
        const { namespace, name, uid = '' } = object.metadata;
        const place = namespace === undefined ? name : `${namespace}/${name}`;
        return readObject(object, {
          followed,
          shared: this.#shared,
          before: reflector.get(place),
          lastAccepted: () => lastAccepted.of(`${followed.keyPrefix}/${place}`, uid),
        });
      },
      onEvent: (event) => this.#take(followed, event),
    });
    return reflector;
  }

  #take({ keyPrefix, kind }: FollowedKind, event: ReflectorEvent<ReadObject>): void {
    if (event.kind === 'synced') return;
    if (event.kind === 'malformed') {
      this.#takeMalformed(event.key === undefined ? undefined : `${keyPrefix}/${event.key}`, {
        kind,
        reason: event.reason,
      });
      return;
    }
    const key = `${keyPrefix}/${event.key}`;
    if (event.kind === 'deleted') {
      this.#options.lastAccepted.forget(key);
      this.#gatherer?.removed(key);
      return;
    }
    this.#takeObject(key, event.object, event.kind === 'updated' ? event.old : undefined);
  }

  #takeObject(key: ObjectKey, now: ReadObject, before: ReadObject | undefined): void {
    if (deepEqual(now, before)) return; // what changed is nothing that anybody reads
    const { lastAccepted } = this.#options;
    switch (now.kind) {
      case 'accepted':
        lastAccepted.forget(key);
        this.#gatherer?.accepted(key, now.object, now.findings);
        break;
      case 'unsupported':
        this.#gatherer?.unsupported(key, now.message);
        break;
      case 'refused':
        if (now.inForce !== undefined && !now.isStandIn) lastAccepted.keep(key, now.inForce);
        this.#sayStandIn(key, now, before);
        this.#gatherer?.refused(
          key,
          now.findings,
          isInForce(before, now) ? undefined : now.inForce,
        );
    }
  }

  #sayStandIn(key: ObjectKey, now: RefusedObject, before: ReadObject | undefined): void {
    if (!now.isStandIn || (before?.kind === 'refused' && before.isStandIn)) return;
    const message =
      'a policy is refused and was never accepted; what it could refuse in its scope is refused until it is fixed';
    const findings = now.findings.map(({ path, message: found }) => `${path} ${found}`);
    this.#options.context.log.warn(message, { key, findings });
  }

  /** Too long, or no JSON. Its last good version stays where it is. */
  #takeMalformed(
    key: ObjectKey | undefined,
    { kind, reason }: { readonly kind: string; readonly reason: string },
  ): void {
    const { log } = this.#options.context;
    log.warn('an object of the cluster cannot be read', { kind, key, reason });
    if (key === undefined) return;
    const finding = { code: 'OBJECT_UNREADABLE', severity: 'error', path: '' } as const;
    this.#gatherer?.refused(key, [{ ...finding, message: `cannot be read: ${reason}` }]);
  }

  /** Another replica kept what this one came too late to see accepted. */
  #takeFound(key: ObjectKey): void {
    const { following, place } = this.#find(key);
    const now = following?.reflector.get(place);
    if (now?.kind !== 'refused' || (now.inForce !== undefined && !now.isStandIn)) return;
    const { lastAccepted } = this.#options;
    const found = lastAccepted.of(key, now.uid);
    if (found === undefined) return;
    lastAccepted.keep(key, found);
    this.#gatherer?.refused(key, now.findings, found);
  }

  /** Until it was read nobody knows what an earlier process had in force, and so nothing may be served. */
  async #restore(problems: ReadingProblems): Promise<void> {
    const { lastAccepted, context } = this.#options;
    const { signal } = this.#stopping;
    const backoff = new Backoff(RESTORE_BACKOFF);
    while (!signal.aborted) {
      try {
        await lastAccepted.restore(signal);
        return;
      } catch (error) {
        if (signal.aborted) return;
        const why = error instanceof Error ? error.message : String(error);
        problems.tell([`the versions accepted last cannot be read: ${why}`]);
        await context.clock.sleep(backoff.next(), signal).catch(() => undefined);
      }
    }
  }

  async #watchProblems(problems: ReadingProblems): Promise<void> {
    const { clock } = this.#options.context;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      problems.update(this.health(), clock.now());
      await clock.sleep(PROBLEMS_EVERY_MS, signal).catch(() => undefined);
    }
  }
}

function generationOf(read: ReadObject): number {
  return read.kind === 'accepted' ? read.object.metadata.generation : read.generation;
}

/** Whether the version in force was so before the refused one came. */
function isInForce(
  before: ReadObject | undefined,
  { inForce }: { inForce?: MeshObject | undefined },
): boolean {
  if (before?.kind === 'accepted') return before.object === inForce;
  return before?.kind === 'refused' && deepEqual(before.inForce, inForce);
}

function nameOf({ resource: { group, resource } }: FollowedKind): string {
  return group === '' ? resource : `${resource}.${group}`;
}
