/**
 * How much a session takes in (RFC 9113 §5.2).
 *
 * Rule: the connection's window is given back when DATA arrives, so that one slow reader holds up nobody else; a
 * stream's when it was read. What is unread is thus bounded by the windows of the streams, and above
 * `heldBytesMax` by the connection's too, which then waits for readers, and everybody with it. So the windows of all streams
 * together grow by no more than half of that, whoever reads what: streams that nobody reads cannot bring a session there.
 */
import type { Clock } from '@ambit/core';
import { FRAME, WINDOW_BYTES_DEFAULT } from '../frames/protocol.ts';
import type { H2Limits } from './limits.ts';
import type { Pings } from './pings.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { Writer } from './writer.ts';

/** A window that is used up faster than this limits its sender, however short the way. */
const PACE_MS_MIN = 10;
const NEVER_GROW = Number.NEGATIVE_INFINITY;
/** Of what windows may grow by, for all streams; the others are what they begin with. */
const GROWTH_SHARE = 0.5;
/** Of what is left of it, a window may be so much, so that there is always some left. */
const WINDOW_SHARE = 0.25;

export class ReceiveFlow {
  readonly #clock: Clock;
  readonly #limits: H2Limits;
  readonly #writer: Writer;
  readonly #pings: Pings;
  readonly #connection: ReceiveWindow;
  #heldBytes = 0;
  /** By how much the windows of open streams have grown. */
  #grownBytes = 0;
  /** Of the connection's window, while too much is held. */
  #owedBytes = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly limits: H2Limits;
    readonly writer: Writer;
    readonly pings: Pings;
  }) {
    const { streamWindowBytes, streamWindowBytesMax, connectionWindowBytes } = options.limits;
    // Until the peer has read our SETTINGS it has the default (§6.9.2), and no window shrinks here.
    if (Math.min(streamWindowBytes, connectionWindowBytes) < WINDOW_BYTES_DEFAULT) {
      throw new RangeError(`a receive window below ${WINDOW_BYTES_DEFAULT} bytes`);
    }
    if (streamWindowBytesMax < streamWindowBytes) {
      throw new RangeError('the first window of a stream is larger than its largest');
    }
    this.#clock = options.clock;
    this.#limits = options.limits;
    this.#writer = options.writer;
    this.#pings = options.pings;
    this.#connection = new ReceiveWindow({
      bytes: WINDOW_BYTES_DEFAULT,
      max: options.limits.connectionWindowBytes,
      now: 0,
    });
  }

  /** Unread bytes of all streams. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The connection's window, as wide as it may be from the start: it is not what bounds memory. */
  start(): void {
    const increment = this.#connection.widen();
    if (increment > 0) {
      this.#writer.out.numberFrame(FRAME.WINDOW_UPDATE, 0, increment);
    }
  }

  newStreamWindow(): ReceiveWindow {
    const { streamWindowBytes, streamWindowBytesMax } = this.#limits;
    const now = this.#clock.now();
    return new ReceiveWindow({ bytes: streamWindowBytes, max: streamWindowBytesMax, now });
  }

  /** DATA has come, for whomever. False: the peer exceeds the connection's window. */
  take(flowBytes: number): boolean {
    if (!this.#connection.take(flowBytes)) {
      return false;
    }
    this.#release(flowBytes);
    return true;
  }

  addHeld(bytes: number): void {
    this.#heldBytes += bytes;
    if (bytes < 0 && this.#owedBytes > 0) {
      this.#release(0);
    }
  }

  /** Half of a stream's window was read. */
  updateStream(streamId: number, window: ReceiveWindow, heldBytes: number): void {
    // With much of a window unread it is the reader who limits the sender.
    const keepsUp = heldBytes * 4 <= window.size;
    const left = this.#limits.heldBytesMax * GROWTH_SHARE - this.#grownBytes;
    const mayGrow = keepsUp && window.size * 2 <= left * WINDOW_SHARE;
    const paceMs = mayGrow ? Math.max(PACE_MS_MIN, 2 * this.#pings.roundTripMs) : NEVER_GROW;
    const before = window.size;
    const increment = window.update(this.#clock.now(), paceMs);
    this.#grownBytes += window.size - before;
    this.#writer.out.numberFrame(FRAME.WINDOW_UPDATE, streamId, increment);
    this.#writer.schedule();
  }

  /** Its stream is over. */
  closeWindow(window: ReceiveWindow): void {
    this.#grownBytes -= window.size - this.#limits.streamWindowBytes;
  }

  #release(bytes: number): void {
    this.#owedBytes += bytes;
    if (this.#heldBytes > this.#limits.heldBytesMax) {
      return;
    }
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    if (this.#connection.release(owed)) {
      const increment = this.#connection.update(0, NEVER_GROW);
      this.#writer.out.numberFrame(FRAME.WINDOW_UPDATE, 0, increment);
      this.#writer.schedule();
    }
  }
}
