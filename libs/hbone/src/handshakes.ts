/**
 * Connections of a server that are not sessions yet, of which nothing is known but the address.
 *
 * Rule: handshakes that do not end cost whoever begins them. When there is no more room, the oldest one of the network that has most gives
 * way to a newcomer from a network with less. A network is an IPv4 address, or 64 bits of IPv6, in which anybody who has one address may
 * have them all, and which the pods of a node commonly share: so within the newcomer's own it is the oldest one of the address that has
 * most. Where none has more, it is the oldest one that has had its time, of a network with no less than the newcomer's: many networks, or
 * many addresses, with one each leave a place too, and a network with most takes no other's.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import type { Clock } from '@ambit/core';
import { canonicalAddress } from '@ambit/proxy';

/** One that ends takes some milliseconds, and what the way there and a busy thread add. */
const UNHURRIED_MS = 1_000;

/** Of all handshakes, what an address may have and lose none of to others of its network, whose addresses may be without number. */
const UNTOUCHED_SHARE = 1 / 256;

/** Of an IPv6 address: the groups of 16 bits, and those of them that name its network. */
const GROUPS = 8;
const NETWORK_GROUPS = 4;

interface From {
  readonly network: string;
  readonly address: string;
}

interface Pending extends From {
  readonly sinceMs: number;
}

export class Handshakes {
  readonly #clock: Clock;
  /** The oldest first. */
  readonly #pending = new Map<Socket, Pending>();
  readonly #networks = new Tally<Socket>();
  /** Of each network that has any: its addresses. */
  readonly #addresses = new Map<string, Tally<Socket>>();
  /** While somebody waits for the end of all. */
  #quiet: PromiseWithResolvers<void> | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#pending.size;
  }

  /** For tests: the networks, and their addresses, of which something is kept. */
  get counted(): number {
    let counted = this.#networks.size + this.#addresses.size;
    for (const { size } of this.#addresses.values()) {
      counted += size;
    }
    return counted;
  }

  /** From a socket with an address; it leaves by `over`. */
  begin(socket: Socket): void {
    const from = fromOf(socket);
    this.#pending.set(socket, { ...from, sinceMs: this.#clock.now() });
    this.#networks.add(from.network, socket);
    const addresses = this.#addresses.get(from.network) ?? new Tally<Socket>();
    this.#addresses.set(from.network, addresses);
    addresses.add(from.address, socket);
  }

  /** Takes out the one that gives way to `newcomer`. Undefined: none does. */
  displaceFor(newcomer: Socket): Socket | undefined {
    const from = fromOf(newcomer);
    const own = this.#networks.countOf(from.network);
    const found =
      this.#networks.oldestOfMost(own + 1) ??
      this.#oldestNeighbour(from) ??
      this.#oldestUnhurried(own);
    if (found !== undefined) {
      this.over(found);
    }
    return found;
  }

  /** Of the address with most in the newcomer's network. */
  #oldestNeighbour({ network, address }: From): Socket | undefined {
    const addresses = this.#addresses.get(network);
    const own = addresses?.countOf(address) ?? 0;
    // Else who has many addresses would begin with each of them, and take the places of a neighbour that has two.
    const untouched = this.#pending.size * UNTOUCHED_SHARE;
    return addresses?.oldestOfMost(Math.max(own + 1, untouched));
  }

  #oldestUnhurried(own: number): Socket | undefined {
    const latestMs = this.#clock.now() - UNHURRIED_MS;
    for (const [socket, { network, sinceMs }] of this.#pending) {
      if (sinceMs > latestMs) {
        return undefined;
      }
      if (this.#networks.countOf(network) >= own) {
        return socket;
      }
    }
    return undefined;
  }

  /** Idempotent. */
  over(socket: Socket): void {
    const from = this.#pending.get(socket);
    if (from === undefined) {
      return;
    }
    this.#pending.delete(socket);
    this.#networks.delete(from.network, socket);
    const addresses = this.#addresses.get(from.network);
    addresses?.delete(from.address, socket);
    if (addresses?.size === 0) {
      this.#addresses.delete(from.network);
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
}

/**
 * Things by a key that others choose: how many each has, and the oldest one of the key that has most. Nothing here takes longer the more
 * there are: who has many addresses makes newcomers no dearer. A key without things is not kept.
 */
class Tally<T> {
  /** The oldest first. */
  readonly #things = new Map<string, Set<T>>();
  /** The keys that have so many. A change is by one, so those up to `#most` have no gap. */
  readonly #keys = new Map<number, Set<string>>();
  #most = 0;

  /** How many keys. */
  get size(): number {
    return this.#things.size;
  }

  countOf(key: string): number {
    return this.#things.get(key)?.size ?? 0;
  }

  /** Undefined: no key has more than `bound`. */
  oldestOfMost(bound: number): T | undefined {
    if (this.#most <= bound) {
      return undefined;
    }
    const [key = ''] = this.#keys.get(this.#most) ?? [];
    const [oldest] = this.#things.get(key) ?? [];
    return oldest;
  }

  /** One that is not there yet. */
  add(key: string, thing: T): void {
    const things = this.#things.get(key) ?? new Set();
    this.#things.set(key, things.add(thing));
    this.#move(key, things.size - 1, things.size);
  }

  /** One that is there. */
  delete(key: string, thing: T): void {
    const things = this.#things.get(key);
    if (things?.delete(thing) !== true) {
      return;
    }
    if (things.size === 0) {
      this.#things.delete(key);
    }
    this.#move(key, things.size + 1, things.size);
  }

  #move(key: string, from: number, to: number): void {
    const before = this.#keys.get(from);
    before?.delete(key);
    if (before?.size === 0) {
      this.#keys.delete(from);
    }
    if (to > 0) {
      this.#keys.set(to, (this.#keys.get(to) ?? new Set()).add(key));
    }
    if (to > this.#most || !this.#keys.has(this.#most)) {
      this.#most = to;
    }
  }
}

function fromOf({ remoteAddress }: Socket): From {
  const address = canonicalAddress(remoteAddress);
  return { network: address.includes(':') ? networkOfV6(address) : address, address };
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
