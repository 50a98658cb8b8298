/**
 * What a server shows, and by what it takes peers, in its next handshake.
 *
 * Rule: made anew when a handshake needs it, for the certificate and the lists of that moment. When the certificate is in use no more
 * its key is let go as soon as that is told: a server that nobody comes to would keep it for as long. Handshakes that have begun keep theirs.
 */
import type { Server as TlsServer } from 'node:tls';

import type { Clock } from '@ambit/core';
import type { Revocations } from '@ambit/identity';

import { newTicketKeys, TICKET_MS } from './tickets.ts';
import { requireValid, type TlsIdentity, tlsContextOptions } from './tls.ts';
import { type Trust, trustOf } from './trust.ts';

export interface ServerContextOptions {
  readonly clock: Clock;
  /** Throws when there is none. */
  readonly identity: () => TlsIdentity;
  readonly revocations?: () => Revocations | undefined;
}

export class ServerContext {
  readonly #tls: TlsServer;
  readonly #options: ServerContextOptions;
  #trust: Trust | undefined;
  /** Wall clock: when tickets get other keys. */
  #ticketsEndMs = 0;

  constructor(tls: TlsServer, options: ServerContextOptions) {
    this.#tls = tls;
    this.#options = options;
  }

  /**
   * For a handshake. With other trust, and each hour, tickets that were given before open nothing: their keys are gone. Throws when there
   * is no certificate.
   */
  refresh(): Trust {
    const { clock, identity, revocations } = this.#options;
    const trust = trustOf(requireValid(identity(), clock), revocations?.());
    const nowMs = clock.wallNow();
    if (trust !== this.#trust || nowMs >= this.#ticketsEndMs) {
      this.#tls.setSecureContext({
        ...tlsContextOptions(trust.identity),
        ticketKeys: newTicketKeys(),
        sessionTimeout: TICKET_MS / 1000,
      });
      this.#trust = trust;
      this.#ticketsEndMs = nowMs + TICKET_MS;
    }
    return trust;
  }

  /** The certificate changed. Answers what is trusted now; undefined: there is none. */
  changed(): Trust | undefined {
    const trust = this.#now();
    if (this.#trust !== undefined && this.#trust !== trust) {
      this.#trust = undefined;
      this.#tls.setSecureContext({});
    }
    return trust;
  }

  #now(): Trust | undefined {
    const { identity, revocations } = this.#options;
    try {
      return trustOf(identity(), revocations?.());
    } catch {
      return undefined;
    }
  }
}
