/** TCP through the waypoint: policy with the real caller, weights, then bytes both ways. */
import { isPolicyRefusal } from '@ambit/hbone';
import type { PolicyDecision } from '@ambit/model';
import { explainRefusal, type Verdict } from '@ambit/policy';
import { type ByteConn, type CopyResult, copyBoth } from '@ambit/proxy';
import { type ClusterRef, pickWeighted } from '@ambit/routing';
import { HttpError, toHttpError } from './errors.ts';
import type { MeshPlane } from './plane.ts';
import type { ConnectionRecord } from './record.ts';
import type { EngineContext } from './transaction.ts';
import type { ClusterState, MeshEndpoint } from './upstream/cluster-state.ts';
import { connectFailure, overflow, requireNoTls } from './upstream/failure.ts';
import type { PlaceUser } from './upstream/places.ts';

/** Endpoints that one connection asks. */
const TRIES_MAX = 3;

export interface TcpTunnel {
  /** Evaluates policy again; true: it is forbidden now and was cut. */
  readonly recheck: () => boolean;
  readonly cut: (reason: HttpError) => void;
}

export type TcpTunnels = Set<TcpTunnel>;

/** What was decided so far, for the record. */
interface Chosen {
  endpoint?: MeshEndpoint;
  clusterName?: string;
  verdict?: Verdict;
  release?: () => void;
}

/** Rejects with an HttpError, which has been recorded. */
export async function openTcp(
  plane: MeshPlane,
  context: EngineContext,
  options: { readonly signal: AbortSignal; readonly tunnels: TcpTunnels },
): Promise<(conn: ByteConn) => Promise<void>> {
  const { clock, observer } = context;
  const base = {
    kind: 'connection',
    caller: plane.caller,
    destination: plane.destination,
    startedAtMs: clock.wallNow(),
  } as const;
  const startedAt = clock.now();
  const over = new AbortController();
  const tunnel: TcpTunnel = {
    recheck: () => {
      const { endpoint } = chosen;
      const verdict = endpoint && plane.authorize().forEndpoint(endpoint).verdict;
      if (verdict === undefined || verdict.allowed) {
        return false;
      }
      chosen.verdict = verdict;
      tunnel.cut(denied('connection closed due to policy change'));
      return true;
    },
    cut: (reason) => over.abort(reason),
  };
  const chosen: Chosen = {};
  // Registered before the check, so that no change of policy slips between.
  options.tunnels.add(tunnel);
  const finish = (
    parts: Pick<ConnectionRecord, 'bytesReceived' | 'bytesSent' | 'flags'> & { error?: Error },
  ): void => {
    options.tunnels.delete(tunnel);
    chosen.release?.();
    const { endpoint, clusterName, verdict } = chosen;
    observer.onConnection({
      ...base,
      ...parts,
      durationMs: clock.now() - startedAt,
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(clusterName === undefined ? {} : { clusterName }),
      ...(verdict === undefined ? {} : { verdict }),
    });
  };
  try {
    const upstream = await connect(plane, context, { signal: options.signal, chosen });
    if (over.signal.aborted) {
      upstream.destroy(toHttpError(over.signal.reason));
      throw over.signal.reason;
    }
    observer.onConnectionOpened({ ...base, ...(chosen.endpoint && { endpoint: chosen.endpoint }) });
    return async (conn) => {
      const result = await new Promise<CopyResult>((resolve) => {
        copyBoth(conn, upstream, { onDone: resolve }, { signal: over.signal, clock });
      });
      const { error } = result;
      const flag =
        error instanceof HttpError ? error.answer.flag : error === undefined ? '-' : 'UC';
      finish({
        bytesReceived: result.bytesFromA,
        bytesSent: result.bytesFromB,
        flags: [flag],
        ...(error === undefined ? {} : { error }),
      });
    };
  } catch (caught) {
    const error = toHttpError(caught);
    finish({ bytesReceived: 0, bytesSent: 0, flags: [error.answer.flag], error });
    throw error;
  }
}

function require({ verdict, set, input }: PolicyDecision, chosen: Chosen): void {
  chosen.verdict = verdict;
  if (!verdict.allowed) {
    throw denied(explainRefusal(verdict, set.policies, input));
  }
}

async function connect(
  plane: MeshPlane,
  context: EngineContext,
  options: {
    readonly signal: AbortSignal;
    readonly chosen: Chosen;
  },
): Promise<ByteConn> {
  const authorization = plane.authorize();
  require(authorization.beforeRoute, options.chosen);
  const resolved = plane.cluster(clusterOf(plane, context));
  if (resolved === undefined) {
    throw new HttpError('HTTP_NO_CLUSTER', 'the host or subset is not known', {
      side: 'control-plane',
    });
  }
  requireNoTls(resolved.cluster);
  const state = context.clusters.of(resolved.cluster);
  options.chosen.clusterName = resolved.cluster.name;
  const tried = new Set<string>();
  for (let attempt = 1; ; attempt += 1) {
    const endpoint = state.pick(resolved.endpoints, tried);
    if (endpoint === undefined) {
      throw new HttpError(
        'HTTP_NO_HEALTHY_UPSTREAM',
        `no healthy endpoint in ${resolved.cluster.name}`,
        { side: 'upstream' },
      );
    }
    tried.add(endpoint.key);
    require(authorization.forEndpoint(endpoint), options.chosen);
    hold(state, endpoint, options.chosen);
    try {
      return await state.late.watch(endpoint.key, () =>
        plane.dial({ endpoint, cluster: resolved.cluster.ref }, options.signal),
      );
    } catch (error) {
      if (isPolicyRefusal(error)) {
        throw new HttpError('HTTP_DENIED', error.message, { side: 'upstream', cause: error });
      }
      state.record(endpoint.key, undefined);
      const others = resolved.endpoints.filter(({ key }) => !tried.has(key));
      if (options.signal.aborted || attempt >= TRIES_MAX || others.length === 0) {
        throw connectFailure(error);
      }
      // Nothing of the client has been sent.
      options.chosen.release?.();
      delete options.chosen.release;
      delete options.chosen.endpoint;
    }
  }
}

/** Connections of clients that are carried as they are: none waits for a place, and none is idle. */
const STREAMS: PlaceUser = {
  isWaiting: () => false,
  placeFreed: () => undefined,
  giveUpIdle: () => false,
};

/** Counts the connection in the limits of its cluster until `release`. Throws an HttpError. */
function hold(state: ClusterState, endpoint: MeshEndpoint, chosen: Chosen): void {
  if (!state.places.hold(STREAMS)) {
    throw overflow('connections');
  }
  const busy = state.begin(endpoint.key);
  chosen.endpoint = endpoint;
  chosen.release = (): void => {
    state.places.release(STREAMS);
    busy[Symbol.dispose]();
  };
}

function clusterOf(plane: MeshPlane, { random }: EngineContext): ClusterRef {
  const decision = plane.routeTcp();
  if (decision.kind === 'no-route') {
    throw new HttpError('HTTP_NO_ROUTE', 'no rule matches the connection', { side: 'downstream' });
  }
  const { target } = pickWeighted(decision.shares, random);
  if (target.kind === 'invalid') {
    throw new HttpError('HTTP_INVALID_BACKEND', target.text, { side: 'control-plane' });
  }
  return target.cluster;
}

function denied(message: string): HttpError {
  return new HttpError('HTTP_DENIED', message, { side: 'downstream' });
}
