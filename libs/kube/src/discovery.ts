/**
 * Which resources the API server has, in which versions.
 *
 * One request for all groups (aggregated discovery, Kubernetes 1.27 and later), repeated with its ETag,
 * so asking often costs nothing. Only a complete answer may say that something is not there.
 */
import type { Clock } from '@ambit/core';
import { KubeError } from './errors.ts';
import type { KubeHttp } from './http.ts';

const POLL_MS = 30_000;
/** New resources appear in discovery a moment after their definition. */
const REFRESH_SOON_MS: readonly number[] = [0, 1_000, 2_000, 5_000];
const ACCEPT = ['v2', 'v2beta1']
  .map((v) => `application/json;g=apidiscovery.k8s.io;v=${v};as=APIGroupDiscoveryList`)
  .join(',');

/** A resource by name; the version is the server's choice among those that we read. */
export interface WantedResource {
  readonly group: string;
  readonly resource: string;
  readonly versions: readonly string[];
}

export interface ServedResource {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly kind: string;
  readonly isNamespaced: boolean;
}

interface Snapshot {
  /** `group/resource` → in the server's order of preference. */
  readonly served: ReadonlyMap<string, readonly ServedResource[]>;
  /** Groups of which a version could not be asked: nothing is known to be absent there. */
  readonly staleGroups: ReadonlySet<string>;
}

export interface DiscoveryOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  /** Default 30 s, by a fifth more or less. */
  readonly pollMs?: number;
  readonly random?: () => number;
}

export class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #etags = new Map<string, { readonly etag: string; readonly snapshot: Snapshot }>();
  readonly #listeners = new Set<() => void>();
  readonly #stop = new AbortController();
  #snapshot: Snapshot | undefined;
  #generation = 0;
  #isSoonWanted = false;
  #isSoonRunning = false;
  #fetching: Promise<void> | undefined;
  #polling: Promise<void> | undefined;

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** Polls until `stop`. Without it only `resolve` and `refresh` ask. */
  start(): void {
    this.#polling ??= this.#poll();
  }

  async stop(): Promise<void> {
    this.#stop.abort(new KubeError('KUBE_STOPPED', 'discovery has stopped'));
    await this.#polling;
  }

  /** The version the server prefers among the wanted ones; undefined if it serves none. Throws KubeError when it cannot know. */
  async resolve(
    wanted: WantedResource,
    options: { isFresh?: boolean } = {},
  ): Promise<ServedResource | undefined> {
    if (options.isFresh === true || this.#snapshot === undefined) {
      await this.refresh();
    }
    const found = this.#snapshot?.served
      .get(`${wanted.group}/${wanted.resource}`)
      ?.find((served) => wanted.versions.includes(served.version));
    if (found === undefined && this.#snapshot?.staleGroups.has(wanted.group) === true) {
      const message = `the server cannot say now what the group "${wanted.group}" has`;
      throw new KubeError('KUBE_UNAVAILABLE', message, { retryable: true });
    }
    return found;
  }

  /** Asks the server now; calls at the same time share one request. */
  async refresh(): Promise<void> {
    this.#fetching ??= this.#fetch().finally(() => {
      this.#fetching = undefined;
    });
    await this.#fetching;
  }

  /** Asks now and a few times more, because a definition has just changed. Failures are left to the poll. */
  async refreshSoon(): Promise<void> {
    this.#isSoonWanted = true;
    if (this.#isSoonRunning) {
      return;
    }
    this.#isSoonRunning = true;
    try {
      while (this.#isSoonWanted) {
        this.#isSoonWanted = false;
        await this.#refreshAfter(REFRESH_SOON_MS);
      }
    } catch {
      // The poll asks again, and whoever needs an answer now gets the error from `resolve`.
    } finally {
      this.#isSoonRunning = false;
    }
  }

  async #refreshAfter(waits: readonly number[]): Promise<void> {
    for (const waitMs of waits) {
      await this.#options.clock.sleep(waitMs, this.#stop.signal);
      await this.refresh();
    }
  }

  /** Counts the changes of what is served. */
  get generation(): number {
    return this.#generation;
  }

  /** Resolves when what is served is no longer that of the generation. */
  async changed(generation: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (generation !== this.#generation) {
      return;
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const abort = (): void => reject(signal.reason);
    this.#listeners.add(resolve);
    signal.addEventListener('abort', abort, { once: true });
    try {
      await promise;
    } finally {
      this.#listeners.delete(resolve);
      signal.removeEventListener('abort', abort);
    }
  }

  async #poll(): Promise<void> {
    const { clock, pollMs = POLL_MS, random = Math.random } = this.#options;
    while (!this.#stop.signal.aborted) {
      try {
        await clock.sleep(pollMs * (0.8 + 0.4 * random()), this.#stop.signal);
        await this.refresh();
      } catch {
        // Stopped, or the server does not answer: what was known stays until it does.
      }
    }
  }

  async #fetch(): Promise<void> {
    const parts = [await this.#fetchPart('/api'), await this.#fetchPart('/apis')];
    const before = this.#snapshot;
    const served = new Map(parts.flatMap((part) => [...part.served]));
    const staleGroups = new Set(parts.flatMap((part) => [...part.staleGroups]));
    this.#snapshot = { served, staleGroups };
    if (before === undefined || !isSame(before, this.#snapshot)) {
      this.#generation += 1;
      const listeners = [...this.#listeners];
      this.#listeners.clear();
      for (const listener of listeners) {
        listener();
      }
    }
  }

  async #fetchPart(path: string): Promise<Snapshot> {
    const known = this.#etags.get(path);
    const headers = known === undefined ? {} : { 'if-none-match': known.etag };
    const signal = this.#stop.signal;
    const { status, etag, body } = await this.#options.http.conditional({
      method: 'GET',
      path,
      accept: ACCEPT,
      headers,
      signal,
    });
    if (status === 304 && known !== undefined) {
      return known.snapshot;
    }
    const snapshot = parseDiscovery(body);
    if (etag !== undefined) {
      this.#etags.set(path, { etag, snapshot });
    }
    return snapshot;
  }
}

