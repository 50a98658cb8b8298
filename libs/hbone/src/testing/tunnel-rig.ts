/** A server and a pool on loopback, for tests. */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

import { type Clock, systemClock } from '@ambit/core';
import type { Revocations } from '@ambit/identity';
import { HbonePool } from '../pool.ts';
import type { HbonePoolLimits } from '../pool-options.ts';
import { HboneServer, type HboneServerLimits, type RejectedPeer } from '../server.ts';
import type { OnConnect } from '../server-session.ts';
import type { TlsIdentity } from '../tls.ts';
import type { TunnelKey } from '../tunnel-key.ts';

export interface RigOptions {
  readonly server: TlsIdentity;
  readonly client: TlsIdentity;
  readonly onConnect: OnConnect;
  readonly clock?: Clock;
  readonly revocations?: () => Revocations | undefined;
  readonly serverLimits?: Partial<HboneServerLimits>;
  readonly poolLimits?: Partial<HbonePoolLimits>;
}

export class TunnelRig {
  readonly server: HboneServer;
  readonly pool: HbonePool;
  readonly rejected: RejectedPeer[] = [];
  readonly sockets: Socket[] = [];
  readonly #listener: Server;
  serverIdentity: TlsIdentity;
  clientIdentity: TlsIdentity;
  #port = 0;

  private constructor(options: RigOptions) {
    const clock = options.clock ?? systemClock;
    this.serverIdentity = options.server;
    this.clientIdentity = options.client;
    this.server = new HboneServer({
      clock,
      identity: () => this.serverIdentity,
      ...(options.revocations && { revocations: options.revocations }),
      onConnect: options.onConnect,
      onRejected: (peer) => this.rejected.push(peer),
      ...(options.serverLimits && { limits: options.serverLimits }),
    });
    this.pool = new HbonePool({
      clock,
      identity: () => this.clientIdentity,
      ...(options.revocations && { revocations: options.revocations }),
      dial: async () => await this.dial(),
      ...(options.poolLimits && { limits: options.poolLimits }),
    });
    this.#listener = createServer({ allowHalfOpen: true }, (socket) => {
      this.sockets.push(socket);
      this.server.accept(socket);
    });
  }

  static async start(options: RigOptions): Promise<TunnelRig> {
    const rig = new TunnelRig(options);
    rig.#listener.listen(0, '127.0.0.1');
    await once(rig.#listener, 'listening');
    const address = rig.#listener.address();
    rig.#port = address !== null && typeof address === 'object' ? address.port : 0;
    return rig;
  }

  get port(): number {
    return this.#port;
  }

  /** Sessions that the server ended because there was too much of something. */
  get floods(): number {
    return Object.values(this.server.counters.floods).reduce((sum, count) => sum + count);
  }

  /** A connected raw socket to the server. */
  async dial(): Promise<Socket> {
    const socket = connect({ port: this.#port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  key(expected: readonly string[] = [this.serverIdentity.identity]): TunnelKey {
    return {
      sourceIdentity: this.clientIdentity.identity,
      expectedIdentities: expected,
      address: '127.0.0.1',
      port: this.#port,
      sourcePod: 'pod-1',
    };
  }

  /** The server's side no longer reads: the peer is there and silent. */
  muteServer(): void {
    for (const socket of this.sockets) {
      const handle: unknown = Reflect.get(socket, '_handle');
      if (typeof handle === 'object' && handle !== null && 'readStop' in handle) {
        (handle.readStop as () => void).call(handle);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pool.destroy();
    this.server.destroy();
    for (const socket of this.sockets) {
      socket.destroy();
    }
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    await closed;
  }
}
