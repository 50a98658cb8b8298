/**
 * The accepted version of every object whose present version is refused, kept in a ConfigMap: a controller that
 * starts while an edit is broken must not open what was closed.
 *
 * Every replica reads it before it serves anything; only the holder of the lease writes it. What is valid is in
 * the cluster itself and not kept twice.
 */
import { type MeshObject, type ObjectKey, parseObject, serializeObject } from '@ambit/api';
import { Backoff } from '@ambit/core';
import type { KubeObject } from '@ambit/kube';
import { keyOf } from '@ambit/model';

import { isKept } from '../../source/is-kept.ts';
import { type KubernetesContext, MANAGED_BY } from '../context.ts';
import { LeaderDuty, untilAborted } from '../leader-duty.ts';

export const LAST_ACCEPTED = 'ambit-last-accepted';
/** A ConfigMap holds 1 MiB at most. */
const KEPT_BYTES_MAX = 900 * 1024;
const FIELD = 'objects.json';
const CONFIG_MAPS = { group: '', version: 'v1', resource: 'configmaps' };
const GATHER_MS = 100;
/** Between two writes. */
const PAUSE_MS = 1_000;
const BACKOFF = { initialMs: 500, maxMs: 30_000, jitter: 0.5 };
/** What refuses goes in first: losing a route is not losing a lock. */
const FIRST: ReadonlySet<MeshObject['kind']> = new Set([
  'AuthorizationPolicy',
  'PeerAuthentication',
  'RequestAuthentication',
]);

export class LastAccepted extends LeaderDuty {
  readonly #context: KubernetesContext;
  readonly #keptBytesMax: number;
  /** As read; empty once everything that exists was looked at. */
  readonly #earlier = new Map<ObjectKey, MeshObject>();
  /** What is in force of objects that are refused now. */
  readonly #inForce = new Map<ObjectKey, MeshObject>();
  readonly #loaded = Promise.withResolvers<void>();
  #onFound: (key: ObjectKey) => void = () => undefined;
  #changed = Promise.withResolvers<void>();
  #leftOut = 0;

  constructor(
    context: KubernetesContext,
    { keptBytesMax = KEPT_BYTES_MAX }: { readonly keptBytesMax?: number } = {},
  ) {
    super();
    this.#context = context;
    this.#keptBytesMax = keptBytesMax;
  }

  /** Versions in force that did not fit at the last write. */
  get leftOut(): number {
    return this.#leftOut;
  }

