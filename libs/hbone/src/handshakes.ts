/**
 * Connections of a server that are not sessions yet, of which nothing is known but the address.
 *
 * Rule: handshakes that do not end cost whoever begins them. When there is no more room, the oldest one of the network that has most gives
 * way to a newcomer from a network with less. Where none has more, it is the oldest one that has had its time, of a network with no less
 * than the newcomer's: many networks with one each leave a place too, and one with most takes no other's. A network is an IPv4 address, or
 * 64 bits of IPv6, in which anybody who has one address may have them all.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import type { Clock } from '@ambit/core';
import { canonicalAddress } from '@ambit/proxy';

/** One that ends takes some milliseconds, and what the way there and a busy thread add. */
const UNHURRIED_MS = 1_000;

/** Of an IPv6 address: the groups of 16 bits, and those of them that name its network. */
const GROUPS = 8;
const NETWORK_GROUPS = 4;

interface Pending {
  readonly network: string;
  readonly sinceMs: number;
}

export class Handshakes {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #pending = new Map<Socket, Pending>();
  readonly #ofNetwork = new Map<string, number>();
  /** While somebody waits for the end of all. */
  #quiet: PromiseWithResolvers<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** From a socket with an address; it leaves by `over`. */
  begin(socket: Socket): void {
    const network = networkOf(socket);
    this.#pending.set(socket, { network, sinceMs: this.#clock.now() });
    this.#ofNetwork.set(network, this.#countOf(network) + 1);
  }

  /** Takes out the one that gives way to `newcomer`. Undefined: none does. */
  displaceFor(newcomer: Socket): Socket | undefined {
    const own = this.#countOf(networkOf(newcomer));
    const found = this.#oldestOfMost(own) ?? this.#oldestUnhurried(own);
    if (found !== undefined) {
      this.over(found);
    }
    return found;
  }

  #oldestOfMost(own: number): Socket | undefined {
    let most = own + 1;
    let found: string | undefined;
    for (const [network, count] of this.#ofNetwork) {
      if (count > most) {
        [found, most] = [network, count];
      }
    }
    if (found === undefined) {
      return undefined;
    }
    for (const [socket, { network }] of this.#pending) {
      if (network === found) {
        return socket;
      }
    }
    return undefined;
  }

  #oldestUnhurried(own: number): Socket | undefined {
    const latestMs = this.#clock.now() - UNHURRIED_MS;
    for (const [socket, { network, sinceMs }] of this.#pending) {
      if (sinceMs > latestMs) {
        return undefined;
      }
      if (this.#countOf(network) >= own) {
        return socket;
      }
    }
    return undefined;
  }

  /** Idempotent. */
  over(socket: Socket): void {
    const network = this.#pending.get(socket)?.network;
    if (network === undefined) {
      return;
    }
    this.#pending.delete(socket);
    const left = this.#countOf(network) - 1;
    if (left > 0) {
      this.#ofNetwork.set(network, left);
    } else {
      this.#ofNetwork.delete(network);
    }
    if (this.#pending.size === 0) {
      this.#quiet?.resolve();
      this.#quiet = undefined;
    }
  }

  /** The raw socket under `secured` is a session from now on. */
  succeeded(secured: TLSSocket): void {
    for (const raw of this.#pending.keys()) {
      if (raw.remotePort === secured.remotePort && raw.remoteAddress === secured.remoteAddress) {
        this.over(raw);
        return;
      }
    }
  }

  /** Until there is none. */
  async idle(): Promise<void> {
    if (this.#pending.size > 0) {
      this.#quiet ??= Promise.withResolvers<void>();
      await this.#quiet.promise;
    }
  }

  destroy(): void {
    for (const socket of this.#pending.keys()) {
      socket.destroy();
    }
  }

  #countOf(network: string): number {
    return this.#ofNetwork.get(network) ?? 0;
  }
}

function networkOf({ remoteAddress }: Socket): string {
  const address = canonicalAddress(remoteAddress);
  return address.includes(':') ? networkOfV6(address) : address;
}

/** From its text as the system writes it, where `::` is for as many groups of 0 as there are too few. */
function networkOfV6(address: string): string {
  const [head = '', tail] = address.split('::');
  const groups = head === '' ? [] : head.split(':');
  if (tail !== undefined) {
    const after = tail === '' ? 0 : tail.split(':').length + (tail.includes('.') ? 1 : 0);
    groups.push(...new Array<string>(Math.max(0, GROUPS - groups.length - after)).fill('0'));
    groups.push(...tail.split(':'));
  }
  return groups.slice(0, NETWORK_GROUPS).join(':');
}
