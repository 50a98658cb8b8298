/**
 * Follows every object of one kind: list, then watch, for as long as the process lives.
 *
 * The world is never emptied by a failure: only a complete list, a deletion event, or the certainty
 * that the kind itself is gone removes objects. A kind that the cluster does not have is no error; it
 * is waited for.
 */
import { Backoff } from '@ambit/core';
import { checkAbsent, isContradictionError } from './check-absent.ts';
import { untilAborted } from './deadline.ts';
import type { ServedResource } from './discovery.ts';
import { isKubeError, KubeError } from './errors.ts';
import { listAll } from './list-pages.ts';
import type { ReflectorHealth, ReflectorOptions, ReflectorState } from './reflector-options.ts';
import { type ReflectorEvent, ReflectorStore } from './reflector-store.ts';
import { type KubeObject, pathOf } from './resources.ts';
import { type WatchEnd, watchOnce } from './watch-once.ts';

const PAGE_SIZE = 500;
const OBJECT_BYTES_MAX = 4 * 1024 * 1024;
const OBJECTS_MAX = 500_000;
/** A server sends a bookmark about every minute; after three without one the connection is taken for dead. */
const STALL_MS = 180_000;
const LIST_SILENCE_MS = 60_000;
const WATCH_SECONDS_MIN = 300;
/**
 * A cluster that was restored from a backup has not come to our version yet, and says nothing until it has, which may take days. One
 * silent watch is a dead connection; after so many in a row the version is doubted.
 */
const SILENT_MAX = 2;
/** After a watch of this length, a list is no part of a loop. */
const RELIST_LIFE_MS_MIN = 30_000;
const BACKOFF = { initialMs: 500, maxMs: 30_000, jitter: 0.5 };

