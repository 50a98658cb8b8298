/**
 * Captured connections of a pod: where each was going decides tunnel, waypoint, plain or refusal.
 *
 * Rule: what the mesh knows and cannot reach is refused, never sent in clear. A refusal is an RST, so
 * that the application does not take it for an empty answer.
 */
import type { Socket } from 'node:net';

import { formatForwarded, HbonePool, newTraceparent } from '@ambit/hbone';
import type { MeshService, Workload } from '@ambit/model';
import { type ByteConn, formatAddress, SocketConn } from '@ambit/proxy';
import {
  formatAuthority,
  type OutboundDecision,
  parseAuthority,
  resolveOutbound,
} from '@ambit/routing';

import { baggageHeader } from './baggage-of.ts';
import { type Carried, type Way as CarriedWay, carry, requireWorkload } from './carry.ts';
import { type ConnectionDescription, ConnectionRecord, identityOf } from './connection-record.ts';
import { WorkerError } from './errors.ts';
import type { ConnectionRow, PodContext, Tracked } from './pod-context.ts';

type Decision = OutboundDecision<Workload, MeshService>;
type Way = Exclude<Decision, { kind: 'refuse' }>;

export class Outbound implements CarriedWay<Tracked> {
  readonly direction = 'outbound';
  readonly #context: PodContext;
  readonly pool: HbonePool;

  constructor(context: PodContext) {
    this.#context = context;
    const { clock, certificates, sockets, config } = context;
    this.pool = new HbonePool({
      clock,
      identity: async (identity) => await certificates.ready(identity),
      dial: async ({ address, port }, signal) => await sockets.dial({ address, port, signal }),
      limits: { connectTimeoutMs: config.limits.connectTimeoutMs },
    });
  }

  /** Takes over an accepted socket. */
  accept(socket: Socket): void {
    carry(socket, this.#context, this);
  }

  track({ source, destination }: Carried): Promise<Tracked> {
    const row: ConnectionRow = {
      src: source,
      originalDst: destination,
      actualDst: '',
      protocol: 'TCP',
    };
    return Promise.resolve({ row });
  }

  /** Decides, counts and dials. */
  async reach(carried: Carried, { row }: Tracked): Promise<ByteConn> {
    const { mesh, record } = this.#context;
    const { conn, original, life } = carried;
    const source = await requireWorkload(this.#context, life.signal);
    const decision = resolveOutbound(
      { source, destinationIp: original.address, port: original.port },
      mesh.index,
      Math.random,
    );
    if (decision.kind === 'refuse') {
      throw new WorkerError('WORKER_UNROUTABLE', `${decision.code}: ${decision.text}`, {
        side: 'control-plane',
      });
    }
    const isTunnel = decision.kind === 'hbone' || decision.kind === 'waypoint';
    row.protocol = isTunnel ? 'HBONE' : 'TCP';
    row.actualDst = formatAddress(decision.dial.host, decision.dial.port);
    carried.record = new ConnectionRecord(describe(conn, source, decision), record);
    return await this.#dial(conn, { source, decision, signal: life.signal });
  }

  async #dial(
    conn: ByteConn,
    way: { readonly source: Workload; readonly decision: Way; readonly signal: AbortSignal },
  ): Promise<ByteConn> {
    const { sockets, lookup, pod } = this.#context;
    const { source, decision, signal } = way;
    const { dial } = decision;
    const address = dial.kind === 'dns' ? await lookup(dial.host) : dial.host;
    if (decision.kind === 'passthrough' || decision.kind === 'plain') {
      const socket = await sockets.dial({ address, port: dial.port, signal });
      return new SocketConn(socket, { side: 'upstream' });
    }
    const stream = await this.pool.connect(
      {
        sourceIdentity: identityOf(source),
        expectedIdentities: decision.expectedIdentities,
        address,
        port: dial.port,
        sourcePod: pod.uid,
      },
      {
        authority: authorityOf(decision, address),
        headers: tunnelHeaders(conn, source, decision.service),
        signal,
      },
    );
    return stream.conn;
  }
}

/**
 * The authority of the tunnel, with the `address` that is dialled in place of a name that was looked up:
 * the agent there knows its workload by address. A waypoint is always told the original destination.
 */
export function authorityOf(
  {
    kind,
    dial,
    authority,
  }: Pick<Extract<Way, { authority: string }>, 'kind' | 'dial' | 'authority'>,
  address: string,
): string {
  const port = parseAuthority(authority)?.port;
  return kind === 'hbone' && dial.kind === 'dns' && port !== undefined
    ? formatAuthority(address, port)
    : authority;
}

function tunnelHeaders(
  conn: ByteConn,
  source: Workload,
  service: MeshService | undefined,
): Readonly<Record<string, string>> {
  return {
    baggage: baggageHeader(source),
    forwarded: formatForwarded({
      address: conn.remoteAddress,
      port: conn.remotePort,
      ...(service && { host: service.hostname }),
    }),
    traceparent: newTraceparent(),
  };
}

function describe(conn: ByteConn, source: Workload, decision: Way): ConnectionDescription {
  const isTunnel = decision.kind === 'hbone' || decision.kind === 'waypoint';
  const destination =
    decision.kind === 'waypoint'
      ? decision.waypoint
      : decision.kind === 'passthrough'
        ? undefined
        : decision.workload;
  return {
    direction: 'outbound',
    source: {
      address: formatAddress(conn.remoteAddress, conn.remotePort),
      workload: source,
      ...(isTunnel && { identity: identityOf(source) }),
    },
    destination: {
      address: formatAddress(decision.dial.host, decision.dial.port),
      workload: destination,
      ...(isTunnel && destination && { identity: identityOf(destination) }),
    },
    ...(isTunnel && { hboneAddress: decision.authority }),
    service: decision.service,
  };
}
