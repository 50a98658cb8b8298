/**
 * The objects of a cluster: one reflector for each kind, all of which have been read before anything is delivered.
 *
 * No failure removes an object, and no object holds up another: what cannot be read is refused by itself, and what
 * was accepted of it before stays in force, over restarts too (`LastAccepted`).
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { Backoff } from '@ambit/core';
import type { ReflectorEvent } from '@ambit/kube';
import { deepEqual, keyOf } from '@ambit/model';

import type { ConfigSource, SourceChange } from '../../source/config-source.ts';
import { STOOD_IN } from '../../source/stand-in.ts';
import type { KubernetesContext } from '../context.ts';
import { ChangeGatherer } from './change-gatherer.ts';
import { FOLLOWED_KINDS, type FollowedKind } from './followed-kinds.ts';
import { type ClusterObject, Followers } from './followers.ts';
import { InForce } from './in-force.ts';
import type { LastAccepted } from './last-accepted.ts';
import type { ReadObject, RefusedObject } from './read-object.ts';
import { type KindHealth, ReadingProblems } from './reading-problems.ts';

const PROBLEMS_EVERY_MS = 1_000;
const RESTORE_BACKOFF = { initialMs: 500, maxMs: 10_000, jitter: 0.2 };

export interface KubernetesSourceOptions {
  readonly context: KubernetesContext;
  readonly lastAccepted: LastAccepted;
  /** Default all (`FOLLOWED_KINDS`). */
  readonly kinds?: readonly FollowedKind[];
}

export class KubernetesSource implements ConfigSource {
  readonly #options: KubernetesSourceOptions;
  readonly #followers: Followers;
  readonly #stopping = new AbortController();
  #gatherer: ChangeGatherer | undefined;
  #running: Promise<void> | undefined;
  readonly #inForce: InForce;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    const { context, lastAccepted, kinds = FOLLOWED_KINDS } = options;
    const inForce = new InForce(lastAccepted);
    this.#inForce = inForce;
    this.#followers = new Followers({
      context,
      kinds,
      onEvent: (followed, event) => this.#take(followed, event),
      lastAccepted: (key, uid) => lastAccepted.of(key, uid),
      before: (key, read) => inForce.before(key, read),
    });
  }

  /** Rejects with what `onChange` throws for the first change: without it nothing can be served. */
  async start(
    onChange: (change: SourceChange) => void,
    onProblems: (problems: readonly string[]) => void = () => undefined,
  ): Promise<void> {
    const { clock, log } = this.#options.context;
    const { signal } = this.#stopping;
    this.#gatherer = new ChangeGatherer({
      clock,
      onChange: (change) => this.#inForce.deliver(change, onChange),
      onFailure: (key, error) =>
        log.error('a change of the cluster could not be taken', { key, error }),
      signal,
    });
    const problems = new ReadingProblems({ log, onProblems });
    await this.#restore(problems);
    if (signal.aborted) return;
    this.#followers.start();
    this.#running = this.#watchProblems(problems);
    try {
      await this.#followers.whenRead();
    } catch {
      return; // stopped before
    }
    this.#gatherer.release();
    this.#options.lastAccepted.finishLoading((key) => this.#takeFound(key));
    problems.update(this.health(), clock.now());
  }

  /** Idempotent. What was delivered stays true as far as anybody knows. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#followers.stop();
    await this.#running;
  }

  acceptedBefore(object: MeshObject): MeshObject | undefined {
    return this.#options.lastAccepted.of(keyOf(object), object.metadata.uid ?? '');
  }

  unusable(key: ObjectKey, inForce: MeshObject | undefined): void {
    this.#inForce.unusable(key, inForce);
  }

  usable(object: MeshObject, isRefused: boolean): void {
    this.#inForce.usable(object, isRefused);
  }

  /** Of every kind, also of those that the cluster does not have. */
  health(): readonly KindHealth[] {
    return this.#followers.health();
  }

  /** Also of refused objects. Undefined if there is none, or its kind is not served now. */
  objectOf(key: ObjectKey): ClusterObject | undefined {
    return this.#followers.objectOf(key);
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
    if (event.kind === 'deleted' || event.kind === 'forgotten') {
      this.#inForce.gone(key);
      this.#gatherer?.removed(key);
      return;
    }
    const before = event.kind === 'updated' ? event.old : undefined;
    const wasMalformed = event.kind === 'updated' && event.wasMalformed;
    // What changed is nothing that anybody reads; after a version that cannot be read, that this one can be.
    if (wasMalformed || !deepEqual(event.object, before)) {
      this.#takeObject(key, event.object, before);
    }
  }

  #takeObject(key: ObjectKey, now: ReadObject, before: ReadObject | undefined): void {
    switch (now.kind) {
      case 'accepted':
        this.#gatherer?.accepted(key, now.object, now.findings);
        break;
      case 'unsupported':
        this.#gatherer?.unsupported(key, now.message);
        break;
      case 'refused':
        this.#takeRefused(key, now, before);
    }
  }

  #takeRefused(key: ObjectKey, now: RefusedObject, before: ReadObject | undefined): void {
    const { inForce, findings, isStandIn } = now;
    if (inForce !== undefined && !isStandIn) this.#inForce.expect(key, inForce);
    this.#sayStandIn(key, now, before);
    // What stood in for a version that could refuse goes with it.
    if (inForce === undefined && before?.kind === 'refused') this.#gatherer?.removed(key);
    this.#gatherer?.refused(key, findings, isInForce(before, now) ? undefined : inForce, now);
  }

  #sayStandIn(key: ObjectKey, now: RefusedObject, before: ReadObject | undefined): void {
    if (!now.isStandIn || (before?.kind === 'refused' && before.isStandIn)) return;
    const findings = now.findings.map(({ path, message: found }) => `${path} ${found}`);
    this.#options.context.log.warn(STOOD_IN, { key, findings });
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
    const now = this.#followers.get(key);
    if (now?.kind !== 'refused') return;
    const known = this.#inForce.before(key, now);
    // Something better than a stand-in is in force already.
    if (known?.kind === 'accepted') return;
    if (known === now && now.inForce !== undefined && !now.isStandIn) return;
    const { lastAccepted } = this.#options;
    const found = lastAccepted.of(key, now.uid);
    if (found === undefined) return;
    lastAccepted.keep(key, found);
    this.#gatherer?.refused(key, now.findings, found, now);
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

/** Whether the version in force was so before the refused one came. */
function isInForce(
  before: ReadObject | undefined,
  { inForce }: { inForce?: MeshObject | undefined },
): boolean {
  if (before?.kind === 'accepted') return before.object === inForce;
  return before?.kind === 'refused' && deepEqual(before.inForce, inForce);
}
