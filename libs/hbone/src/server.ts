/**
 * The accepting end of tunnels: TLS handshake, peer identity, then one HTTP/2 session per connection.
 *
 * Rule: no stream is looked at before the peer is known, and the certificate is asked for at every
 * handshake, so that a rotation, or the loss of a certificate, counts for the next connection.
 */
import type { Socket } from 'node:net';
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';

import { type Clock, MeshError } from '@ambit/core';
import { parseSpiffeId } from '@ambit/identity';
import { canonicalAddress } from '@ambit/proxy';
import { fromTlsError, HboneError } from './errors.ts';
import { HboneServerCounters } from './server-counters.ts';
import { type OnConnect, ServerSession } from './server-session.ts';
import {
  ALPN,
  identifyClient,
  type PeerIdentity,
  requireValid,
  type TlsIdentity,
  tlsContextOptions,
} from './tls.ts';

export interface HboneServerLimits {
  /** Handshakes and sessions together; beyond, a connection is reset. */
  readonly sessionsMax: number;
  readonly handshakeTimeoutMs: number;
  /** From the end of the handshake to the peer's SETTINGS. */
  readonly prefaceTimeoutMs: number;
  /** A session without a stream for so long is ended gracefully. */
  readonly idleTimeoutMs: number;
  /** Streams reset by the peer before they were answered: burst, and then so many a second. */
  readonly unansweredResetsBurst: number;
  readonly unansweredResetsPerSecond: number;
}

export const HBONE_SERVER_LIMITS: HboneServerLimits = {
  sessionsMax: 4096,
  handshakeTimeoutMs: 10_000,
  prefaceTimeoutMs: 5_000,
  // The reference's `hboneIdleTimeout`.
  idleTimeoutMs: 3_600_000,
  unansweredResetsBurst: 200,
  unansweredResetsPerSecond: 33,
};

/** A connection that ended before it could ask for anything. */
export interface RejectedPeer {
  readonly error: MeshError;
  readonly remoteAddress: string;
  readonly remotePort: number;
  readonly localAddress: string;
  readonly localPort: number;
}

export interface HboneServerOptions {
  readonly clock: Clock;
  /** Asked at every handshake. Throws when there is none: the connection is refused. */
  readonly identity: () => TlsIdentity;
  readonly onConnect: OnConnect;
  readonly onRejected?: (peer: RejectedPeer) => void;
  readonly limits?: Partial<HboneServerLimits>;
}

export class HboneServer {
  readonly #options: HboneServerOptions;
  readonly #limits: HboneServerLimits;
  readonly #tls: TlsServer;
  readonly #pending = new Set<Socket>();
  readonly #sessions = new Set<ServerSession>();
  #current: TlsIdentity | undefined;
  #isDraining = false;
  #isDestroyed = false;
  /** While a drain waits for handshakes. */
  #quiet: PromiseWithResolvers<void> | undefined;
  readonly counters = new HboneServerCounters();

