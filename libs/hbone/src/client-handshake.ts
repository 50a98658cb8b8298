/**
 * The handshake of the dialling end: TLS, resumed where there is a ticket, and the check of who answered.
 *
 * Rule: the server's SPIFFE id is one of the expected, in every handshake. What a resumed one leaves out is what the full one before
 * it brought, and is asked again.
 */
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';

import { fromTlsError, HboneError, lostInHandshake, refusedPeer } from './errors.ts';
import { isOurTicket, TICKET_MS } from './tickets.ts';
import { ALPN } from './tls.ts';
import type { KnownPeer, Trust } from './trust.ts';

export interface ClientHandshake {
  readonly trust: Trust;
  /** Any of them must be the server's. Empty: nobody fits. */
  readonly expectedIdentities: readonly string[];
  /** Whose tickets may be used here; what differs between two callers that must not share a tunnel differs in it. */
  readonly ticketKey: string;
  readonly nowMs: () => number;
  readonly signal: AbortSignal;
}

export interface SecuredClient {
  readonly socket: TLSSocket;
  readonly peer: KnownPeer;
  readonly isResumed: boolean;
}

/** TLS over a connected socket, then the check of the server. Destroys the socket when it fails. */
export async function secureClient(raw: Socket, options: ClientHandshake): Promise<SecuredClient> {
  const done = Promise.withResolvers<void>();
  // An abort before the wait leaves a promise that nobody awaits.
  done.promise.catch(() => undefined);
  const { trust, signal } = options;
  const offered = usableTicket(options);
  const socket = connectTls({
    socket: raw,
    secureContext: trust.clientContext,
    ALPNProtocols: [ALPN],
    rejectUnauthorized: true,
    // There is no host name; the check of who it is follows below.
    checkServerIdentity: () => undefined,
    ...(offered === undefined ? {} : { session: offered.session }),
  });
  const abort = (): void => done.reject(signal.reason);
  socket.once('secureConnect', () => done.resolve());
  socket.on('error', (error) => done.reject(fromTlsError(error, 'upstream')));
  socket.once('close', () => done.reject(lostInHandshake()));
  signal.addEventListener('abort', abort, { once: true });
  try {
    signal.throwIfAborted();
    await done.promise;
    if (!socket.authorized || socket.alpnProtocol !== ALPN) {
      throw new HboneError('HBONE_TLS', 'the server does not speak h2', {
        side: 'upstream',
        refusal: 'alpn',
      });
    }
    const isResumed = offered !== undefined && socket.isSessionReused();
    const peer = isResumed
      ? trust.check(offered.peer, 'server', options.nowMs())
      : trust.identify(socket, 'server', options.nowMs());
    requireExpected(peer, options.expectedIdentities);
    keepTickets(socket, peer, options);
    return { socket, peer, isResumed };
  } catch (error) {
    socket.destroy();
    raw.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', abort);
  }
}

/** One that is refused here is not offered: what it stands for would be refused after the handshake. */
function usableTicket(options: ClientHandshake) {
  const { trust, ticketKey, nowMs, expectedIdentities } = options;
  const ticket = trust.tickets.take(ticketKey, nowMs());
  if (ticket === undefined) {
    return undefined;
  }
  try {
    requireExpected(trust.check(ticket.peer, 'server', nowMs()), expectedIdentities);
    return ticket;
  } catch {
    // A full handshake finds out what there is to say.
    trust.tickets.drop(ticketKey);
    return undefined;
  }
}

function requireExpected({ identity }: KnownPeer, expected: readonly string[]): void {
  if (!expected.includes(identity.uri)) {
    const wanted = expected.slice(0, 4).join(' or ') || 'nobody';
    const why = `it is "${identity.uri.slice(0, 160)}", expected ${wanted}`;
    throw refusedPeer('server', 'unexpected', why);
  }
}

/** In TLS 1.3 they come after the handshake. */
function keepTickets(socket: TLSSocket, peer: KnownPeer, options: ClientHandshake): void {
  const { trust, ticketKey, nowMs } = options;
  socket.on('session', (session) => {
    if (isOurTicket(socket.getTLSTicket())) {
      const endsMs = Math.min(nowMs() + TICKET_MS, peer.notAfterMs);
      trust.tickets.add(ticketKey, { session, peer, endsMs });
    }
  });
}
