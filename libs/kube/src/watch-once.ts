/**
 * One watch connection, from its beginning to whatever ends it.
 *
 * Ends are normal: the server closes every few minutes. What matters is from which version to go on,
 * and whether that is still possible.
 */
import type { Clock } from '@ambit/core';
import { type DecodedEvent, decodeEvent } from './decode.ts';
import { errorFromStatus, isKubeError, KubeError } from './errors.ts';
import type { KubeHttp } from './http.ts';
import { pump } from './list-pages.ts';
import { type KubeObject, keyOf } from './resources.ts';
import { WatchDecoder } from './watch-decoder.ts';

/** A watch that ends sooner, and said nothing, is a failure and is backed off from. */
const QUIET_LIFE_MS_MIN = 1_000;
const TOO_LARGE = 'ResourceVersionTooLarge';

export interface WatchSource {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly accept: string;
  readonly timeoutSeconds: number;
  readonly lineBytesMax: number;
  /** Longer without an event or a bookmark and the connection is taken for dead. */
  readonly silenceMsMax: number;
  readonly signal: AbortSignal;
}

export interface WatchSink {
  /** Where to begin. */
  readonly resourceVersion: string;
  put(object: KubeObject): void;
  delete(key: string): void;
  malformed(key: string | undefined, reason: string): void;
  /** After every event and bookmark. */
  heard(): void;
}

export type WatchEnd =
  /** Go on from `resourceVersion` at once. */
  | { readonly kind: 'closed'; readonly resourceVersion: string }
  /** Go on from `resourceVersion` after a while. `isSilent`: the server took the watch and never said anything. */
  | {
      readonly kind: 'failed';
      readonly resourceVersion: string;
      readonly error: unknown;
      readonly isSilent: boolean;
    }
  /** There is no going on: list again. */
  | { readonly kind: 'relist'; readonly resourceVersion: string; readonly error: unknown };

/** A change is lost, or the server has forgotten the version. */
class RelistError extends Error {}

/** Rejects only with the signal's reason, and with KUBE_NOT_FOUND when the kind is gone. */
export async function watchOnce(source: WatchSource, sink: WatchSink): Promise<WatchEnd> {
  const { clock, signal } = source;
  const startedAt = clock.now();
  let resourceVersion = sink.resourceVersion;
  let isOpen = false;
  let hasHeard = false;
  const decoder = new WatchDecoder({
    lineBytesMax: source.lineBytesMax,
    onLine: (line) => {
      resourceVersion = handle(decodeEvent(line), sink, source.path) ?? resourceVersion;
      hasHeard = true;
      sink.heard();
    },
  });
  try {
    const response = await open(source, resourceVersion);
    isOpen = true;
    await pump(source, response, (chunk) => decoder.write(chunk));
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RelistError) {
      return { kind: 'relist', resourceVersion, error: error.cause };
    }
    if (isKubeError(error, 'KUBE_NOT_FOUND')) {
      throw error;
    }
    if (isKubeError(error, 'KUBE_GONE') || isAhead(error)) {
      return { kind: 'relist', resourceVersion, error };
    }
    const isSilent = isOpen && !hasHeard && isKubeError(error, 'KUBE_TIMEOUT');
    return { kind: 'failed', resourceVersion, error, isSilent };
  }
  if (!hasHeard && clock.now() - startedAt < QUIET_LIFE_MS_MIN) {
    const error = new KubeError('KUBE_UNAVAILABLE', `GET ${source.path}: the watch ended at once`);
    return { kind: 'failed', resourceVersion, error, isSilent: false };
  }
  return { kind: 'closed', resourceVersion };
}

/** The version is one that the server has not come to: it was put back to an earlier state. */
function isAhead(error: unknown): boolean {
  const isOf = ({ reason }: { readonly reason: string }): boolean => reason === TOO_LARGE;
  return isKubeError(error) && error.causes.some(isOf);
}

async function open(source: WatchSource, resourceVersion: string): ReturnType<KubeHttp['open']> {
  return await source.http.open({
    method: 'GET',
    path: source.path,
    accept: source.accept,
    query: {
      ...source.query,
      watch: '1',
      allowWatchBookmarks: 'true',
      resourceVersion,
      timeoutSeconds: String(source.timeoutSeconds),
    },
    signal: source.signal,
  });
}

/** Answers the version that the watch has come to, if the event says it. Throws RelistError. */
function handle(event: DecodedEvent, sink: WatchSink, path: string): string | undefined {
  switch (event.kind) {
    case 'bookmark':
      return event.resourceVersion;
    case 'error':
      throw new RelistError('', { cause: errorFromStatus(event.status, `GET ${path}`) });
    case 'change':
      if (event.type === 'DELETED') {
        sink.delete(keyOf(event.object.metadata));
      } else {
        sink.put(event.object);
      }
      return event.object.metadata.resourceVersion;
    case 'malformed':
      return malformed(event, sink);
  }
}

function malformed(
  { type, key, reason }: DecodedEvent & { readonly kind: 'malformed' },
  sink: WatchSink,
): undefined {
  if (type === 'DELETED' && key !== undefined) {
    // What it last was does not matter: it is gone.
    sink.delete(key);
    return;
  }
  sink.malformed(key, reason);
  if (key === undefined) {
    const cause = new KubeError('KUBE_PROTOCOL', `a change cannot be attributed: ${reason}`);
    throw new RelistError('', { cause });
  }
}
