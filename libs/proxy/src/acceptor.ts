/**
 * The accept loop of one listening socket, with a bound on what is live and on what waits.
 *
 * Rule: Node cannot stop accepting without closing the listener. So at the bound of live connections
 * an accepted socket waits, unread, and at the bound of waiting ones a new socket is reset and counted.
 * Nobody is served whose address is not known.
 */
import { createServer, type Server, type Socket } from 'node:net';

import { Roster, type RosterMember } from '@ambit/core';
import { ProxyError } from './errors.ts';
import { resetSocket } from './reset-socket.ts';

export interface AcceptorOptions {
  readonly liveMax: number;
  readonly waitingMax: number;
  /** Owns the socket from now on; it has an `error` listener. Must not throw. */
  readonly onSocket: (socket: Socket) => void;
  /** The listener failed (EMFILE and the like); it goes on. */
  readonly onError?: (error: Error) => void;
}

export interface AcceptorCounters {
  readonly live: number;
  readonly waiting: number;
  readonly accepted: number;
  readonly resetAtBound: number;
  /** Reset by the peer before anybody could ask for its address. */
  readonly withoutAddress: number;
  readonly errors: number;
}

/** A socket at its place among the live ones, and what hears of its end. */
class Live implements RosterMember {
  rosterSlot = -1;
  readonly socket: Socket;
  readonly onClose: (live: Live) => void;

  constructor(socket: Socket, onClose: (live: Live) => void) {
    this.socket = socket;
    this.onClose = onClose;
  }
}

/** Where a socket keeps its place, so that all have one listener. */
const LIVE = Symbol('Live');

type Placed = Socket & { [LIVE]?: Live };

function onLiveClose(this: Placed): void {
  const live = this[LIVE];
  live?.onClose(live);
}

export class Acceptor {
  readonly #options: AcceptorOptions;
  readonly #server: Server;
  readonly #live = new Roster<Live>();
  readonly #waiting = new Set<Socket>();
  readonly #onLiveClose = (live: Live): void => {
    this.#live.delete(live);
    this.#next();
  };
  #accepted = 0;
  #resetAtBound = 0;
  #withoutAddress = 0;
  #errors = 0;

  constructor(options: AcceptorOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: false });
    this.#server.on('connection', (socket) => this.#accept(socket));
    this.#server.on('error', (error) => {
      this.#errors += 1;
      this.#options.onError?.(error);
    });
  }

  get counters(): AcceptorCounters {
    return {
      live: this.#live.size,
      waiting: this.#waiting.size,
      accepted: this.#accepted,
      resetAtBound: this.#resetAtBound,
      withoutAddress: this.#withoutAddress,
      errors: this.#errors,
    };
  }

  /** Port that the kernel gave; 0 while not listening. */
  get port(): number {
    const address = this.#server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  /** `fd`: a listening socket, owned from now on. */
  listen(
    where:
      | { readonly fd: number; readonly backlog?: number }
      | { readonly host: string; readonly port: number },
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#server.once('error', reject);
    this.#server.listen(where, () => {
      this.#server.off('error', reject);
      resolve();
    });
    return promise;
  }

  /** Stops accepting at once. Live sockets stay; waiting ones are reset. Idempotent. */
  close(): void {
    if (this.#server.listening) {
      this.#server.close();
    }
    for (const socket of this.#waiting) {
      socket.resetAndDestroy();
    }
    this.#waiting.clear();
  }

  /** Resets every live socket. */
  destroy(): void {
    this.close();
    for (const { socket } of this.#live.all()) {
      resetSocket(socket);
    }
  }

  /** A socket made elsewhere, for tests and for handed-over ones. */
  inject(socket: Socket): void {
    this.#accept(socket);
  }

  #accept(socket: Socket): void {
    socket.on('error', ignoreUntilOwned);
    this.#accepted += 1;
    // Asked now, the socket keeps it. What was received before a reset could still be read, as of nobody.
    if (socket.remoteAddress === undefined) {
      this.#withoutAddress += 1;
      socket.destroy();
    } else if (this.#live.size < this.#options.liveMax) {
      this.#run(socket);
    } else if (this.#waiting.size < this.#options.waitingMax) {
      this.#waiting.add(socket);
      socket.once('close', () => this.#waiting.delete(socket));
    } else {
      this.#resetAtBound += 1;
      socket.resetAndDestroy();
    }
  }

  #run(socket: Socket): void {
    const live = new Live(socket, this.#onLiveClose);
    this.#live.add(live);
    const placed: Placed = socket;
    placed[LIVE] = live;
    socket.on('close', onLiveClose);
    this.#options.onSocket(socket);
  }

  #next(): void {
    if (this.#waiting.size === 0) {
      return;
    }
    for (const socket of this.#waiting) {
      if (this.#live.size >= this.#options.liveMax) {
        return;
      }
      this.#waiting.delete(socket);
      this.#run(socket);
    }
  }
}

/** Whoever owns the socket has its own listener; without one here, an early RST would end the process. */
function ignoreUntilOwned(): void {}

/** The refusal of a connection beyond a bound. */
export function limitError(what: string, max: number): ProxyError {
  return new ProxyError('PROXY_LIMIT', `refused: ${max} ${what} are open`, { side: 'local' });
}
