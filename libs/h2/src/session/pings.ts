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
  #isHeard = false;
  #onProbed: ((isThere: boolean) => void) | undefined;

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
      this.#isHeard = false;
      this.#alarms.set('ping-answer', this.#keepAlive.timeoutMs);
    }
  }

  /** Something of the peer came. */
  heard(): void {
    this.#isHeard = true;
  }

  /**
   * The time for the answer to a PING is over. True: the peer has as long again, because it was heard of meanwhile. One that
   * reads slowly gets the PING behind all that was sent before, and says with each window that it is there.
   */
  takesLonger(): boolean {
    const { timeoutMs } = this.#keepAlive ?? {};
    if (!this.#isHeard || timeoutMs === undefined) {
      return false;
    }
    this.#isHeard = false;
    this.#alarms.set('ping-answer', timeoutMs);
    return true;
  }

  /** Calls back once, with false after `ms` without an answer. Does nothing while one is under way. */
  probe(ms: number, onProbed: (isThere: boolean) => void): void {
    if (this.#onProbed === undefined) {
      this.#onProbed = onProbed;
      this.send('probe');
      this.#alarms.set('probe', ms);
    }
  }

  /** The probe under way was answered, or was not in time. */
  probed(isThere: boolean): void {
    const onProbed = this.#onProbed;
    this.#onProbed = undefined;
    this.#alarms.clear('probe');
    onProbed?.(isThere);
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
          this.probed(true);
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

  #payloadOf(kind: Kind): Uint8Array {
    return (kind === 'keep-alive' ? this.#keepAlive?.payload : undefined) ?? PAYLOADS[kind];
  }
}
