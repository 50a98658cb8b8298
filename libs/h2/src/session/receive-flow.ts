/**
 * How much a session takes in (RFC 9113 §5.2).
 *
 * Rule: the connection's window is given back when DATA arrives, so that one slow reader holds up nobody else; a
 * stream's when it was read. What is unread is thus bounded by the windows of the streams, and above
 * `heldBytesMax` by the connection's too, which then waits for readers, and everybody with it. So the windows of all streams
 * together grow by no more than half of that, whoever reads what: streams that nobody reads cannot bring a session there.
 * A window that is larger than its sender needs shrinks, for the others.
 */
import type { Clock } from '@ambit/core';
import { FRAME, WINDOW_BYTES_DEFAULT } from '../frames/protocol.ts';
import type { H2Limits } from './limits.ts';
import type { Pings } from './pings.ts';
import { ReceiveWindow } from './receive-window.ts';
import { WindowGrowth } from './window-growth.ts';
import type { Writer } from './writer.ts';

/** A window that is used up faster than this limits its sender, however short the way. */
const PACE_MS_MIN = 10;
/** A window of which half lasts longer is larger than needed, except over ways that are as long. */
const SLOW_MS_MIN = 1_000;
/** What windows may grow by, of `heldBytesMax`; the others are what they begin with. */
const GROWTH_SHARE = 0.5;

export class ReceiveFlow {
  readonly #clock: Clock;
  readonly #limits: H2Limits;
  readonly #writer: Writer;
  readonly #pings: Pings;
  readonly #connection: ReceiveWindow;
  readonly #growth: WindowGrowth;
  readonly #growthOfAll: WindowGrowth;
  #heldBytes = 0;
  /** Of the connection's window, while too much is held. */
  #owedBytes = 0;

  constructor(options: {
    readonly clock: Clock;
    readonly limits: H2Limits;
    readonly writer: Writer;
    readonly pings: Pings;
    /** Of all sessions. */
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
    this.#growth = new WindowGrowth(options.limits.heldBytesMax * GROWTH_SHARE);
    this.#growthOfAll = options.growth;
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
    this.#grew(size - window.size);
    const increment = window.update(now, size);
    if (increment > 0) {
      this.#writer.out.numberFrame(FRAME.WINDOW_UPDATE, streamId, increment);
      this.#writer.schedule();
    }
  }

  /** Its stream is over. */
  closeWindow(window: ReceiveWindow): void {
    this.#grew(this.#limits.streamWindowBytes - window.size);
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
    if (!this.#growth.allows(larger) || !this.#growthOfAll.allows(larger)) {
      this.#growthOfAll.refused += 1;
      return size;
    }
    return larger;
  }

  #grew(bytes: number): void {
    this.#growth.bytes += bytes;
    this.#growthOfAll.bytes += bytes;
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
