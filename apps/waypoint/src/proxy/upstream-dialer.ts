/**
 * Connections to endpoints: through a tunnel to the endpoint's agent where it has one, else plain TCP.
 *
 * The tunnel carries the waypoint's own certificate, expects the endpoint's identity, and names caller and service
 * for the agent's log (`x-ambit-source`, `baggage`, `forwarded`; the first believed only from the bound waypoint). Where the
 * agent is away, and nobody else could be asked, it is asked again until the connect timeout.
 */
import { connect, type Socket } from 'node:net';
import type { Clock } from '@ambit/core';
import {
  ConnectEffort,
  formatForwarded,
  HbonePool,
  isUnreached,
  newTraceparent,
  type TlsIdentity,
  type TunnelKey,
} from '@ambit/hbone';
import { HttpError } from '@ambit/http';
import type { Revocations } from '@ambit/identity';
import type { MeshIndex } from '@ambit/model';
import { type ByteConn, FINISHED, fromIoError, SocketConn } from '@ambit/proxy';
import { expectedIdentities, formatAuthority, HBONE_PORT, pickAddress } from '@ambit/routing';
import type { UpstreamCall } from './mesh-context.ts';

type Workload = UpstreamCall['endpoint']['workload'];

const CONNECT_TIMEOUT_MS = 10_000;
const CALLER_HEADER = 'x-ambit-source';

export interface DialerOptions {
  readonly clock: Clock;
  readonly index: MeshIndex;
  /** `spiffe://…` of the waypoint. */
  readonly identity: string;
  /** The current certificate. Throws when there is none. */
  readonly certificate: () => TlsIdentity;
  readonly revocations?: () => Revocations | undefined;
  /** Of the tunnels' other end; tests have no 15008. */
  readonly hbonePort?: number;
}

export class UpstreamDialer {
  readonly #options: DialerOptions;
  readonly pool: HbonePool;

  constructor(options: DialerOptions) {
    this.#options = options;
    this.pool = new HbonePool({
      clock: options.clock,
      identity: () => options.certificate(),
      revocations: () => options.revocations?.(),
      dial: async ({ address, port }, signal) => await this.#socket(address, port, signal),
    });
  }

  /** After a change of the mesh: no tunnel is used for whoever is not there any more. */
  retireGone(): void {
    const { index } = this.#options;
    this.pool.retire(({ endpoint = '', address }) => {
      const addresses = index.workloadByUid(endpoint)?.addresses;
      // A workload without addresses is known by name; where that leads is not in the mesh.
      return addresses === undefined || (addresses.length > 0 && !addresses.includes(address));
    });
  }

  /** Rejects with a MeshError. */
  async dial(call: UpstreamCall, signal: AbortSignal): Promise<ByteConn> {
    const { workload, targetPort } = call.endpoint;
    const target = pickAddress(workload, {});
    if (target === undefined) {
      throw new HttpError('HTTP_CONNECT_FAILURE', `${workload.uid} has no address`, {
        side: 'upstream',
        retryable: true,
      });
    }
    if (workload.tunnelProtocol === 'NONE') {
      const socket = await this.#socket(target.host, targetPort, signal);
      return new SocketConn(socket, { side: 'upstream' });
    }
    const key = this.#keyOf(workload, target.host);
    const request = {
      authority: formatAuthority(target.host, targetPort),
      headers: tunnelHeaders(call),
    };
    using effort = new ConnectEffort(this.#options.clock, CONNECT_TIMEOUT_MS);
    for (;;) {
      const signals = effort.signal === undefined ? [signal] : [signal, effort.signal];
      try {
        return (await this.pool.connect(key, { ...request, signal: AbortSignal.any(signals) }))
          .conn;
      } catch (error) {
        if (!isUnreached(error) || signal.aborted) {
          throw error;
        }
        if (!this.#isLastResort(call) || !effort.goesOn(error)) {
          throw effort.failure(error);
        }
      }
    }
  }

  #keyOf(workload: Workload, address: string): TunnelKey {
    const { identity, hbonePort = HBONE_PORT } = this.#options;
    return {
      sourceIdentity: identity,
      expectedIdentities: expectedIdentities(workload),
      address,
      port: hbonePort,
      sourcePod: '',
      endpoint: workload.uid,
    };
  }

  /** Whether it is still an endpoint, and the agents of all others are away too. */
  #isLastResort({ endpoint, endpoints }: UpstreamCall): boolean {
    const now = endpoints();
    const isThere = now.some(
      ({ key, workload }) => key === endpoint.key && isSame(workload, endpoint.workload),
    );
    return (
      isThere && now.every(({ key, workload }) => key === endpoint.key || this.#isAway(workload))
    );
  }

  #isAway(workload: Workload): boolean {
    const target = pickAddress(workload, {});
    return (
      workload.tunnelProtocol !== 'NONE' &&
      target !== undefined &&
      this.pool.isAway(this.#keyOf(workload, target.host))
    );
  }

  async #socket(host: string, port: number, signal: AbortSignal): Promise<Socket> {
    const { clock } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const socket = connect({ host, port, noDelay: true, allowHalfOpen: true });
    const done = new AbortController();
    const onAbort = (): void => reject(signal.reason);
    socket.once('connect', () => resolve());
    socket.on('error', (error) => reject(fromIoError(error, 'upstream')));
    signal.addEventListener('abort', onAbort, { once: true });
    clock.sleep(CONNECT_TIMEOUT_MS, done.signal).then(
      () =>
        reject(
          new HttpError('HTTP_CONNECT_FAILURE', `no connection to ${host}:${port} in time`, {
            side: 'upstream',
            retryable: true,
          }),
        ),
      () => undefined,
    );
    try {
      signal.throwIfAborted();
      await promise;
      return socket;
    } catch (error) {
      socket.destroy();
      throw error;
    } finally {
      done.abort(FINISHED);
      signal.removeEventListener('abort', onAbort);
    }
  }
}

function isSame(now: Workload, before: Workload): boolean {
  return now.uid === before.uid && now.addresses.join() === before.addresses.join();
}

/** The headers of a CONNECT; the baggage is the source's, so that both hops tell of the same workload. */
function tunnelHeaders({ caller, host }: UpstreamCall): Readonly<Record<string, string>> {
  const { identity, ip: address, port, baggage } = caller;
  return {
    [CALLER_HEADER]: identity,
    ...(baggage !== undefined && { baggage }),
    forwarded: formatForwarded({ address, port, ...(host !== undefined && { host }) }),
    traceparent: newTraceparent(),
  };
}