  constructor(options: HboneServerOptions) {
    this.#options = options;
    this.#limits = { ...HBONE_SERVER_LIMITS, ...options.limits };
    this.#tls = createServer({
      requestCert: true,
      rejectUnauthorized: true,
      ALPNProtocols: [ALPN],
      handshakeTimeout: this.#limits.handshakeTimeoutMs,
      allowHalfOpen: true,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
    });
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => this.#handshakeFailed(error, socket));
  }

  /** Handshakes and sessions that are open now. */
  get live(): number {
    return this.#pending.size + this.#sessions.size;
  }

  /** Takes over a raw socket that nobody has read from. */
  accept(socket: Socket): void {
    this.counters.accepted += 1;
    socket.on('error', ignoreAfterClose);
    if (this.#isDestroyed) {
      socket.resetAndDestroy();
      return;
    }
    if (this.live >= this.#limits.sessionsMax) {
      this.counters.refusedAtBound += 1;
      socket.resetAndDestroy();
      return;
    }
    try {
      this.#refreshIdentity();
    } catch (error) {
      this.counters.noCertificate += 1;
      this.#reject(socket, fromTlsError(error, 'control-plane'));
      socket.resetAndDestroy();
      return;
    }
    socket.setNoDelay(true);
    this.#pending.add(socket);
    socket.once('close', () => this.#handshakeOver(socket));
    // Documented: a server that listens nowhere does TLS for the connections it is handed.
    this.#tls.emit('connection', socket);
  }

  /**
   * GOAWAY to every session; resolves when the last tunnel has ended. A connection that was accepted gets its handshake first: its
   * peer has callers that wait for it, and would take its loss for their refusal.
   */
  async drain(): Promise<void> {
    this.#isDraining = true;
    await this.#drainSessions();
    while (this.live > 0) {
      if (this.#pending.size > 0) {
        this.#quiet ??= Promise.withResolvers<void>();
        await this.#quiet.promise;
      }
      await this.#drainSessions();
    }
  }

  async #drainSessions(): Promise<void> {
    await Promise.all([...this.#sessions].map(async (session) => await session.drain()));
  }

  /** Now. Idempotent. */
  destroy(): void {
    this.#isDraining = true;
    this.#isDestroyed = true;
    for (const socket of this.#pending) {
      socket.destroy();
    }
    for (const session of this.#sessions) {
      session.destroy();
    }
  }

  #refreshIdentity(): void {
    const identity = requireValid(this.#options.identity(), this.#options.clock);
    if (identity !== this.#current) {
      this.#tls.setSecureContext(tlsContextOptions(identity));
      this.#current = identity;
    }
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignoreAfterClose);
    let peer: PeerIdentity;
    try {
      if (socket.alpnProtocol !== ALPN) {
        throw new HboneError('HBONE_TLS', 'the client offers no h2', { side: 'downstream' });
      }
      peer = identifyClient(socket, parseSpiffeId(this.#current?.identity ?? '').trustDomain);
    } catch (error) {
      this.counters.identityRefusals += 1;
      this.#reject(socket, fromTlsError(error, 'downstream'));
      socket.destroy();
      return;
    }
    const session = new ServerSession({
      socket,
      peer,
      // Without one nobody was identified above; 0 is a certificate that has ended.
      peerNotAfterMs: socket.getPeerX509Certificate()?.validToDate.getTime() ?? 0,
      clock: this.#options.clock,
      limits: this.#limits,
      counters: this.counters,
      onConnect: this.#options.onConnect,
      onClose: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session);
    this.#untrack(socket);
    if (this.#isDestroyed) {
      session.destroy();
    } else if (this.#isDraining) {
      void session.drain();
    }
  }

  /** The raw socket under `socket` is now counted as a session. */
  #untrack(socket: TLSSocket): void {
    for (const raw of this.#pending) {
      if (raw.remotePort === socket.remotePort && raw.remoteAddress === socket.remoteAddress) {
        this.#handshakeOver(raw);
        return;
      }
    }
  }

  #handshakeOver(raw: Socket): void {
    this.#pending.delete(raw);
    if (this.#pending.size === 0) {
      this.#quiet?.resolve();
      this.#quiet = undefined;
    }
  }

  #handshakeFailed(error: Error, socket: TLSSocket): void {
    socket.on('error', ignoreAfterClose);
    this.counters.handshakeFailures += 1;
    this.#reject(socket, fromTlsError(error, 'downstream'));
    socket.destroy();
  }

  #reject(socket: Socket, error: unknown): void {
    const mesh =
      error instanceof MeshError
        ? error
        : new HboneError('HBONE_TLS', String(error), { side: 'downstream', cause: error });
    this.#options.onRejected?.({
      error: mesh,
      remoteAddress: canonicalAddress(socket.remoteAddress),
      remotePort: socket.remotePort ?? 0,
      localAddress: canonicalAddress(socket.localAddress),
      localPort: socket.localPort ?? 0,
    });
  }
}

/** What failed is known by the close; the listener keeps a peer's reset from ending the process. */
function ignoreAfterClose(): void {}
