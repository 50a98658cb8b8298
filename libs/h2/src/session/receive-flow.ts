/**
 * How much a session takes in (RFC 9113 §5.2).
 *
 * Rule: the connection's window is given back when DATA arrives, so that one slow reader holds up nobody else; a
 * stream's when it was read. What is unread is thus bounded by the windows of the streams, and above
 * `heldBytesMax` by the connection's too, which then waits for readers, and everybody with it. So the windows of all streams
 * together grow by no more than half of that, whoever reads what: streams that nobody reads cannot bring a session there.
 * A window that is larger than its sender needs shrinks as it is used, for the others. What a stream grew by counts for as long as
 * it may be sent, and then for as long as it is held.
 */
import type { Clock } from '@ambit/core';
import { FRAME, WINDOW_BYTES_DEFAULT } from '../frames/protocol.ts';
import type { H2Limits } from './limits.ts';
import type { Pings } from './pings.ts';
import { ReceiveWindow } from './receive-window.ts';
import type { WindowGrowth } from './window-growth.ts';
import type { Writer } from './writer.ts';

/** A window that is used up faster than this limits its sender, however short the way. */
const PACE_MS_MIN = 10;
/** A window of which half lasts longer is larger than needed, except over ways that are as long. */
const SLOW_MS_MIN = 1_000;
/** What windows may grow by, of `heldBytesMax`; the others are what they begin with. */
const GROWTH_SHARE = 0.5;
/** Of what is left of it, a window may be so much. */
const WINDOW_SHARE = 0.25;

export class ReceiveFlow {
  readonly #clock: Clock;
  readonly #limits: H2Limits;
  readonly #writer: Writer;
  readonly #pings: Pings;
  readonly #connection: ReceiveWindow;
  /** Of all sessions. */
  readonly #growth: WindowGrowth;
  /** Of this one. */
  #grownBytes = 0;
  #heldBytes = 0;
  /** Of the connection's window, while too much is held. */
  #owedBytes = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly limits: H2Limits;
    readonly writer: Writer;
    readonly pings: Pings;
    readonly growth: WindowGrowth;
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
    this.#growth = options.growth;
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
    const now = this.#clock.now();
    const size = this.#sizeOf(window, heldBytes, now);
    this.#count(window, size - this.#limits.streamWindowBytes);
    const increment = window.update(now, size);
    if (increment > 0) {
      this.#writer.out.numberFrame(FRAME.WINDOW_UPDATE, streamId, increment);
      this.#writer.schedule();
    }
  }

  /** Nothing more comes; so much is still to be read. Again when that is less. */
  closeWindow(window: ReceiveWindow, heldBytes: number): void {
    this.#count(window, Math.min(window.countedBytes, heldBytes));
  }

  /** What a window of which half was used is to be from now on. */
  #sizeOf(window: ReceiveWindow, heldBytes: number, now: number): number {
    const { size, larger } = window;
    const paceMs = Math.max(PACE_MS_MIN, 2 * this.#pings.roundTripMs);
    const usedForMs = window.usedForMs(now);
    if (usedForMs > Math.max(SLOW_MS_MIN, 2 * paceMs)) {
      return window.smaller;
    }
    // With much of a window unread it is the reader who limits the sender.
    const keepsUp = heldBytes * 4 <= size;
    if (!keepsUp || usedForMs > paceMs || larger === size) {
      return size;
    }
    const left = this.#limits.heldBytesMax * GROWTH_SHARE - this.#grownBytes;
    if (
      larger > left * WINDOW_SHARE ||
      !this.#growth.allows(larger, larger - size, this.#grownBytes)
    ) {
      this.#growth.refused += 1;
      return size;
    }
    return larger;
  }

  #count(window: ReceiveWindow, bytes: number): void {
    const more = bytes - window.countedBytes;
    window.countedBytes = bytes;
    this.#grownBytes += more;
    this.#growth.bytes += more;
  }

  #release(bytes: number): void {
    this.#owedBytes += bytes;
    if (this.#heldBytes > this.#limits.heldBytesMax) {
      return;
    }
    const owed = this.#owedBytes;
    this.#owedBytes = 0;
    if (this.#connection.release(owed)) {
      const increment = this.#connection.update(0);
      this.#writer.out.numberFrame(FRAME.WINDOW_UPDATE, 0, increment);
      this.#writer.schedule();
    }
  }
}
