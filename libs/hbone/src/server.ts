/**
 * The accepting end of tunnels: TLS handshake, peer identity, then one HTTP/2 session per connection.
 *
 * Rule: no stream is looked at before the peer is known, and the certificate is asked for at every
 * handshake, so that a rotation, or the loss of a certificate, counts for the next connection. Nobody is served whose address is not
 * known.
 */
import type { Socket } from 'node:net';
import { createServer, type TLSSocket, type Server as TlsServer } from 'node:tls';

import { type Clock, MeshError } from '@ambit/core';
import { Probation } from '@ambit/h2';
import type { Revocations } from '@ambit/identity';
import { canonicalAddress, Deadlines, FINISHED } from '@ambit/proxy';
import { fromTlsError, HboneError, refusedChain, sessionLimit } from './errors.ts';
import { Handshakes } from './handshakes.ts';
import { sendOff } from './send-off.ts';
import { ServerContext } from './server-context.ts';
import { HboneServerCounters } from './server-counters.ts';
import { type OnConnect, ServerSession } from './server-session.ts';
import { type Admitted, ServerSessions } from './server-sessions.ts';
import { ALPN, type TlsIdentity } from './tls.ts';

export interface HboneServerLimits {
  /** Handshakes and sessions together. Beyond, whoever has most loses one to a newcomer who has less; or the newcomer is refused. */
  readonly sessionsMax: number;
  /** Handshakes that there may be, however many sessions there are. */
  readonly handshakesMax: number;
  readonly handshakeTimeoutMs: number;
  /** From the end of the handshake to the peer's SETTINGS. */
  readonly prefaceTimeoutMs: number;
  /** For a peer to take the answer to what is no CONNECT. */
  readonly refusalTimeoutMs: number;
  /** A session without a stream for so long is ended gracefully. */
  readonly idleTimeoutMs: number;
  /** What is open where no root of now vouches for the peer ends after so long at the latest. */
  readonly distrustedMs: number;
  /** Streams reset by the peer before they were answered: burst, and then so many a second. */
  readonly unansweredResetsBurst: number;
  readonly unansweredResetsPerSecond: number;
}

export const HBONE_SERVER_LIMITS: HboneServerLimits = {
  sessionsMax: 4096,
  handshakesMax: 1024,
  handshakeTimeoutMs: 10_000,
  prefaceTimeoutMs: 5_000,
  refusalTimeoutMs: 5_000,
  // The reference's `hboneIdleTimeout`.
  idleTimeoutMs: 3_600_000,
  distrustedMs: 3_600_000,
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
  /** Asked at every handshake. Throws when there is none: the connection is refused. After a change call `recheckRoots`. */
  readonly identity: () => TlsIdentity;
  /** The current lists. After a change call `recheck`. */
  readonly revocations?: () => Revocations | undefined;
  readonly onConnect: OnConnect;
  readonly onRejected?: (peer: RejectedPeer) => void;
  /** A peer (identity and address) was ended for a flood, for the first time in a while. */
  readonly onProbation?: (peer: string) => void;
  readonly limits?: Partial<HboneServerLimits>;
}

export class HboneServer {
  readonly #options: HboneServerOptions;
  readonly #limits: HboneServerLimits;
  readonly #tls: TlsServer;
  readonly #context: ServerContext;
  readonly #handshakes: Handshakes;
  readonly #sessions: ServerSessions;
  readonly #refusalDeadlines: Deadlines;
  #isDraining = false;
  #isDestroyed = false;
  readonly #probation: Probation;
  readonly counters: HboneServerCounters;

