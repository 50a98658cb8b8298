/**
 * Tunnels to a pod: handshake with the pod's own certificate, guard and policy, the application, then 200.
 *
 * Rule: a tunnel is registered before it is judged, the application is dialled before 200 is sent, and
 * the client address is the TCP peer's, whatever the request says.
 */
import type { Socket } from 'node:net';

import { Canceller, keepsake, MeshError } from '@ambit/core';
import {
  type ConnectAnswer,
  type ConnectRequest,
  forwardedHost,
  HboneError,
  HboneServer,
  type RejectedPeer,
} from '@ambit/hbone';
import type { MeshService, Workload } from '@ambit/model';
import { type ByteConn, FINISHED, formatAddress, fromIoError, SocketConn } from '@ambit/proxy';

import { type Admission, admit, type InboundConnection } from './admission.ts';
import { baggageHeader } from './baggage-of.ts';
import { clientGone, copy } from './carry.ts';
import { ConnectionRecord, identityOf, logEarlyFailure } from './connection-record.ts';
import { WorkerError } from './errors.ts';
import { type PodContext, TrackedInbound } from './pod-context.ts';
import { type ProxiedConnection, proxyHeader } from './proxy-protocol.ts';
import { dialApplication, serviceOf } from './to-application.ts';

/** Set by a bound waypoint: whom it speaks for. */
const CALLER_HEADER = 'x-ambit-source';

/** One accepted CONNECT, from registration to the end of its bytes. */
interface Tunnel {
  readonly request: ConnectRequest;
  readonly local: Workload;
  readonly life: Canceller;
  readonly entry: Disposable;
  readonly inbound: InboundConnection;
}

export class InboundHbone {
  readonly #context: PodContext;
  readonly server: HboneServer;

