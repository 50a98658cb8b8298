/** Copies of a request for others to see. Nobody waits for them, and they hold nothing up. */
import { type ClusterRef, drawMirrors, shadowAuthority } from '@ambit/routing';
import type { BodySink, BodySource } from '../body.ts';
import { HttpError } from '../errors.ts';
import type { CancelTimer } from '../timers.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import type { ClusterState, MeshEndpoint } from '../upstream/cluster-state.ts';
import { requireNoTls } from '../upstream/failure.ts';
import { linkTo } from '../upstream/link.ts';
import type { Try, TryPool, TryResponse, TrySink } from '../upstream/try.ts';
import { mayGetCopy } from './authorise.ts';
import type { UpstreamHead } from './upstream-headers.ts';

const MIRROR_TIMEOUT_MS = 15_000;

export function sendMirrors(tx: Transaction, context: EngineContext, head: UpstreamHead): void {
  if (tx.decision?.kind !== 'route' || tx.decision.action.mirrors.length === 0) {
    return;
  }
  const { counters, limits, random } = context;
  for (const cluster of drawMirrors(tx.decision.action.mirrors, random)) {
    const target = targetOf(tx, context, cluster);
    if (target === undefined) {
      continue;
    }
    if (counters.mirrorsActive >= limits.mirrorsMax) {
      counters.mirrorsDropped += 1;
      continue;
    }
    new Mirror(context).send({ tx, head, target });
  }
}

interface MirrorTarget {
  readonly state: ClusterState;
  readonly endpoint: MeshEndpoint;
  readonly pool: TryPool;
}

/** An endpoint whose policies refuse the caller gets no copy. */
function targetOf(
  tx: Transaction,
  context: EngineContext,
  cluster: ClusterRef,
): MirrorTarget | undefined {
  try {
    const resolved = tx.plane.cluster(cluster);
    const state = resolved && context.clusters.of(resolved.cluster);
    const endpoint = resolved && state?.pick(resolved.endpoints, new Set());
    if (resolved === undefined || state === undefined || endpoint === undefined) {
      return undefined;
    }
    requireNoTls(resolved.cluster);
    if (!mayGetCopy(tx, endpoint)) {
      return undefined;
    }
    const isHttp2 = resolved.protocol === 'HTTP2' || resolved.protocol === 'GRPC';
    return { state, endpoint, pool: isHttp2 ? context.http2 : context.http1 };
  } catch {
    // What is wrong with a mirror is no fault of the request.
    return undefined;
  }
}

class Mirror implements TrySink, BodySink {
  readonly #context: EngineContext;
  #try: Try | undefined;
  #stopTimer: CancelTimer | undefined;
  #isOver = false;

  constructor(context: EngineContext) {
    this.#context = context;
  }

  send(options: {
    readonly tx: Transaction;
    readonly head: UpstreamHead;
    readonly target: MirrorTarget;
  }): void {
    const { tx, head, target } = options;
    const { state, endpoint, pool } = target;
    const { counters, timers } = this.#context;
    counters.mirrorsActive += 1;
    const body: BodySource | undefined = tx.body?.tap();
    this.#stopTimer = timers.after(MIRROR_TIMEOUT_MS, () => {
      this.#try?.abort(
        new HttpError('HTTP_TRY_TIMEOUT', 'the mirror is too slow', { side: 'upstream' }),
      );
      this.#finish();
    });
    const request = {
      ...head,
      headers: head.headers.clone(),
      authority: shadowAuthority(head.authority),
      body,
      contentLength: tx.exchange.head.contentLength,
    };
    this.#try = pool.request(linkTo(tx.plane, state, endpoint), request, this);
  }

  onResponse(response: TryResponse): void {
    response.body.start(this);
  }

  onFailed(): void {
    this.#finish();
  }

  onData(): void {
    // Nobody reads it.
  }

  onEnd(): void {
    this.#finish();
  }

  #finish(): void {
    if (!this.#isOver) {
      this.#isOver = true;
      this.#stopTimer?.();
      this.#context.counters.mirrorsActive -= 1;
    }
  }
}