  constructor(options: HboneServerOptions) {
    this.#options = options;
    this.#handshakes = new Handshakes(options.clock);
    this.#probation = new Probation({ clock: options.clock, onBegin: options.onProbation });
    this.counters = new HboneServerCounters(this.#probation.counters);
    this.#limits = { ...HBONE_SERVER_LIMITS, ...options.limits };
    this.#refusalDeadlines = new Deadlines(options.clock, this.#limits.refusalTimeoutMs);
    this.#sessions = new ServerSessions({
      clock: options.clock,
      counters: this.counters,
      max: this.#limits.sessionsMax,
      identity: options.identity,
    });
    this.#tls = createServer({
      requestCert: true,
      // OpenSSL looks at the chain all the same; `#identify` refuses by what it found. Node would end the connection without telling whose.
      rejectUnauthorized: false,
      ALPNProtocols: [ALPN],
      handshakeTimeout: this.#limits.handshakeTimeoutMs,
      allowHalfOpen: true,
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
    });
    this.#context = new ServerContext(this.#tls, options);
    this.#tls.on('secureConnection', (socket) => this.#secured(socket));
    this.#tls.on('tlsClientError', (error, socket) => this.#handshakeFailed(error, socket));
  }

  /** Handshakes and sessions that are open now. */
  get live(): number {
    return this.#handshakes.size + this.#sessions.size;
  }

  /** Takes over a raw socket that nobody has read from. */
  accept(socket: Socket): void {
    this.counters.accepted += 1;
    socket.on('error', ignoreAfterClose);
    if (this.#isDestroyed) {
      socket.resetAndDestroy();
      return;
    }
    // The bytes of a peer that has reset its connection can still be read.
    if (socket.destroyed || socket.remoteAddress === undefined) {
      this.counters.withoutAddress += 1;
      socket.destroy();
      return;
    }
    if (!this.#hasRoomFor(socket)) {
      this.counters.refusedAtBound += 1;
      socket.resetAndDestroy();
      return;
    }
    this.#handshakes.begin(socket);
    socket.once('close', () => this.#handshakes.over(socket));
    const gone = new AbortController();
    const entered = this.#probation.enter(canonicalAddress(socket.remoteAddress), gone.signal);
    if (entered === undefined) {
      this.#handshake(socket);
    } else {
      socket.once('close', () => gone.abort(FINISHED));
      this.#enterLater(socket, entered).catch(() => socket.destroy());
    }
  }

  /** For its handshake. Whose it is, and whether there is a place for a session of theirs, is known after it. */
  #hasRoomFor(socket: Socket): boolean {
    const { sessionsMax, handshakesMax } = this.#limits;
    const max = Math.max(handshakesMax, sessionsMax - this.#sessions.size);
    if (this.#handshakes.size < max) {
      return true;
    }
    const displaced = this.#handshakes.displaceFor(socket);
    if (displaced === undefined) {
      return false;
    }
    this.counters.handshakesDisplaced += 1;
    displaced.destroy();
    return true;
  }

  /** A peer that was ended for floods waits before it costs a handshake. */
  async #enterLater(socket: Socket, entered: Promise<boolean>): Promise<void> {
    if (!(await entered)) {
      socket.resetAndDestroy();
    } else if (!socket.destroyed) {
      this.#handshake(socket);
    }
  }

  #handshake(socket: Socket): void {
    try {
      this.#context.refresh();
    } catch (error) {
      this.counters.noCertificate += 1;
      this.#reject(socket, fromTlsError(error, 'control-plane'));
      socket.resetAndDestroy();
      return;
    }
    socket.setNoDelay(true);
    // TLS takes it over from the socket: who ends its side before the handshake is over is not waited for.
    socket.allowHalfOpen = false;
    // Documented: a server that listens nowhere does TLS for the connections it is handed.
    this.#tls.emit('connection', socket);
  }

  /**
   * GOAWAY to every session; resolves when the last tunnel has ended. A connection that was accepted gets its handshake first: its
   * peer has callers that wait for it, and would take its loss for their refusal.
   */
  async drain(): Promise<void> {
    this.#isDraining = true;
    await this.#sessions.drain();
    while (this.live > 0) {
      await this.#handshakes.idle();
      await this.#sessions.drain();
    }
  }

  /** Now. Idempotent. */
  destroy(): void {
    this.#isDraining = true;
    this.#isDestroyed = true;
    this.#handshakes.destroy();
    this.#sessions.destroy();
  }

  /** The lists of revocations changed: sessions of clients that they name are ended, with all that they carry. */
  recheck(): void {
    this.#sessions.recheckRevoked(this.#options.revocations?.());
  }

  /**
   * Our certificate changed, and with it maybe the roots. Sessions of clients that none of these vouches for take nothing new from now on,
   * and what they carry ends in time; others do not notice. Answers how many such there are anew. The key
   * that was in use before is let go.
   */
  recheckRoots(): number {
    const trust = this.#context.changed();
    // Without a certificate there are no roots to ask. The next one is said to be there in the same way.
    return trust === undefined ? 0 : this.#sessions.recheckRoots(trust);
  }

  #secured(socket: TLSSocket): void {
    socket.on('error', ignoreAfterClose);
    // Asked now, the socket keeps it.
    if (socket.remoteAddress === undefined) {
      this.counters.withoutAddress += 1;
      socket.destroy();
      return;
    }
    let admitted: Admitted;
    try {
      admitted = this.#identify(socket);
    } catch (error) {
      this.counters.identityRefusals += 1;
      this.#reject(socket, fromTlsError(error, 'downstream'));
      socket.destroy();
      return;
    }
    const { peer, address } = admitted;
    if (!this.#sessions.makeRoom(admitted)) {
      this.counters.refusedAtBound += 1;
      const what = `all sessions are taken, and nobody has more of them than ${peer.identity.uri}`;
      this.#reject(socket, sessionLimit(what, 'local'));
      void sendOff(socket, this.#options.clock, this.#limits.prefaceTimeoutMs);
      return;
    }
    // A session is, from here on.
    socket.allowHalfOpen = true;
    this.counters.resumed += socket.isSessionReused() ? 1 : 0;
    const session = new ServerSession({
      socket,
      conduct: this.#probation.conductOf(`${peer.identity.uri} ${address}`, address),
      peer: peer.identity,
      peerNotAfterMs: peer.notAfterMs,
      clock: this.#options.clock,
      limits: this.#limits,
      counters: this.counters,
      refusalDeadlines: this.#refusalDeadlines,
      onConnect: this.#options.onConnect,
      onClose: () => this.#sessions.delete(session),
    });
    this.#sessions.add(session, admitted);
    this.#handshakes.succeeded(socket);
    if (this.#isDestroyed) {
      session.destroy();
    } else if (this.#isDraining) {
      void session.drain();
    }
  }

  /** By what is trusted now, which may be something else than when the handshake began. */
  #identify(socket: TLSSocket): Admitted {
    if (socket.alpnProtocol !== ALPN) {
      throw new HboneError('HBONE_TLS', 'the client offers no h2', {
        side: 'downstream',
        refusal: 'alpn',
      });
    }
    if (!socket.authorized && socket.getPeerX509Certificate() !== undefined) {
      throw refusedChain(String(socket.authorizationError), 'downstream');
    }
    const trust = this.#context.refresh();
    const peer = trust.identify(socket, 'client', this.#options.clock.wallNow());
    const address = canonicalAddress(socket.remoteAddress);
    return { peer, address, rootsPem: trust.identity.rootsPem, own: trust.identity };
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
    if (mesh instanceof HboneError && mesh.refusal !== undefined) {
      this.counters.refusedPeers[mesh.refusal] += 1;
    }
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
