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
import { type PodContext, TrackedInbound } from './pod-context.ts';
import { dialApplication, serviceOf } from './to-application.ts';

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

  async track({ original, source, life }: Carried): Promise<TrackedInbound> {
    const local = await requireWorkload(this.#context, life);
    return new TrackedInbound({ pod: this.#context.pod, local, source, original });
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
      clientIp: inbound.source.address,
      signal: carried.life,
    });
    return new SocketConn(socket, { side: 'upstream' });
  }

  #record({ original }: Carried, { local, source }: InboundConnection): ConnectionRecord {
    const { mesh, config, record } = this.#context;
    return new ConnectionRecord(
      {
        direction: 'inbound',
        source: {
          place: source,
          workload: mesh.index.workloadByAddress(config.network, source.address),
        },
        destination: { place: original, workload: local },
        service: serviceOf(local, { host: undefined, port: original.port }, mesh),
      },
      record,
    );
  }
}
