/**
 * HEADERS with its CONTINUATION frames (RFC 9113 §4.3, §6.2, §6.10).
 *
 * Rule: between HEADERS without END_HEADERS and the last CONTINUATION nothing else may come, and how many
 * frames and bytes a block has is bounded: beyond, the connection ends, because its compression state is lost.
 */
import { readU31 } from './bytes.ts';
import type { FrameLimits, FrameProblem } from './frame-rules.ts';
import { ERROR, type ErrorNumber, FLAG, FRAME, frameName } from './protocol.ts';

const problem = (code: ErrorNumber, message: string): FrameProblem => ({
  isStream: false,
  code,
  message,
});

export class HeaderBlock {
  readonly #limits: FrameLimits;
  /** 0: no block is open. */
  #streamId = 0;
  #continuations = 0;
  #whole: Uint8Array | undefined;
  #parts: Uint8Array | undefined;
  #length = 0;
  endStream = false;
  /** The stream that the deprecated priority names; -1: none. */
  dependsOn = -1;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** Before a frame is read: may it come now? */
  checkNext(type: number, streamId: number): FrameProblem | undefined {
    if (this.#streamId === 0) {
      return type === FRAME.CONTINUATION
        ? problem(ERROR.PROTOCOL_ERROR, 'CONTINUATION without HEADERS')
        : undefined;
    }
    if (type !== FRAME.CONTINUATION || streamId !== this.#streamId) {
      return problem(ERROR.PROTOCOL_ERROR, `${frameName(type)} inside of a header block`);
    }
    this.#continuations += 1;
    return this.#continuations > this.#limits.continuationsMax
      ? problem(ERROR.ENHANCE_YOUR_CALM, `${this.#continuations} CONTINUATION frames in a block`)
      : undefined;
  }

  /** The payload of HEADERS or CONTINUATION; `body` is not kept. */
  add(type: number, flags: number, streamId: number, body: Uint8Array): FrameProblem | undefined {
    let fragment = body;
    if (type === FRAME.HEADERS) {
      this.endStream = (flags & FLAG.END_STREAM) !== 0;
      const start = this.#begin(flags, body);
      const padding = (flags & FLAG.PADDED) === 0 ? 0 : (body[0] ?? 0);
      if (start + padding > body.length) {
        // §6.2: padding that leaves no room for the fields is a connection error.
        return problem(ERROR.PROTOCOL_ERROR, 'HEADERS is padded beyond its length');
      }
      fragment = body.subarray(start, body.length - padding);
    }
    if (this.#length + fragment.length > this.#limits.headerBlockBytesMax) {
      return problem(
        ERROR.ENHANCE_YOUR_CALM,
        `a header block of more than ${this.#limits.headerBlockBytesMax} bytes`,
      );
    }
    if ((flags & FLAG.END_HEADERS) === 0) {
      this.#streamId = streamId;
      this.#append(fragment);
    } else if (this.#length === 0) {
      this.#whole = fragment;
    } else {
      this.#append(fragment);
      this.#whole = this.#parts?.subarray(0, this.#length);
    }
    return undefined;
  }

  /** The block when it is complete; the next one may begin. */
  take(): Uint8Array | undefined {
    const whole = this.#whole;
    if (whole !== undefined) {
      this.#whole = undefined;
      this.#parts = undefined;
      this.#length = 0;
      this.#streamId = 0;
      this.#continuations = 0;
    }
    return whole;
  }

  /** Where the fragment begins. */
  #begin(flags: number, body: Uint8Array): number {
    const start = (flags & FLAG.PADDED) === 0 ? 0 : 1;
    if ((flags & FLAG.PRIORITY) === 0) {
      this.dependsOn = -1;
      return start;
    }
    this.dependsOn = readU31(body, start);
    return start + 5;
  }

  #append(fragment: Uint8Array): void {
    const needed = this.#length + fragment.length;
    const { headerBlockBytesMax } = this.#limits;
    if (this.#parts === undefined || this.#parts.length < needed) {
      const grown = new Uint8Array(Math.min(headerBlockBytesMax, Math.max(1024, needed * 2)));
      grown.set(this.#parts?.subarray(0, this.#length) ?? []);
      this.#parts = grown;
    }
    this.#parts.set(fragment, this.#length);
    this.#length = needed;
  }
}
