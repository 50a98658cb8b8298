/**
 * May this inbound connection pass? Guard and policy together, by the functions that `meshctl why` calls.
 *
 * Rule: the answer is a function of what is known of the connection and of the mesh now, so asking again
 * after a change tells whether an open connection may stay. An address that cannot be read is refused; none stands in for it.
 */
import { parseIp } from '@ambit/api';
import type { PeerIdentity } from '@ambit/hbone';
import type { MeshService, Workload } from '@ambit/model';
import {
  type ConnectionAttributes,
  evaluate,
  explainRefusal,
  type RuleRef,
  type Verdict,
} from '@ambit/policy';
import type { Place } from '@ambit/proxy';
import { resolveInbound, resolveInboundPlaintext } from '@ambit/routing';
import type { Logger } from '@ambit/telemetry';

import { WorkerError } from './errors.ts';
import type { MeshState } from './mesh-state.ts';
import type { CapturedPod } from './messages.ts';

export interface InboundConnection {
  readonly pod: CapturedPod;
  /** The pod's record when the connection came; used while there is none now. */
  readonly local: Workload;
  readonly source: Place;
  /** A tunnel: its authority, the address it came to, and who is at the other end. */
  readonly tunnel?: {
    readonly authority: string;
    readonly localIp: string;
    readonly peer: PeerIdentity;
  };
  /** Plaintext: where it was going. */
  readonly original?: Place;
}

export type Admission =
  | {
      readonly kind: 'admitted';
      readonly ip: string;
      readonly port: number;
      readonly isFromWaypoint: boolean;
      readonly service?: MeshService;
      /** What the proxy that is dialled, over loopback, is told of where the client wanted to go. */
      readonly proxied?: { readonly ip: string; readonly port: number };
    }
  | {
      readonly kind: 'refused';
      readonly status: 400 | 401 | 503;
      readonly error: WorkerError;
      readonly policy?: RuleRef | undefined;
    };

export function admit(connection: InboundConnection, mesh: MeshState, log: Logger): Admission {
  const local = mesh.workloadOf(connection.pod) ?? connection.local;
  const decision = decide(connection, local, mesh);
  if (decision.kind === 'refuse') {
    const code = decision.status === 401 ? 'WORKER_DENIED' : 'WORKER_BAD_REQUEST';
    const text = `${decision.code}: ${decision.text}`;
    return {
      kind: 'refused',
      status: decision.status,
      error: new WorkerError(code, text, { side: 'downstream' }),
    };
  }
  const admitted: Admission = {
    kind: 'admitted',
    ip: decision.ip,
    port: decision.port,
    isFromWaypoint: decision.isFromWaypoint,
    ...(decision.service && { service: decision.service }),
    ...(decision.proxied && { proxied: decision.proxied }),
  };
  const ips = [connection.source.address, decision.ip] as const;
  const [sourceIp, destinationIp] = [parseIp(ips[0]), parseIp(ips[1])];
  if (sourceIp === undefined || destinationIp === undefined) {
    return unreadable(ips);
  }
  if (decision.isPolicyDecided) {
    return admitted;
  }
  const selection = mesh.policies.select({
    namespace: local.namespace,
    names: local.authorizationPolicies,
  });
  const { tunnel } = connection;
  const attributes: ConnectionAttributes = {
    sourceIp,
    destinationIp,
    destinationPort: decision.port,
    ...(tunnel && { source: tunnel.peer }),
  };
  const input = { connection: attributes };
  const verdict = evaluate(selection.policies, input, { missing: selection.missing });
  note(verdict, connection, log);
  return verdict.allowed
    ? admitted
    : denied(verdict, explainRefusal(verdict, selection.policies, input));
}

function decide(connection: InboundConnection, local: Workload, mesh: MeshState) {
  const { tunnel, original } = connection;
  if (tunnel !== undefined) {
    const { authority, localIp, peer } = tunnel;
    return resolveInbound({ local, localIp, authority, peerIdentity: peer.uri }, mesh.index);
  }
  return resolveInboundPlaintext<Workload>({
    local,
    destinationIp: original?.address ?? '',
    port: original?.port ?? 0,
  }) as ReturnType<typeof resolveInbound<Workload, MeshService>>;
}

function unreadable([source, destination]: readonly [string, string]): Admission {
  const text = `no address to judge by: from "${source.slice(0, 80)}" to "${destination.slice(0, 80)}"`;
  const error = new WorkerError('WORKER_BAD_REQUEST', text, { side: 'downstream' });
  return { kind: 'refused', status: 400, error };
}

function denied(verdict: Verdict, reason: string): Admission {
  const text = `connection closed due to policy rejection: ${reason}`;
  const policy =
    verdict.by ??
    (verdict.tried[0] === undefined
      ? undefined
      : { policy: verdict.tried.join(','), rule: -1, clause: '' });
  return {
    kind: 'refused',
    status: 401,
    error: new WorkerError('WORKER_DENIED', text, { side: 'downstream' }),
    policy,
  };
}

/** AUDIT and dry-run hits are for people to see. */
function note(verdict: Verdict, connection: InboundConnection, log: Logger): void {
  if (verdict.audited.length === 0 && verdict.dryRun.length === 0) {
    return;
  }
  log.info('policy noted', {
    'src.addr': connection.source.address,
    'src.identity': connection.tunnel?.peer.uri,
    'dst.workload': connection.local.name,
    'dst.namespace': connection.local.namespace,
    audited: verdict.audited,
    dry_run: verdict.dryRun,
  });
}
