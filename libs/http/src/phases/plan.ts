/** What forwarding needs to know before the first try: where to, as what, how long, how often. */
import { pickCluster, type RetryPolicy, requestSettings, requestTimeoutMs } from '@ambit/routing';
import { HttpError } from '../errors.ts';
import type { ResolvedCluster } from '../plane.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import type { ClusterState, MeshEndpoint } from '../upstream/cluster-state.ts';
import { overflow, requireNoTls } from '../upstream/failure.ts';
import { authoriseEndpoint } from './authorise.ts';
import { type UpstreamHead, upstreamHead } from './upstream-headers.ts';

export interface ForwardPlan {
  readonly resolved: ResolvedCluster;
  readonly state: ClusterState;
  readonly head: UpstreamHead;
  readonly retry: RetryPolicy;
  readonly timeoutMs: number | undefined;
  readonly isHttp2: boolean;
}

/** Picks a share of the route and holds a place in its cluster until the request is over. Throws an HttpError. */
export function planForward(tx: Transaction, context: EngineContext): ForwardPlan {
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
  if (!tx.holdPlace(state)) {
    throw overflow('requests in flight');
  }
  const settings = requestSettings(decision.action, resolved.cluster.requestDefaults);
  return {
    resolved,
    state,
    head: upstreamHead(tx, share, context),
    retry: settings.retry,
    timeoutMs: requestTimeoutMs(settings.timeoutMs, tx.headers.get('grpc-timeout')),
    isHttp2: speaksHttp2(tx, resolved),
  };
}

/** Settings of its cluster that are others now hold at once, also for who waits for a place of it. */
export function refreshCluster({ share, plane }: Transaction, { clusters }: EngineContext): void {
  if (share !== undefined && share.target.kind !== 'invalid') {
    const resolved = plane.cluster(share.target.cluster);
    if (resolved !== undefined) {
      clusters.of(resolved.cluster);
    }
  }
}

const NONE: ReadonlySet<string> = new Set();

/** The endpoint of the next try, with its policies decided, counted as busy until the request is over. Throws an HttpError. */
export function pickEndpoint(
  tx: Transaction,
  { state, resolved }: ForwardPlan,
  previous: ReadonlySet<string> = NONE,
): MeshEndpoint {
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
  tx.holdEndpoint(state, endpoint.key);
  return endpoint;
}

/** What the port says; where it says nothing, what the client speaks. gRPC is HTTP/2 always. */
function speaksHttp2(tx: Transaction, { cluster, protocol }: ResolvedCluster): boolean {
  const { http } = cluster.connectionPool;
  const { version } = tx.exchange.head;
  switch (protocol) {
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