export class Reflector<T> {
  readonly #options: ReflectorOptions<T>;
  readonly #store: ReflectorStore<T>;
  readonly #backoff: Backoff;
  /** Of lists after lists: an event between them does not make a loop harmless. */
  readonly #relistBackoff: Backoff;
  readonly #stop = new AbortController();
  readonly #synced = Promise.withResolvers<void>();
  #running: Promise<void> | undefined;
  #state: ReflectorState = 'stopped';
  #served: ServedResource | undefined;
  #isSynced = false;
  #malformed = 0;
  #lists = 0;
  #lastError: string | undefined;
  #lastEventAt: number | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#store = new ReflectorStore({
      prune: options.prune,
      emit: (event) => this.#emit(event),
      objectsMax: options.objectsMax ?? OBJECTS_MAX,
    });
    const backoff = { ...(options.backoff ?? BACKOFF), random: options.random ?? Math.random };
    this.#backoff = new Backoff(backoff);
    this.#relistBackoff = new Backoff(backoff);
    // Whoever waits handles it; nobody may be waiting.
    this.#synced.promise.catch(() => undefined);
  }

  /** Begins; what goes wrong is in `health` and is tried again. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends the watch. The objects stay readable. */
  async stop(): Promise<void> {
    const reason = new KubeError('KUBE_STOPPED', `the reflector of ${this.#name} has stopped`);
    this.#stop.abort(reason);
    this.#synced.reject(reason);
    await this.#running;
    this.#state = 'stopped';
  }

  /** Resolves when the first complete list has been told. Rejects with KUBE_STOPPED. */
  async whenSynced(): Promise<void> {
    await this.#synced.promise;
  }

  get size(): number {
    return this.#store.size;
  }

  /** By `namespace/name`, or `name` for what has no namespace. */
  get(key: string): T | undefined {
    return this.#store.get(key);
  }

  /** Which incarnation and version is held under the key. */
  identityOf(key: string): { readonly uid: string; readonly resourceVersion: string } | undefined {
    return this.#store.identityOf(key);
  }

  entries(): Iterable<[string, T]> {
    return this.#store.entries();
  }

  health(): ReflectorHealth {
    return {
      state: this.#state,
      isSynced: this.#isSynced,
      objects: this.#store.size,
      malformed: this.#malformed,
      lists: this.#lists,
      version: this.#served?.version,
      lastError: this.#lastError,
      lastEventAt: this.#lastEventAt,
    };
  }

  get #name(): string {
    const { group, resource } = this.#options.resource;
    return group === '' ? resource : `${resource}.${group}`;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    let doubtsDiscovery = false;
    while (!signal.aborted) {
      try {
        await this.#round(doubtsDiscovery);
        doubtsDiscovery = false;
      } catch (error) {
        const isContradiction = isKubeError(error, 'KUBE_NOT_FOUND') || isContradictionError(error);
        // A kind that has just gone, or come, is asked for again at once, with fresh word on it.
        await this.#failed(error, isContradiction && !doubtsDiscovery ? 0 : undefined);
        doubtsDiscovery = isContradiction;
      }
    }
  }

  /** One list and the watches after it, until another list is needed. */
  async #round(isFresh: boolean): Promise<void> {
    const { discovery, resource } = this.#options;
    const resolved = discovery.resolve(resource, { isFresh });
    const served = await untilAborted(resolved, this.#stop.signal);
    if (served === undefined) {
      const { http, namespace } = this.#options;
      await checkAbsent({ http, resource, namespace, signal: this.#stop.signal });
      await this.#absent();
      return;
    }
    this.#served = served;
    this.#state = 'listing';
    const resourceVersion = await this.#list(served);
    await this.#follow(served, resourceVersion);
  }

  /** Complete discovery says that the kind is not served; the objects went with it. */
  async #absent(): Promise<void> {
    const { discovery, resource } = this.#options;
    const { signal } = this.#stop;
    this.#store.clear();
    this.#served = undefined;
    this.#state = 'absent';
    this.#healthy();
    this.#setSynced();
    for (;;) {
      const { generation } = discovery;
      if ((await untilAborted(discovery.resolve(resource), signal)) !== undefined) {
        return;
      }
      await discovery.changed(generation, signal);
    }
  }

  async #list(served: ServedResource): Promise<string> {
    const { http, clock, metrics, pageSize = PAGE_SIZE } = this.#options;
    metrics?.lists.inc({ resource: this.#name });
    this.#lists += 1;
    const { sink, resourceVersion } = await listAll(
      {
        http,
        clock,
        path: this.#path(served),
        query: this.#selectors,
        accept: this.#accept('PartialObjectMetadataList'),
        pageSize,
        itemBytesMax: this.#options.objectBytesMax ?? OBJECT_BYTES_MAX,
        silenceMsMax: LIST_SILENCE_MS,
        signal: this.#stop.signal,
      },
      () => {
        const staged = this.#store.stage();
        return {
          put: (object: KubeObject) => staged.put(typed(object, served)),
          malformed: (key: string | undefined, reason: string) => staged.malformed(key, reason),
          commit: () => staged.commit(),
        };
      },
    );
    sink.commit();
    this.#lastEventAt = clock.wallNow();
    this.#healthy();
    this.#setSynced();
    return resourceVersion;
  }

  /** Watches from a version on, again and again; returns when only a list can help. */
  async #follow(served: ServedResource, listedVersion: string): Promise<void> {
    const { http, clock, stallMs = STALL_MS, random = Math.random } = this.#options;
    let resourceVersion = listedVersion;
    let silent = 0;
    for (;;) {
      this.#state = 'watching';
      const startedAt = clock.now();
      const end: WatchEnd = await watchOnce(
        {
          http,
          clock,
          path: this.#path(served),
          query: this.#selectors,
          accept: this.#accept('PartialObjectMetadata'),
          timeoutSeconds: Math.round(WATCH_SECONDS_MIN * (1 + random())),
          lineBytesMax: (this.#options.objectBytesMax ?? OBJECT_BYTES_MAX) + 1024,
          silenceMsMax: stallMs,
          signal: this.#stop.signal,
        },
        {
          resourceVersion,
          put: (object) => this.#store.put(typed(object, served)),
          delete: (key) => this.#store.delete(key),
          malformed: (key, reason) => this.#store.malformed(key, reason),
          heard: () => this.#heard(),
        },
      );
      resourceVersion = end.resourceVersion;
      if (clock.now() - startedAt > RELIST_LIFE_MS_MIN) {
        this.#relistBackoff.reset();
      }
      silent = end.kind === 'failed' && end.isSilent ? silent + 1 : 0;
      if (end.kind === 'relist' || (end.kind === 'failed' && silent >= SILENT_MAX)) {
        await this.#failed(end.error, this.#relistBackoff.next());
        return;
      }
      if (end.kind === 'failed') {
        await this.#failed(end.error, undefined);
      }
    }
  }

  #heard(): void {
    this.#lastEventAt = this.#options.clock.wallNow();
    this.#options.metrics?.events.inc({ resource: this.#name });
    this.#healthy();
  }

  #healthy(): void {
    this.#backoff.reset();
    this.#lastError = undefined;
  }

  /** Notes the failure and waits; never rejects, so that the loop goes on. */
  async #failed(error: unknown, waitMs: number | undefined): Promise<void> {
    const { clock, metrics } = this.#options;
    if (this.#stop.signal.aborted) {
      return;
    }
    this.#lastError = error instanceof Error ? error.message : String(error);
    const code = error instanceof KubeError ? error.code : 'OTHER';
    metrics?.failures.inc({ resource: this.#name, code });
    const asked = error instanceof KubeError ? (error.retryAfterMs ?? 0) : 0;
    this.#state = 'backing-off';
    try {
      await clock.sleep(Math.max(asked, waitMs ?? this.#backoff.next()), this.#stop.signal);
    } catch {
      // Stopped: the loop sees it.
    }
  }

  #setSynced(): void {
    if (!this.#isSynced) {
      this.#isSynced = true;
      this.#emit({ kind: 'synced' });
      this.#synced.resolve();
    }
  }

  #emit(event: ReflectorEvent<T>): void {
    const { metrics, onEvent } = this.#options;
    if (event.kind === 'malformed') {
      this.#malformed += 1;
      metrics?.malformed.inc({ resource: this.#name });
    }
    try {
      onEvent(event);
    } catch (error) {
      metrics?.failures.inc({ resource: this.#name, code: 'LISTENER' });
      this.#lastError = `a listener failed: ${error instanceof Error ? error.message : String(error)}`;
    }
  }

  #path(served: ServedResource): string {
    return pathOf(served, { namespace: this.#options.namespace });
  }

  get #selectors(): Readonly<Record<string, string | undefined>> {
    const { labelSelector, fieldSelector } = this.#options;
    return { labelSelector, fieldSelector };
  }

  #accept(as: string): string {
    return this.#options.metadataOnly === true
      ? `application/json;as=${as};g=meta.k8s.io;v=v1`
      : 'application/json';
  }
}

/** Items of a list say neither kind nor version, and metadata-only ones say another. */
function typed(object: KubeObject, { group, version, kind }: ServedResource): KubeObject {
  const apiVersion = group === '' ? version : `${group}/${version}`;
  return { ...object, apiVersion, kind };
}
