/**
 * Follows every object of one kind: list, then watch, for as long as the process lives.
 *
 * The world is never emptied by a failure: only a complete list, a deletion event, or the certainty
 * that the kind itself is gone removes objects. A kind that the cluster does not have is no error; it
 * is waited for.
 */
import { Backoff, type Clock } from '@ambit/core';
import { untilAborted } from './deadline.ts';
import type { Discovery, ServedResource, WantedResource } from './discovery.ts';
import { isKubeError, KubeError } from './errors.ts';
import type { KubeHttp } from './http.ts';
import { listAll } from './list-pages.ts';
import type { KubeMetrics } from './metrics.ts';
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
/** Reason of the error when discovery and the lists disagree about a kind. */
const CONTRADICTION = 'Contradiction';
/** After a watch of this length, a list is no part of a loop. */
const RELIST_LIFE_MS_MIN = 30_000;
const BACKOFF = { initialMs: 500, maxMs: 30_000, jitter: 0.5 };

export interface ReflectorOptions<T> {
  readonly http: KubeHttp;
  /** Started by its owner, or an absent kind is not noticed when it comes. */
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly resource: WantedResource;
  /** One namespace only. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The server leaves out everything but the metadata. */
  readonly metadataOnly?: boolean;
  /**
   * What is kept of an object; runs while the answer is read, so the rest is never held. Undefined for
   * an object that is not wanted. What it throws is reported as `malformed`.
   */
  readonly prune: (object: KubeObject) => T | undefined;
  /** Must not throw; what it throws is counted and shown as `lastError`. */
  readonly onEvent: (event: ReflectorEvent<T>) => void;
  readonly metrics?: KubeMetrics;
  readonly pageSize?: number;
  /** Of one object as JSON; larger ones are malformed. Default 4 MiB. */
  readonly objectBytesMax?: number;
  /** Default 500,000; further ones are malformed. */
  readonly objectsMax?: number;
  /** The longest silence of a watch. Default 3 minutes. */
  readonly stallMs?: number;
  readonly backoff?: {
    readonly initialMs: number;
    readonly maxMs: number;
    readonly jitter: number;
  };
  readonly random?: () => number;
}

export type ReflectorState =
  | 'stopped'
  | 'listing'
  | 'watching'
  /** The cluster has no such kind now. */
  | 'absent'
  | 'backing-off';

export interface ReflectorHealth {
  readonly state: ReflectorState;
  readonly isSynced: boolean;
  readonly objects: number;
  readonly malformed: number;
  readonly lists: number;
  /** The version in use, if any. */
  readonly version: string | undefined;
  /** Undefined while all is well. */
  readonly lastError: string | undefined;
  /** Milliseconds since the epoch, of the last list, event or bookmark. */
  readonly lastEventAt: number | undefined;
}

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
        const isContradiction =
          isKubeError(error, 'KUBE_NOT_FOUND') ||
          (error instanceof KubeError && error.reason === CONTRADICTION);
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
      await this.#checkGone();
      await this.#absent();
      return;
    }
    this.#served = served;
    this.#state = 'listing';
    const resourceVersion = await this.#list(served);
    await this.#follow(served, resourceVersion);
  }

  /**
   * Throws unless no version can be listed either. Discovery alone may neither empty the world nor say
   * that an empty one is complete: a server that has just started does not name all of its kinds.
   */
  async #checkGone(): Promise<void> {
    const { http, resource, namespace } = this.#options;
    for (const version of resource.versions) {
      const path = pathOf({ ...resource, version }, { namespace });
      try {
        const query = { limit: '1' };
        await http.json({ method: 'GET', path, query, signal: this.#stop.signal });
      } catch (error) {
        if (isKubeError(error, 'KUBE_NOT_FOUND')) {
          continue;
        }
        throw error;
      }
      const message = `discovery does not name ${this.#name}, which can be listed`;
      const options = { reason: CONTRADICTION, retryable: true };
      throw new KubeError('KUBE_UNAVAILABLE', message, options);
    }
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
      if (end.kind === 'relist') {
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
