/**
 * Plaintext to a pod, from outside the mesh: judged without an identity, passed on from the client's address.
 *
 * Rule: STRICT, a guarded port and a port of the mesh itself all end as a closed connection without a byte.
 */
import type { Socket } from 'node:net';

import { type ByteConn, SocketConn } from '@ambit/proxy';

import { admit, type InboundConnection } from './admission.ts';
import { type Carried, carry, requireWorkload, type Way } from './carry.ts';
import { ConnectionRecord } from './connection-record.ts';
import type { PodContext, Tracked } from './pod-context.ts';
import { dialApplication, serviceOf } from './to-application.ts';

interface TrackedInbound extends Tracked {
  readonly inbound: InboundConnection;
}

export class InboundPlaintext implements Way<TrackedInbound> {
  readonly direction = 'inbound';
  readonly #context: PodContext;

  constructor(context: PodContext) {
    this.#context = context;
  }

  /** Takes over an accepted socket. */
  accept(socket: Socket): void {
    carry(socket, this.#context, this);
  }

  async track({ conn, original, source, destination, life }: Carried): Promise<TrackedInbound> {
    const local = await requireWorkload(this.#context, life);
    return {
      inbound: {
        pod: this.#context.pod,
        local,
        sourceIp: conn.remoteAddress,
        sourcePort: conn.remotePort,
        original,
      },
      row: { src: source, originalDst: destination, actualDst: destination, protocol: 'TCP' },
    };
  }

  async reach(carried: Carried, { inbound }: TrackedInbound): Promise<ByteConn> {
    const { mesh, policyLog, sockets } = this.#context;
    const admission = admit(inbound, mesh, policyLog);
    if (admission.kind === 'refused' && admission.status !== 401) {
      throw admission.error;
    }
    const record = this.#record(carried, inbound);
    carried.record = record;
    if (admission.kind === 'refused') {
      record.finish(admission.error, { policy: admission.policy });
      throw admission.error;
    }
    const socket = await dialApplication(sockets, {
      ip: admission.ip,
      port: admission.port,
      clientIp: inbound.sourceIp,
      signal: carried.life,
    });
    return new SocketConn(socket, { side: 'upstream' });
  }

  #record(
    { source, original, destination }: Carried,
    inbound: InboundConnection,
  ): ConnectionRecord {
    const { mesh, config, record } = this.#context;
    const { local, sourceIp } = inbound;
    return new ConnectionRecord(
      {
        direction: 'inbound',
        source: {
          address: source,
          workload: mesh.index.workloadByAddress(config.network, sourceIp),
        },
        destination: { address: destination, workload: local },
        service: serviceOf(local, { host: undefined, port: original.port }, mesh),
      },
      record,
    );
  }
}