  /** Throws KubeError; nothing may be served before it has succeeded. */
  async restore(signal: AbortSignal): Promise<void> {
    for (const object of objectsIn(await this.#find(signal))) {
      this.#earlier.set(keyOf(object), object);
    }
  }

  /** What an earlier process had in force of this incarnation. */
  of(key: ObjectKey, uid: string): MeshObject | undefined {
    const found = this.#inForce.get(key) ?? this.#earlier.get(key);
    return found !== undefined && found.metadata.uid === uid ? found : undefined;
  }

  /** The object is refused now, and this version stays in force. */
  keep(key: ObjectKey, object: MeshObject): void {
    if (!isKept(object) || this.#inForce.get(key) === object) return;
    this.#inForce.set(key, object);
    this.#changed.resolve();
  }

  /** The object is valid or gone. */
  forget(key: ObjectKey): void {
    this.#earlier.delete(key);
    if (this.#inForce.delete(key)) this.#changed.resolve();
  }

  /** All that exists was read: from now on what is known may be written. `onFound`: a version that another replica had. */
  finishLoading(onFound: (key: ObjectKey) => void): void {
    this.#onFound = onFound;
    this.#earlier.clear();
    this.#loaded.resolve();
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#context;
    const backoff = new Backoff(BACKOFF);
    const ended = untilAborted(signal);
    await Promise.race([this.#loaded.promise, ended]);
    while (!signal.aborted) {
      try {
        await clock.sleep(GATHER_MS, signal);
        this.#changed = Promise.withResolvers();
        await this.#write(signal);
        backoff.reset();
        await clock.sleep(PAUSE_MS, signal);
        await Promise.race([this.#changed.promise, ended]);
      } catch (error) {
        if (signal.aborted) return;
        log.warn('the accepted versions of refused objects cannot be kept', { error });
        await clock.sleep(backoff.next(), signal).catch(() => undefined);
      }
    }
  }

  async #write(signal: AbortSignal): Promise<void> {
    const { client } = this.#context;
    const found = await this.#find(signal);
    this.#learn(found);
    const text = this.#text();
    signal.throwIfAborted();
    if (found === undefined) {
      if (this.#inForce.size === 0) return;
      await client.create(CONFIG_MAPS, this.#configMap(text), { signal });
    } else if (textOf(found) !== text) {
      const { resourceVersion } = found.metadata;
      const { metadata, ...rest } = this.#configMap(text);
      const versioned = resourceVersion === undefined ? metadata : { ...metadata, resourceVersion };
      await client.update(CONFIG_MAPS, { ...rest, metadata: versioned }, { signal });
    }
  }

  /** What the leader before this one kept and this replica came too late to see. */
  #learn(found: KubeObject | undefined): void {
    for (const object of objectsIn(found)) {
      const key = keyOf(object);
      if (this.#inForce.has(key)) continue;
      this.#earlier.set(key, object);
      this.#onFound(key);
      this.#earlier.delete(key);
    }
  }

  /** A line an object: those first that refuse, and of these the namespaces in turn. */
  #text(): string {
    const lines: string[] = [];
    let bytes = 4;
    let leftOut = 0;
    for (const { line, lineBytes } of fairLines([...this.#inForce.values()])) {
      if (bytes + lineBytes > this.#keptBytesMax) {
        leftOut += 1;
        continue;
      }
      bytes += lineBytes;
      lines.push(line);
    }
    if (leftOut > this.#leftOut) {
      const message =
        'not every accepted version of a refused object fits; others open at a restart';
      this.#context.log.error(message, { leftOut, bytesMax: this.#keptBytesMax });
    }
    this.#leftOut = leftOut;
    return `[${lines.join(',\n')}]\n`;
  }

  #configMap(text: string): KubeObject & { readonly apiVersion: string; readonly kind: string } {
    const { namespace } = this.#context;
    const metadata = { name: LAST_ACCEPTED, namespace, labels: MANAGED_BY };
    return { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { [FIELD]: text } };
  }

  async #find(signal: AbortSignal): Promise<KubeObject | undefined> {
    const { client, namespace } = this.#context;
    return await client.find(CONFIG_MAPS, { namespace, name: LAST_ACCEPTED }, { signal });
  }
}

interface FairLine {
  readonly key: ObjectKey;
  readonly line: string;
  readonly lineBytes: number;
  readonly isFirst: boolean;
  /** Of its namespace, up to this line. */
  readonly usedBytes: number;
}

/**
 * In the order in which they are kept: the next is of the namespace that has the least in front of it. So a namespace
 * loses nothing as long as it takes no more than its share, however much the others have.
 */
function fairLines(objects: readonly MeshObject[]): readonly FairLine[] {
  const used = new Map<string, number>();
  const lines = objects
    .map((object) => ({ object, key: keyOf(object), isFirst: FIRST.has(object.kind) }))
    .sort((a, b) => Number(b.isFirst) - Number(a.isFirst) || (a.key < b.key ? -1 : 1))
    .map(({ object, key, isFirst }): FairLine => {
      const line = JSON.stringify(serializeObject(object));
      const lineBytes = Buffer.byteLength(line) + 2;
      const { namespace } = object.metadata;
      const usedBytes = (used.get(namespace) ?? 0) + lineBytes;
      used.set(namespace, usedBytes);
      return { key, line, lineBytes, isFirst, usedBytes };
    });
  return lines.sort(
    (a, b) =>
      Number(b.isFirst) - Number(a.isFirst) ||
      a.usedBytes - b.usedBytes ||
      (a.key < b.key ? -1 : 1),
  );
}

function textOf(configMap: KubeObject): unknown {
  const data = configMap['data'];
  return typeof data === 'object' && data !== null ? Reflect.get(data, FIELD) : undefined;
}

/** Read by this program's own rules; what does not pass them is left out. */
function objectsIn(configMap: KubeObject | undefined): readonly MeshObject[] {
  const text = configMap === undefined ? undefined : textOf(configMap);
  if (typeof text !== 'string') return [];
  const json = jsonOf(text);
  return (Array.isArray(json) ? (json as readonly unknown[]) : []).flatMap(
    (written) => parseObject(written).object ?? [],
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    // Somebody's hand was in it: as good as nothing kept.
    return undefined;
  }
}
