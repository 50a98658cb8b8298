/**
 * Plaintext to a pod, from outside the mesh: judged without an identity, passed on from the client's address.
 *
 * Rule: STRICT, a guarded port and a port of the mesh itself all end as a closed connection without a byte.
 */
import type { Socket } from 'node:net';

import { MeshError } from '@ambit/core';
import type { Workload } from '@ambit/model';
import {
  type ByteConn,
  copyBoth,
  formatAddress,
  fromIoError,
  limitError,
  SocketConn,
} from '@ambit/proxy';

import { admit, type InboundConnection } from './admission.ts';
import { ConnectionRecord, logEarlyFailure } from './connection-record.ts';
import { WorkerError } from './errors.ts';
import type { PodContext } from './pod-context.ts';
import type { Destination } from './pod-sockets.ts';
import { dialApplication, serviceOf } from './to-application.ts';

export class InboundPlaintext {
  readonly #context: PodContext;

  constructor(context: PodContext) {
    this.#context = context;
  }

  /** Takes over an accepted socket. */
  accept(socket: Socket): void {
    const conn = new SocketConn(socket, { side: 'downstream' });
    this.#serve(conn, socket).catch((error: unknown) => {
      conn.destroy(fromIoError(error, 'local'));
      this.#context.log.error('connection lost by a defect', { error });
    });
  }

  async #serve(conn: ByteConn, socket: Socket): Promise<void> {
    const { sockets, log, clock } = this.#context;
    const original = sockets.destinationOf(socket);
    const source = formatAddress(conn.remoteAddress, conn.remotePort);
    const destination = formatAddress(original.address, original.port);
    const life = new AbortController();
    const onGone = (): void =>
      life.abort(
        new WorkerError('WORKER_CLIENT_GONE', 'the client went away', { side: 'downstream' }),
      );
    socket.once('close', onGone);
    const outcome: { record?: ConnectionRecord } = {};
    try {
      const local = await this.#local(life.signal);
      const inbound: InboundConnection = {
        pod: this.#context.pod,
        local,
        sourceIp: conn.remoteAddress,
        sourcePort: conn.remotePort,
        original,
      };
      using entry = this.#context.inbound.register({
        context: {
          inbound,
          row: { src: source, originalDst: destination, actualDst: destination, protocol: 'TCP' },
        },
        close: (reason) => life.abort(reason),
      });
      if (entry === undefined) {
        throw limitError('inbound connections of this pod', this.#context.inbound.counters.live);
      }
      const application = await this.#reach(conn, inbound, { original, life, outcome });
      socket.off('close', onGone);
      const result = await copyBoth(conn, application, {
        signal: life.signal,
        ...(outcome.record && { onBytes: outcome.record.onBytes }),
        clock,
      });
      outcome.record?.finish(result.error);
    } catch (error) {
      const failure = error instanceof MeshError ? error : fromIoError(error, 'upstream');
      conn.destroy(failure);
      if (outcome.record === undefined) {
        const { pod } = this.#context;
        logEarlyFailure(log, { direction: 'inbound', pod, source, destination, error: failure });
      } else {
        outcome.record.finish(failure);
      }
    }
  }

  async #local(signal: AbortSignal): Promise<Workload> {
    const { mesh, pod } = this.#context;
    const local = await mesh.awaitWorkload(pod, signal);
    signal.throwIfAborted();
    if (local === undefined) {
      throw new WorkerError(
        'WORKER_WORKLOAD_UNKNOWN',
        `the mesh does not know pod ${pod.namespace}/${pod.name} yet`,
        { side: 'control-plane' },
      );
    }
    return local;
  }

  async #reach(
    conn: ByteConn,
    inbound: InboundConnection,
    connection: {
      readonly original: Destination;
      readonly life: AbortController;
      readonly outcome: { record?: ConnectionRecord };
    },
  ): Promise<ByteConn> {
    const { mesh, policyLog, sockets } = this.#context;
    const { original, life, outcome } = connection;
    const admission = admit(inbound, mesh, policyLog);
    if (admission.kind === 'refused' && admission.status !== 401) {
      throw admission.error;
    }
    const record = this.#record(inbound, original);
    outcome.record = record;
    if (admission.kind === 'refused') {
      record.finish(admission.error, { policy: admission.policy });
      throw admission.error;
    }
    const socket = await dialApplication(sockets, {
      ip: admission.ip,
      port: admission.port,
      clientIp: conn.remoteAddress,
      signal: life.signal,
    });
    return new SocketConn(socket, { side: 'upstream' });
  }

  #record(inbound: InboundConnection, original: Destination): ConnectionRecord {
    const { mesh, config, record } = this.#context;
    const { local, sourceIp, sourcePort } = inbound;
    return new ConnectionRecord(
      {
        direction: 'inbound',
        source: {
          address: formatAddress(sourceIp, sourcePort),
          workload: mesh.index.workloadByAddress(config.network, sourceIp),
        },
        destination: {
          address: formatAddress(original.address, original.port),
          workload: local,
        },
        service: serviceOf(local, { host: undefined, port: original.port }, mesh),
      },
      record,
    );
  }
}
