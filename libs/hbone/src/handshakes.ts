/**
 * Connections of a server that are not sessions yet, of which nothing is known but the address.
 *
 * Rule: handshakes that do not end cost whoever begins them. When there is no more room, the oldest one of the address that has most gives
 * way to a newcomer from an address with less; one that is refused finds its own address among those with most.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import { canonicalAddress } from '@ambit/proxy';

export class Handshakes {
  /** The oldest first. */
  readonly #pending = new Map<Socket, string>();
  readonly #ofAddress = new Map<string, number>();
  /** While somebody waits for the end of all. */
  #quiet: PromiseWithResolvers<void> | undefined;

  get size(): number {
    return this.#pending.size;
  }

  /** From a socket with an address; it leaves by `over`. */
  begin(socket: Socket): void {
    const address = canonicalAddress(socket.remoteAddress);
    this.#pending.set(socket, address);
    this.#ofAddress.set(address, this.#countOf(address) + 1);
  }

  /** Takes out the one that gives way to `newcomer`. Undefined: none does. */
  displaceFor(newcomer: Socket): Socket | undefined {
    let most = this.#countOf(canonicalAddress(newcomer.remoteAddress)) + 1;
    let found: string | undefined;
    for (const [address, count] of this.#ofAddress) {
      if (count > most) {
        [found, most] = [address, count];
      }
    }
    for (const [socket, address] of this.#pending) {
      if (address === found) {
        this.over(socket);
        return socket;
      }
    }
    return undefined;
  }

  /** Idempotent. */
  over(socket: Socket): void {
    const address = this.#pending.get(socket);
    if (address === undefined) {
      return;
    }
    this.#pending.delete(socket);
    const left = this.#countOf(address) - 1;
    if (left > 0) {
      this.#ofAddress.set(address, left);
    } else {
      this.#ofAddress.delete(address);
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

  #countOf(address: string): number {
    return this.#ofAddress.get(address) ?? 0;
  }
}