function isSame(a: Snapshot, b: Snapshot): boolean {
  return JSON.stringify(plain(a)) === JSON.stringify(plain(b));
}

function plain({ served, staleGroups }: Snapshot): unknown {
  return [[...served].sort(([a], [b]) => (a < b ? -1 : 1)), [...staleGroups].sort()];
}

interface DiscoveredVersion {
  readonly version?: unknown;
  readonly freshness?: unknown;
  readonly resources?: readonly {
    readonly resource?: unknown;
    readonly responseKind?: { readonly kind?: unknown } | null;
    readonly scope?: unknown;
    readonly verbs?: unknown;
  }[];
}

/** Throws KUBE_PROTOCOL for an answer that is no aggregated discovery. */
function parseDiscovery(body: unknown): Snapshot {
  const list = body as { kind?: unknown; items?: unknown } | null | undefined;
  if (list?.kind !== 'APIGroupDiscoveryList' || !Array.isArray(list.items)) {
    const message = `the server has no aggregated discovery (Kubernetes 1.27 or later is needed): kind "${String(list?.kind).slice(0, 40)}"`;
    throw new KubeError('KUBE_PROTOCOL', message);
  }
  const served = new Map<string, ServedResource[]>();
  const staleGroups = new Set<string>();
  for (const item of list.items as { metadata?: { name?: string }; versions?: unknown }[]) {
    const group = item.metadata?.name ?? '';
    for (const version of (item.versions ?? []) as DiscoveredVersion[]) {
      if (version.freshness === 'Stale') {
        staleGroups.add(group);
      }
      for (const resource of resourcesOf(group, version)) {
        const key = `${group}/${resource.resource}`;
        served.set(key, [...(served.get(key) ?? []), resource]);
      }
    }
  }
  return { served, staleGroups };
}

/** Those that can be watched. */
function resourcesOf(
  group: string,
  { version, resources = [] }: DiscoveredVersion,
): ServedResource[] {
  return resources.flatMap(({ resource, responseKind, scope, verbs }) => {
    const kind = responseKind?.kind;
    const isWatchable = Array.isArray(verbs) && verbs.includes('list') && verbs.includes('watch');
    return typeof version === 'string' &&
      typeof resource === 'string' &&
      typeof kind === 'string' &&
      isWatchable
      ? [{ group, version, resource, kind, isNamespaced: scope === 'Namespaced' }]
      : [];
  });
}