  constructor(context: PodContext) {
    this.#context = context;
    const { clock, config } = context;
    this.server = new HboneServer({
      clock,
      identity: () => context.certificates.require(this.#identity()),
      revocations: () => context.certificates.revocations,
      onConnect: async (request) => await this.#connect(request),
      onRejected: (peer) => this.#rejected(peer),
      onProbation: (peer) =>
        context.log.warn('a peer was ended for a flood, and begins with less for a minute', {
          peer,
          pod: `${context.pod.namespace}/${context.pod.name}`,
        }),
      limits: { sessionsMax: config.limits.sessionsPerPodMax },
    });
  }

  /** Takes over an accepted socket. */
  accept(socket: Socket): void {
    this.#handshake(socket).catch((error: unknown) => {
      this.#rejected({
        error: error instanceof MeshError ? error : fromIoError(error, 'local'),
        remoteAddress: socket.remoteAddress ?? '',
        remotePort: socket.remotePort ?? 0,
        localAddress: socket.localAddress ?? '',
        localPort: socket.localPort ?? 0,
      });
      socket.resetAndDestroy();
    });
  }

  #identity(): string {
    const { mesh, pod } = this.#context;
    const workload = mesh.workloadOf(pod);
    if (workload === undefined) {
      throw unknownWorkload(pod.namespace, pod.name);
    }
    return identityOf(workload);
  }

  async #handshake(socket: Socket): Promise<void> {
    const { mesh, pod, certificates } = this.#context;
    const gone = new AbortController();
    socket.once('close', () => gone.abort(FINISHED));
    const workload = await mesh.awaitWorkload(pod, gone.signal);
    if (workload === undefined) {
      throw unknownWorkload(pod.namespace, pod.name);
    }
    await certificates.ready(identityOf(workload));
    this.server.accept(socket);
  }

  async #connect(request: ConnectRequest): Promise<ConnectAnswer> {
    const { mesh, pod, certificates } = this.#context;
    const local = await mesh.awaitWorkload(pod, request.signal);
    if (local === undefined) {
      return this.#early(request, 503, unknownWorkload(pod.namespace, pod.name));
    }
    try {
      // The session may have outlived its certificate: nothing new is taken then.
      certificates.require(identityOf(local));
    } catch (error) {
      return this.#early(request, 503, fromIoError(error, 'control-plane'));
    }
    const life = new Canceller();
    const inbound: InboundConnection = {
      pod,
      local,
      source: { address: request.remoteAddress, port: request.remotePort },
      tunnel: {
        authority: request.authority,
        localIp: request.localAddress,
        peer: request.peer,
      },
    };
    const entry = this.#context.inbound.register(new TrackedInbound(inbound), life);
    if (entry === undefined) {
      return this.#early(request, 503, new WorkerError('WORKER_LIMIT', 'too many connections'));
    }
    return await this.#judge({ request, local, life, entry, inbound });
  }

  async #judge(tunnel: Tunnel): Promise<ConnectAnswer> {
    const { mesh, policyLog } = this.#context;
    const { request, entry, life } = tunnel;
    const admission = admit(tunnel.inbound, mesh, policyLog);
    keepsake('admitted', [tunnel, admission]);
    if (admission.kind === 'refused' && admission.status !== 401) {
      entry[Symbol.dispose]();
      return this.#early(request, admission.status, admission.error);
    }
    const record = this.#record(tunnel, admission);
    if (admission.kind === 'refused') {
      entry[Symbol.dispose]();
      record.finish(admission.error, { policy: admission.policy });
      return { status: 401, reason: admission.error.message };
    }
    try {
      // Whatever may throw comes before the dial: from then on nobody else owns the application's socket.
      const headers = { baggage: baggageHeader(tunnel.local) };
      const application = await this.#dial(tunnel, admission);
      return {
        status: 200,
        headers,
        serve: (conn) => copy(conn, application, { life, record, entry, context: this.#context }),
      };
    } catch (error) {
      entry[Symbol.dispose]();
      const failure = fromIoError(error, 'upstream');
      record.finish(failure);
      return {
        status: failure.code === 'WORKER_DENIED_LATER' ? 401 : 503,
        reason: failure.message,
      };
    }
  }

  async #dial(
    { request, life }: Tunnel,
    admission: Extract<Admission, { kind: 'admitted' }>,
  ): Promise<ByteConn> {
    const { ip, port, proxied } = admission;
    const header = proxied && headerFor(request, proxied);
    // A request that was taken back within the read that brought it was over before anybody listened.
    if (request.signal.aborted) {
      throw clientGone();
    }
    const onGone = (): void => life.abort(clientGone());
    request.signal.addEventListener('abort', onGone, { once: true });
    try {
      const socket = await dialApplication(this.#context.sockets, {
        ip: proxied === undefined ? ip : loopbackFor(ip),
        port,
        clientIp: request.remoteAddress,
        signal: life,
      });
      // Within one host nobody vanishes in silence.
      const conn = new SocketConn(socket, { side: 'upstream', keepAlive: false });
      if (header !== undefined) {
        conn.write(header);
      }
      return conn;
    } finally {
      request.signal.removeEventListener('abort', onGone);
    }
  }

  #record({ request, local, inbound }: Tunnel, admission: Admission): ConnectionRecord {
    const { mesh, config, record } = this.#context;
    const isFromWaypoint = admission.kind === 'admitted' && admission.isFromWaypoint;
    const named = admission.kind === 'admitted' ? admission.service : undefined;
    return new ConnectionRecord(
      {
        direction: 'inbound',
        source: {
          place: inbound.source,
          workload: mesh.index.workloadByAddress(config.network, request.remoteAddress),
          identity: request.peer.uri,
        },
        destination: {
          place: { address: request.localAddress, port: request.localPort },
          workload: local,
          identity: identityOf(local),
        },
        hboneAddress: request.authority,
        service: this.#service(local, request, named),
        ...(isFromWaypoint && { caller: request.headers[CALLER_HEADER] }),
      },
      record,
    );
  }

  #service(local: Workload, request: ConnectRequest, named: MeshService | undefined) {
    const { mesh } = this.#context;
    const host = forwardedHost(request.headers['forwarded']);
    return named ?? serviceOf(local, { host, port: request.target.port }, mesh);
  }

  #early(request: ConnectRequest, status: 400 | 401 | 503, error: MeshError): ConnectAnswer {
    logEarlyFailure(this.#context.log, {
      direction: 'inbound',
      pod: this.#context.pod,
      source: formatAddress(request.remoteAddress, request.remotePort),
      destination: request.authority,
      error,
    });
    return { status, reason: error.message };
  }

  #rejected(peer: RejectedPeer): void {
    logEarlyFailure(this.#context.log, {
      direction: 'inbound',
      pod: this.#context.pod,
      source: formatAddress(peer.remoteAddress, peer.remotePort),
      destination: formatAddress(peer.localAddress, peer.localPort),
      error: peer.error,
    });
  }
}

function loopbackFor(ip: string): string {
  return ip.includes(':') ? '::1' : '127.0.0.1';
}

function headerFor(
  request: ConnectRequest,
  destination: ProxiedConnection['destination'],
): Uint8Array {
  const { remoteAddress: ip, remotePort: port, peer } = request;
  return proxyHeader({ source: { ip, port }, destination, sourceIdentity: peer.uri });
}

function unknownWorkload(namespace: string, name: string): MeshError {
  return new HboneError(
    'HBONE_NO_CERTIFICATE',
    `the mesh does not know pod ${namespace}/${name} yet`,
    { side: 'control-plane' },
  );
}
