/**
 * Phases 7 to 9: choose where, send, and send again where that is allowed.
 *
 * All decisions are routing's; this file only does what they say and measures time. A request holds its
 * place in the cluster's limits until its response is complete.
 */
import {
  backoffMs,
  pickCluster,
  type RetryPolicy,
  requestSettings,
  requestTimeoutMs,
  shouldRetry,
  type TryOutcome,
  tryTimeoutMs,
} from '@ambit/routing';
import { HttpError, toHttpError } from '../errors.ts';
import type { ResolvedCluster } from '../plane.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import type { ClusterState, MeshEndpoint } from '../upstream/cluster-state.ts';
import { overflow, requireNoTls } from '../upstream/failure.ts';
import { requestHttp1 } from '../upstream/http1.ts';
import { linkTo } from '../upstream/link.ts';
import type { UpstreamResponse } from '../upstream/message.ts';
import { authoriseEndpoint } from './authorise.ts';
import { sendMirrors } from './mirror.ts';
import { type UpstreamHead, upstreamHead } from './upstream-headers.ts';

export interface Forwarding {
  readonly tx: Transaction;
  readonly context: EngineContext;
  readonly resolved: ResolvedCluster;
  readonly state: ClusterState;
  readonly head: UpstreamHead;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number | undefined;
  /** Keys of endpoints that were tried. */
  readonly tried: Set<string>;
  /** Clock time at which the route's timeout ends; absent until it began. */
  deadline: number | undefined;
}

/** Picks a share of the route and holds a place in its cluster. Throws an HttpError. */
export function prepareForwarding(tx: Transaction, context: EngineContext): Forwarding {
  const { decision, plane } = tx;
  if (decision?.kind !== 'route') {
    throw new HttpError('HTTP_INTERNAL', 'the request is not routed', { side: 'local' });
  }
  const share = pickCluster(decision.action, context.random);
  if (share.target.kind === 'invalid') {
    const { status, flag, text } = share.target;
    throw new HttpError('HTTP_INVALID_BACKEND', text, { side: 'control-plane', status, flag });
  }
  const resolved = plane.cluster(share.target.cluster);
  if (resolved === undefined) {
    const { host, subset } = share.target.cluster;
    const what = subset === undefined ? `host "${host}"` : `subset "${subset}" of "${host}"`;
    throw new HttpError('HTTP_NO_CLUSTER', `${what} is not known`, { side: 'control-plane' });
  }
  requireNoTls(resolved.cluster);
  const state = context.clusters.of(resolved.cluster);
  tx.clusterName = resolved.cluster.name;
  tx.share = share;
  if (!state.breaker.hold('requests')) {
    throw overflow('requests in flight');
  }
  tx.onOver(() => state.breaker.release('requests'));
  const settings = requestSettings(decision.action, resolved.cluster.requestDefaults);
  return {
    tx,
    context,
    resolved,
    state,
    head: upstreamHead(tx, share, context),
    retry: settings.retry,
    timeoutMs: requestTimeoutMs(settings.timeoutMs, tx.headers.get('grpc-timeout')),
    tried: new Set(),
    deadline: undefined,
  };
}

/** The response of the try that counts. Throws an HttpError. */
export async function forward(tx: Transaction, context: EngineContext): Promise<UpstreamResponse> {
  const forwarding = prepareForwarding(tx, context);
  sendMirrors(forwarding);
  startDeadline(forwarding);
  for (;;) {
    tx.attempts += 1;
    const result = await tryOnce(forwarding);
    const decision = shouldRetry({
      policy: forwarding.retry,
      retries: tx.attempts - 1,
      outcome: result.outcome,
      isBodyReplayable: tx.body?.isReplayable ?? true,
      hasResponseStarted: false,
      ...remaining(forwarding),
    });
    if (!decision.retry || !forwarding.state.breaker.hold('retries')) {
      if (!decision.retry && decision.flag !== undefined) {
        tx.flags.add(decision.flag);
      }
      return settle(result);
    }
    try {
      discard(result);
      await context.clock.sleep(
        backoffMs(forwarding.retry, tx.attempts, context.random),
        tx.signal,
      );
    } catch {
      throw toHttpError(tx.signal.reason);
    } finally {
      forwarding.state.breaker.release('retries');
    }
  }
}

type TryResult =
  | { readonly outcome: TryOutcome; readonly response: UpstreamResponse }
  | { readonly outcome: TryOutcome; readonly error: HttpError };

function settle(result: TryResult): UpstreamResponse {
  if ('error' in result) {
    throw result.error;
  }
  return result.response;
}

function discard(result: TryResult): void {
  if ('response' in result) {
    result.response.stream.on('error', ignoreDiscarded);
    result.response.stream.destroy();
  }
}

/** Nobody waits for a response that another try replaces. */
function ignoreDiscarded(): void {}

