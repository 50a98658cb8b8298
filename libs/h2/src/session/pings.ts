/**
 * Our own PINGs (RFC 9113 §6.7): is the peer there, how far is it, has it seen our GOAWAY?
 *
 * At most one of each kind is under way; an acknowledgement of anything else means nothing.
 */
import type { Clock } from '@ambit/core';
import type { AlarmKind, Alarms } from './alarms.ts';
import type { Writer } from './writer.ts';

export interface KeepAlive {
  /** From the start, or from an answer, to the next PING. */
  readonly intervalMs: number;
  /** From a PING to the end of the session. */
  readonly timeoutMs: number;
  /** 8 bytes, to be recognised in captures. Default: "ambit" and zeros. */
  readonly payload?: Uint8Array;
}

/** What is asked once: is the peer there? */
export interface Probe {
  readonly ms: number;
  /** Whatever comes meanwhile gives the peer as long again: who is slow reads the PING behind all that was sent before. */
  readonly isPatient: boolean;
  /** Called once. False: `ms` went by without an answer. */
  readonly onProbed: (isThere: boolean) => void;
}

type Kind = 'keep-alive' | 'drain' | 'probe';

const PAYLOADS: Readonly<Record<Kind, Uint8Array>> = {
  'keep-alive': new TextEncoder().encode('ambit\0\0\0'),
  drain: new TextEncoder().encode('ambitend'),
  probe: new TextEncoder().encode('ambitask'),
};
/** How long the way is taken to be before anything was measured. */
const ROUND_TRIP_MS_ASSUMED = 5;

export class Pings {
  readonly #clock: Clock;
  readonly #alarms: Alarms<AlarmKind>;
  readonly #writer: Writer;
  readonly #keepAlive: KeepAlive | undefined;
  readonly #sentAt = new Map<Kind, number>();
  #roundTripMs = ROUND_TRIP_MS_ASSUMED;
  #heardAt = Number.NEGATIVE_INFINITY;
  #probe: Probe | undefined;
  #probeBeganAt = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly alarms: Alarms<AlarmKind>;
    readonly writer: Writer;
    readonly keepAlive: KeepAlive | undefined;
  }) {
    this.#clock = options.clock;
    this.#alarms = options.alarms;
    this.#writer = options.writer;
    this.#keepAlive = options.keepAlive;
  }

  /** Smoothed. */
  get roundTripMs(): number {
    return this.#roundTripMs;
  }

  start(): void {
    if (this.#keepAlive !== undefined) {
      this.#alarms.set('ping', this.#keepAlive.intervalMs);
    }
  }

  send(kind: Kind): void {
    this.#sentAt.set(kind, this.#clock.now());
    this.#writer.out.ping(this.#payloadOf(kind), false);
    this.#writer.schedule();
    if (kind === 'keep-alive' && this.#keepAlive !== undefined) {
      this.#alarms.set('ping-answer', this.#keepAlive.timeoutMs);
    }
  }

  /** Something of the peer came. */
  heard(): void {
    this.#heardAt = this.#clock.now();
  }

  /**
   * The time for the answer to a PING is over. True: the peer was heard of meanwhile, and has as long as if that had been the
   * answer. One that reads slowly gets the PING behind all that was sent before, and says with each window that it is there.
   */
  takesLonger(): boolean {
    const sentAt = this.#sentAt.get('keep-alive');
    if (this.#keepAlive === undefined || sentAt === undefined || this.#heardAt < sentAt) {
      return false;
    }
    const { intervalMs, timeoutMs } = this.#keepAlive;
    const leftMs = this.#heardAt + intervalMs + timeoutMs - this.#clock.now();
    if (leftMs <= 0) {
      return false;
    }
    this.#alarms.set('ping-answer', leftMs);
    return true;
  }

  /** Does nothing while one is under way. */
  probe(probe: Probe): void {
    if (this.#probe === undefined) {
      this.#probe = probe;
      this.send('probe');
      this.#awaitProbe(probe);
    }
  }

  /** The time of the probe under way is over. */
  probeIsDue(): void {
    const probe = this.#probe;
    if (probe?.isPatient === true && this.#heardAt >= this.#probeBeganAt) {
      this.#awaitProbe(probe);
    } else {
      this.#probed(false);
    }
  }

  #awaitProbe({ ms }: Probe): void {
    this.#probeBeganAt = this.#clock.now();
    this.#alarms.set('probe', ms);
  }

  /** Which of ours was answered. */
  onAck(payload: Uint8Array): Kind | undefined {
    for (const [kind, at] of this.#sentAt) {
      if (Buffer.compare(payload, this.#payloadOf(kind)) === 0) {
        this.#sentAt.delete(kind);
        this.measured(at);
        if (kind === 'keep-alive') {
          this.#alarms.clear('ping-answer');
          this.start();
        } else if (kind === 'probe') {
          this.#probed(true);
        }
        return kind;
      }
    }
    return undefined;
  }

  /** Something that was sent at `sentAt` has been answered now. */
  measured(sentAt: number): void {
    this.#roundTripMs = this.#roundTripMs * 0.75 + (this.#clock.now() - sentAt) * 0.25;
  }

  #probed(isThere: boolean): void {
    const probe = this.#probe;
    this.#probe = undefined;
    this.#alarms.clear('probe');
    probe?.onProbed(isThere);
  }

  #payloadOf(kind: Kind): Uint8Array {
    return (kind === 'keep-alive' ? this.#keepAlive?.payload : undefined) ?? PAYLOADS[kind];
  }
}
