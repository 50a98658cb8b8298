/**
 * Tickets of TLS sessions that this end may resume, with whom they were given by.
 *
 * Rule: a ticket is used once, for the key it was given under, and never outlives the `Trust` that keeps it. A resumed handshake shows
 * no certificate to the client, so what was checked in the full one is kept with it, and asked again.
 */
import { randomBytes } from 'node:crypto';

import type { KnownPeer } from './trust.ts';

/** How long a ticket is good, and the longest life of the keys that seal tickets. */
export const TICKET_MS = 3_600_000;

/** Marks tickets of ours; TLS shows the name of the key to everybody. */
const KEY_NAME = Buffer.from('ambit1', 'latin1');
const KEY_BYTES = 48;

/** Node's `ticketKeys`: a name of 16 bytes and 32 of secrets. In no other process and in no other server. */
export function newTicketKeys(): Buffer {
  return Buffer.concat([KEY_NAME, randomBytes(KEY_BYTES - KEY_NAME.length)]);
}

/** Whether a server of ours sealed it. What others offer is let be. Node has null for that of a socket that is destroyed. */
export function isOurTicket(ticket: Uint8Array | undefined | null): boolean {
  return ticket instanceof Uint8Array && KEY_NAME.equals(ticket.subarray(0, KEY_NAME.length));
}

export interface Ticket {
  /** As Node gives and takes it. Holds the session's secret. */
  readonly session: Buffer;
  readonly peer: KnownPeer;
  readonly endsMs: number;
}

/** A server gives two a handshake. */
const PER_KEY_MAX = 2;
const KEYS_MAX = 256;

export class TicketCache {
  readonly #tickets = new Map<string, Ticket[]>();

  get size(): number {
    return this.#tickets.size;
  }

  /** The oldest key gives way. */
  add(key: string, ticket: Ticket): void {
    const kept = this.#tickets.get(key) ?? [];
    this.#tickets.delete(key);
    this.#tickets.set(key, [...kept, ticket].slice(-PER_KEY_MAX));
    for (const oldest of this.#tickets.keys()) {
      if (this.#tickets.size <= KEYS_MAX) {
        break;
      }
      this.#tickets.delete(oldest);
    }
  }

  /** The newest that is good for a while; it is gone from here then. */
  take(key: string, nowMs: number): Ticket | undefined {
    const kept = this.#tickets.get(key);
    const ticket = kept?.pop();
    if (kept?.length === 0) {
      this.#tickets.delete(key);
    }
    return ticket === undefined || nowMs < ticket.endsMs ? ticket : this.take(key, nowMs);
  }

  drop(key: string): void {
    this.#tickets.delete(key);
  }
}