/** Throws only what ends the whole request: a refusal, the client gone, the route's timeout. */
async function tryOnce(forwarding: Forwarding): Promise<TryResult> {
  const { tx, state } = forwarding;
  const endpoint = pickFor(forwarding);
  const busy = state.begin(endpoint.key);
  tx.onOver(() => busy[Symbol.dispose]());
  try {
    const response = await sendTry(forwarding, endpoint);
    state.record(endpoint.key, response.status);
    const grpcStatus = response.headers.get('grpc-status');
    return {
      response,
      outcome: {
        kind: 'response',
        status: response.status,
        ...(grpcStatus === undefined ? {} : { grpcStatus: Number(grpcStatus) }),
        isRateLimited: response.headers.has('x-envoy-ratelimited'),
      },
    };
  } catch (caught) {
    if (tx.signal.aborted) {
      throw toHttpError(tx.signal.reason);
    }
    const error = toHttpError(caught, 'upstream');
    const outcome = outcomeOf(error);
    if (outcome === undefined) {
      throw error;
    }
    if (outcome.kind !== 'overflow') {
      state.record(endpoint.key, undefined);
    }
    return { error, outcome };
  }
}

/** The endpoint of the next try, with its policies decided. Throws an HttpError. */
export function pickFor({ tx, state, resolved, tried, retry }: Forwarding): MeshEndpoint {
  const previous = retry.ignorePreviousHosts ? tried : new Set<string>();
  const endpoint = state.pick(resolved.endpoints, previous);
  if (endpoint === undefined) {
    throw new HttpError(
      'HTTP_NO_HEALTHY_UPSTREAM',
      `no healthy endpoint in ${resolved.cluster.name}`,
      { side: 'upstream' },
    );
  }
  authoriseEndpoint(tx, endpoint);
  tx.endpoint = endpoint;
  tried.add(endpoint.key);
  return endpoint;
}

async function sendTry(forwarding: Forwarding, endpoint: MeshEndpoint): Promise<UpstreamResponse> {
  const { tx, context, head, retry } = forwarding;
  const headers = head.headers.clone();
  headers.set('x-envoy-attempt-count', String(tx.attempts));
  const abort = new AbortController();
  const onOver = (): void => abort.abort(tx.signal.reason);
  tx.signal.addEventListener('abort', onOver, { once: true });
  tx.onOver(() => tx.signal.removeEventListener('abort', onOver));
  const answered = new AbortController();
  const tryMs = tryTimeoutMs(retry, remaining(forwarding).remainingMs);
  if (tryMs !== undefined) {
    context.clock.sleep(tryMs, answered.signal).then(
      () =>
        abort.abort(new HttpError('HTTP_TRY_TIMEOUT', 'no answer in time', { side: 'upstream' })),
      () => undefined,
    );
  }
  const isHttp2 = speaksHttp2(forwarding);
  if (!isHttp2) {
    headers.remove('te');
  }
  const request = {
    ...head,
    headers,
    body: tx.body?.open(),
    trailers: () => tx.body?.trailers(),
    signal: abort.signal,
  };
  tx.exchange.sendContinue();
  try {
    const link = linkTo(tx.plane, forwarding.state, endpoint);
    return isHttp2
      ? await context.sessions.request(link, request)
      : await requestHttp1(context.sockets, link, request);
  } catch (error) {
    throw abort.signal.aborted ? abort.signal.reason : error;
  } finally {
    answered.abort();
  }
}

/** What the port says; where it says nothing, what the client speaks. gRPC is HTTP/2 always. */
function speaksHttp2({ resolved, tx }: Forwarding): boolean {
  const http = resolved.cluster.connectionPool.http;
  const { version } = tx.exchange.head;
  switch (resolved.protocol) {
    case 'HTTP2':
    case 'GRPC':
      return true;
    case 'UNKNOWN':
      return version === '2' || http?.h2UpgradePolicy === 'UPGRADE';
    case 'HTTP11':
    case 'TCP':
    case 'TLS':
      return (
        tx.isGrpc ||
        http?.h2UpgradePolicy === 'UPGRADE' ||
        (http?.useClientProtocol === true && version === '2')
      );
  }
}

/** Undefined: ends the request, whatever the retry policy says. */
function outcomeOf(error: HttpError): TryOutcome | undefined {
  const { code } = error;
  if (code === 'HTTP_CONNECT_FAILURE') {
    return { kind: 'connect-failure' };
  }
  if (code === 'HTTP_UPSTREAM_RESET' || code === 'HTTP_UPSTREAM_CLOSED') {
    return { kind: 'reset', headersSent: error.headersSent, refused: error.refused };
  }
  if (code === 'HTTP_TRY_TIMEOUT') {
    return { kind: 'per-try-timeout' };
  }
  return code === 'HTTP_OVERFLOW' ? { kind: 'overflow' } : undefined;
}

function remaining(forwarding: Forwarding): { readonly remainingMs?: number } {
  const { deadline, context } = forwarding;
  return deadline === undefined ? {} : { remainingMs: deadline - context.clock.now() };
}

/** The route's timeout runs from the end of the request, over all tries and the whole response. */
function startDeadline(forwarding: Forwarding): void {
  const { tx, context, timeoutMs } = forwarding;
  if (timeoutMs === undefined) {
    return;
  }
  const over = new AbortController();
  tx.onOver(() => over.abort());
  const begin = async (): Promise<void> => {
    if (over.signal.aborted) {
      return;
    }
    forwarding.deadline = context.clock.now() + timeoutMs;
    await context.clock.sleep(timeoutMs, over.signal);
    tx.abort(
      new HttpError('HTTP_TIMEOUT', `no complete answer within ${timeoutMs} ms`, {
        side: 'upstream',
      }),
    );
  };
  const started = tx.body === undefined ? begin() : tx.body.ended.then(begin);
  // Rejects when the request is over first, or the client broke off; both are seen elsewhere.
  started.catch(() => undefined);
}
