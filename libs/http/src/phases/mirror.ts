/** Copies of a request for others to see. Nobody waits for them, and they hold nothing up. */
import type { Readable } from 'node:stream';
import { type ClusterRef, drawMirrors, shadowAuthority } from '@ambit/routing';
import type { EngineContext, Transaction } from '../transaction.ts';
import { requireNoTls } from '../upstream/failure.ts';
import { requestHttp1 } from '../upstream/http1.ts';
import { linkTo } from '../upstream/link.ts';
import type { UpstreamHead } from './upstream-headers.ts';

const MIRROR_TIMEOUT_MS = 15_000;

export function sendMirrors({
  tx,
  context,
  head,
}: {
  readonly tx: Transaction;
  readonly context: EngineContext;
  readonly head: UpstreamHead;
}): void {
  if (tx.decision?.kind !== 'route') {
    return;
  }
  for (const cluster of drawMirrors(tx.decision.action.mirrors, context.random)) {
    if (context.counters.mirrorsActive >= context.limits.mirrorsMax) {
      context.counters.mirrorsDropped += 1;
      continue;
    }
    context.counters.mirrorsActive += 1;
    const body = tx.body?.tap();
    mirror({ tx, context, head, cluster, body })
      .catch(() => body?.destroy())
      .finally(() => {
        context.counters.mirrorsActive -= 1;
      });
  }
}

/** An endpoint whose policies refuse the caller gets no copy. */
async function mirror(options: {
  readonly tx: Transaction;
  readonly context: EngineContext;
  readonly head: UpstreamHead;
  readonly cluster: ClusterRef;
  readonly body: Readable | undefined;
}): Promise<void> {
  const { tx, context, head, body } = options;
  const { plane } = tx;
  const resolved = plane.cluster(options.cluster);
  const state = resolved && context.clusters.of(resolved.cluster);
  const endpoint = resolved && state?.pick(resolved.endpoints, new Set());
  if (resolved === undefined || state === undefined || endpoint === undefined) {
    body?.destroy();
    return;
  }
  requireNoTls(resolved.cluster);
  if (tx.authorization?.forEndpoint(endpoint).verdict.allowed !== true) {
    body?.destroy();
    return;
  }
  const link = linkTo(plane, state, endpoint);
  const over = new AbortController();
  const timeout = new AbortController();
  context.clock.sleep(MIRROR_TIMEOUT_MS, timeout.signal).then(
    () => over.abort(new Error('the mirror is too slow')),
    () => undefined,
  );
  try {
    const headers = head.headers.clone();
    headers.remove('te');
    const request = {
      ...head,
      headers,
      authority: shadowAuthority(head.authority),
      body,
      trailers: () => undefined,
      signal: over.signal,
    };
    const isHttp2 = resolved.protocol === 'HTTP2' || resolved.protocol === 'GRPC';
    const { stream } = isHttp2
      ? await context.sessions.request(link, request)
      : await requestHttp1(context.sockets, link, request);
    const { promise, resolve } = Promise.withResolvers<void>();
    stream.on('error', () => resolve());
    stream.once('close', () => resolve());
    stream.resume();
    await promise;
  } finally {
    timeout.abort();
  }
}
