/**
 * Peers whose sessions were ended for what they did, when they come back: nobody gets whole budgets by connecting again.
 *
 * Rule: nobody is barred, because a gateway or a waypoint has the clients of many behind one name. A peer on probation keeps
 * its other sessions; of the budget that it used up it begins with what has been earned since, and with a floor at the least;
 * and while it is ended again and again, each new connection waits for 250 ms at the most, which others behind its name bear.
 */
import type { Clock } from '@ambit/core';
import type { Flood, Rate } from './limits.ts';
import { TokenBucket } from './token-bucket.ts';
import { Line, type WaiterCounters, Waiters } from './waiters.ts';

export interface ProbationLimits {
  /** Peers remembered, and as many other names of them. Beyond: the one that was ended longest ago is forgotten. */
  readonly peersMax: number;
  /** After its last session was ended. Every budget is whole again by then. */
  readonly rememberMs: number;
  /** Ends within so long of the one before are of one burst. */
  readonly burstMs: number;
  /** From the second end of a burst on, doubled with each. */
  readonly waitMs: number;
  /** Well below what makes an endpoint late (`late-endpoints.ts` of `@ambit/http`). */
  readonly waitMsMax: number;
  /** Connections of one peer that wait. Beyond: see `Waiters`. */
  readonly waitingMax: number;
  /** Of all peers. */
  readonly waitingOfAllMax: number;
}

export const PROBATION_LIMITS: ProbationLimits = {
  peersMax: 1_024,
  rememberMs: 60_000,
  burstMs: 10_000,
  waitMs: 50,
  waitMsMax: 250,
  waitingMax: 128,
  waitingOfAllMax: 1_024,
};

/** An honest client greets, opens windows and takes a request back now and then. */
const FLOOR_SHARE = 0.1;
const FLOOR_MIN = 4;

export interface ProbationCounters extends WaiterCounters {
  /** Bursts that began; each is told of once. */
  begun: number;
  /** Peers, and other names of them, forgotten before their time. */
  forgotten: number;
}

/** What a session asks and tells about its peer. */
export interface PeerConduct {
  /** With how much of a budget the session begins. */
  begin(flood: Flood, rate: Rate): number;
  /** The session was ended: that budget was used up, or a bound was reached that is no rate. */
  ended(flood: Flood | undefined, rate: Rate | undefined): void;
}

interface Peer {
  ends: number;
  endedAt: number;
  readonly line: Line;
  readonly budgets: Map<Flood, TokenBucket>;
}

export interface ProbationOptions {
  readonly clock: Clock;
  readonly limits?: Partial<ProbationLimits>;
  /** A peer was ended for the first time in a while. */
  readonly onBegin?: ((peer: string) => void) | undefined;
}

export class Probation {
  readonly counters: ProbationCounters = { begun: 0, waits: 0, refused: 0, forgotten: 0 };
  readonly #options: ProbationOptions;
  readonly #limits: ProbationLimits;
  /** The one that was ended last comes last. */
  readonly #peers = new Map<string, Peer>();
  /** By the names under which they wait, where those are others. */
  readonly #waitNames = new Map<string, Peer>();
  readonly #waiters: Waiters;

  constructor(options: ProbationOptions) {
    this.#options = options;
    this.#limits = { ...PROBATION_LIMITS, ...options.limits };
    this.#waiters = new Waiters({
      clock: options.clock,
      counters: this.counters,
      max: this.#limits.waitingMax,
      ofAllMax: this.#limits.waitingOfAllMax,
    });
  }

  /** Peers remembered. */
  get size(): number {
    return this.#peers.size;
  }

  /** Connections that wait. */
  get waiting(): number {
    return this.#waiters.size;
  }

  /** For the sessions of `peer`. `also`: another name of it, under which its connections wait before they say who they are. */
  conductOf(peer: string, also?: string): PeerConduct {
    return {
      begin: (flood, rate) => this.#begin(peer, flood, rate),
      ended: (flood, rate) => {
        const known = this.#ended(this.#peers, peer);
        if (flood !== undefined && rate !== undefined) {
          known.budgets.set(flood, new TokenBucket(this.#options.clock, rate, 0));
        }
        if (known.ends === 1) {
          this.counters.begun += 1;
          this.#options.onBegin?.(peer);
        }
        if (also !== undefined) {
          this.#ended(this.#waitNames, also);
        }
      },
    };
  }

  /**
   * Asked for each new connection, before anything of it costs much. Undefined: it may go on at once. False: it has lost
   * its place to others, or `gone` was aborted meanwhile.
   */
  enter(name: string, gone?: AbortSignal): Promise<boolean> | undefined {
    if (this.#peers.size === 0) {
      return undefined;
    }
    const peer = this.#known(this.#waitNames, name) ?? this.#known(this.#peers, name);
    const { burstMs, waitMs, waitMsMax } = this.#limits;
    if (peer === undefined || peer.ends < 2 || this.#sinceEnd(peer) > burstMs) {
      return undefined;
    }
    return this.#waiters.wait(peer.line, Math.min(waitMsMax, waitMs * 2 ** (peer.ends - 2)), gone);
  }

  #begin(name: string, flood: Flood, rate: Rate): number {
    const floor = Math.min(rate.burst, Math.max(FLOOR_MIN, rate.burst * FLOOR_SHARE));
    const earned = this.#known(this.#peers, name)?.budgets.get(flood)?.takeAll();
    return earned === undefined ? rate.burst : Math.max(floor, earned);
  }

  #ended(peers: Map<string, Peer>, name: string): Peer {
    const peer = this.#known(peers, name) ?? {
      ends: 0,
      endedAt: Number.NEGATIVE_INFINITY,
      line: new Line(),
      budgets: new Map<Flood, TokenBucket>(),
    };
    if (this.#sinceEnd(peer) > this.#limits.burstMs) {
      peer.ends = 0;
    }
    peer.ends += 1;
    peer.endedAt = this.#options.clock.now();
    peers.delete(name);
    peers.set(name, peer);
    if (peers.size > this.#limits.peersMax) {
      this.#forgetOldest(peers);
    }
    return peer;
  }

  #known(peers: Map<string, Peer>, name: string): Peer | undefined {
    const peer = peers.get(name);
    if (peer !== undefined && this.#sinceEnd(peer) > this.#limits.rememberMs) {
      peers.delete(name);
      return undefined;
    }
    return peer;
  }

  #sinceEnd({ endedAt }: Peer): number {
    return this.#options.clock.now() - endedAt;
  }

  #forgetOldest(peers: Map<string, Peer>): void {
    const [oldest] = peers;
    if (oldest !== undefined) {
      const [name, peer] = oldest;
      this.counters.forgotten += this.#sinceEnd(peer) > this.#limits.rememberMs ? 0 : 1;
      peers.delete(name);
    }
  }
}
