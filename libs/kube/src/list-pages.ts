/**
 * A complete list of a kind, page by page, taken apart while it arrives.
 *
 * All pages are of one resource version. If the server has forgotten it between two pages, the list is
 * asked for once more in one piece.
 */
import type { IncomingMessage } from 'node:http';
import type { Clock } from '@ambit/core';
import { Deadline } from './deadline.ts';
import { decodeItem } from './decode.ts';
import { isKubeError, KubeError } from './errors.ts';
import { type KubeHttp, streamError } from './http.ts';
import { ListDecoder } from './list-decoder.ts';
import type { KubeObject } from './resources.ts';

export interface ListSource {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly path: string;
  readonly query: Readonly<Record<string, string | undefined>>;
  readonly accept: string;
  readonly pageSize: number;
  readonly itemBytesMax: number;
  /** The longest silence within an answer. */
  readonly silenceMsMax: number;
  readonly signal: AbortSignal;
}

export interface ListSink {
  put(object: KubeObject): void;
  malformed(key: string | undefined, reason: string): void;
}

/** Fills a sink with every object and answers the list's resource version. `fresh` makes the sink, again if the list begins again. */
export async function listAll<Sink extends ListSink>(
  source: ListSource,
  fresh: () => Sink,
): Promise<{ readonly sink: Sink; readonly resourceVersion: string }> {
  const paged = fresh();
  let next: string | undefined;
  try {
    for (;;) {
      const page = await readPage(source, { limit: source.pageSize, next }, paged);
      next = page.next;
      if (next === undefined) {
        return { sink: paged, resourceVersion: page.resourceVersion };
      }
    }
  } catch (error) {
    if (next === undefined || !isKubeError(error, 'KUBE_GONE')) {
      throw error;
    }
  }
  const whole = fresh();
  const page = await readPage(source, { limit: undefined, next: undefined }, whole);
  return { sink: whole, resourceVersion: page.resourceVersion };
}

interface PageQuery {
  readonly limit: number | undefined;
  readonly next: string | undefined;
}

interface Page {
  readonly resourceVersion: string;
  readonly next: string | undefined;
}

async function readPage(source: ListSource, query: PageQuery, sink: ListSink): Promise<Page> {
  const { http, path, accept, signal } = source;
  const response = await http.open({
    method: 'GET',
    path,
    accept,
    query: { ...source.query, limit: query.limit?.toString(), continue: query.next },
    signal,
  });
  const decoder = new ListDecoder({
    itemBytesMax: source.itemBytesMax,
    onItem: (bytes) => {
      const item = decodeItem(bytes);
      if (item.kind === 'object') {
        sink.put(item.object);
      } else {
        sink.malformed(item.key, item.reason);
      }
    },
  });
  await pump(source, response, (chunk) => decoder.write(chunk));
  return pageOf(decoder.end(), path);
}

function pageOf(envelope: unknown, path: string): Page {
  const metadata = (envelope as { metadata?: unknown } | null)?.metadata as
    | { readonly resourceVersion?: unknown; readonly continue?: unknown }
    | null
    | undefined;
  const resourceVersion = metadata?.resourceVersion;
  const next = metadata?.continue;
  if (typeof resourceVersion !== 'string' || resourceVersion === '') {
    throw new KubeError('KUBE_PROTOCOL', `GET ${path}: a list without resourceVersion`);
  }
  return { resourceVersion, next: typeof next === 'string' && next !== '' ? next : undefined };
}

/** Every chunk of the answer; KUBE_TIMEOUT when nothing comes for `silenceMsMax`. What `onChunk` throws goes through and destroys the answer. */
export async function pump(
  {
    clock,
    path,
    silenceMsMax,
    signal,
  }: Pick<ListSource, 'clock' | 'path' | 'silenceMsMax' | 'signal'>,
  response: IncomingMessage,
  onChunk: (chunk: Buffer) => void,
): Promise<void> {
  const what = `GET ${path}`;
  using silence = new Deadline(clock, silenceMsMax, what, signal);
  const abort = (): void => void response.destroy(silence.signal.reason);
  silence.signal.addEventListener('abort', abort, { once: true });
  let isReading = true;
  try {
    for await (const chunk of response) {
      silence.extend(silenceMsMax);
      isReading = false;
      onChunk(chunk as Buffer);
      isReading = true;
    }
  } catch (error) {
    if (isReading) {
      throw silence.signal.aborted ? silence.signal.reason : streamError(error, what);
    }
    throw error;
  }
  if (!response.complete) {
    throw streamError('closed before its end', what);
  }
}
