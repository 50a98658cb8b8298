/**
 * Bytes in, frames out: everything about HTTP/2 that needs no knowledge of streams.
 *
 * Rule: DATA is never assembled, its pieces go on as they come. All else is assembled only when it arrives
 * in parts, and only up to a bound that is checked when the length is known, before any byte is kept.
 * Sizes, flags, padding and the order of header blocks (RFC 9113 §4, §6) are decided here.
 */
import { readU24, readU31, readU32 } from './bytes.ts';
import { checkFrameHeader, type FrameLimits, type FrameProblem } from './frame-rules.ts';
import { HeaderBlock } from './header-block.ts';
import { ERROR, type ErrorNumber, FLAG, FRAME, FRAME_HEADER_BYTES, PREFACE } from './protocol.ts';

export interface FrameSink {
  /** §6.1. `flowBytes` is what flow control counts: padding and its length included. Comes before the pieces. */
  onDataBegin(streamId: number, flowBytes: number, endStream: boolean): void;
  /** A piece, never empty, valid during the call only. */
  onDataPiece(piece: Uint8Array): void;
  /** `paddingBytes`: part of `flowBytes` that no piece carried. */
  onDataEnd(paddingBytes: number): void;
  /**
   * §6.2 with its §6.10: a whole header block, valid during the call only. `dependsOn` is the stream of the
   * deprecated priority, or -1.
   */
  onHeaders(streamId: number, block: Uint8Array, endStream: boolean, dependsOn: number): void;
  onPriority(streamId: number, dependsOn: number): void;
  onReset(streamId: number, code: ErrorNumber): void;
  /** `entries` is a whole number of settings, valid during the call only. */
  onSettings(entries: Uint8Array): void;
  onSettingsAck(): void;
  /** `payload` has 8 bytes, valid during the call only. */
  onPing(payload: Uint8Array, isAck: boolean): void;
  /** `debug` is cut to what is kept, and valid during the call only. */
  onGoaway(lastStreamId: number, code: ErrorNumber, debug: Uint8Array): void;
  /** `increment` can be 0, which is an error of the stream or of the connection (§6.9). */
  onWindowUpdate(streamId: number, increment: number): void;
  /** §5.5: to be ignored, and counted. */
  onUnknown(type: number): void;
  /** §5.4.2. The frame is skipped; decoding goes on. */
  onStreamError(streamId: number, code: ErrorNumber, message: string): void;
  /** §5.4.1. Nothing comes after it. */
  onConnectionError(code: ErrorNumber, message: string): void;
}

export interface FrameDecoderOptions {
  readonly sink: FrameSink;
  readonly limits: FrameLimits;
  /** True at a server: the bytes begin with the client's preface. */
  readonly expectsPreface: boolean;
}

type State = 'preface' | 'header' | 'pad-length' | 'pieces' | 'body' | 'skip';

/** Debug data of GOAWAY that is kept, for a log. */
const GOAWAY_BYTES_MAX = 8 + 128;

export class FrameDecoder {
  readonly #sink: FrameSink;
  readonly #limits: FrameLimits;
  readonly #block: HeaderBlock;
  #state: State;
  #isStopped = false;
  #hasSettings = false;
  /** Progress within the preface, or bytes in `#header`. */
  #filled = 0;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #type = 0;
  #flags = 0;
  #streamId = 0;
  /** Bytes of the frame that have not come yet. */
  #left = 0;
  #padding = 0;
  /** A frame that arrives in parts. */
  #body: Uint8Array | undefined;
  #bodyAt = 0;

  constructor(options: FrameDecoderOptions) {
    this.#sink = options.sink;
    this.#limits = options.limits;
    this.#block = new HeaderBlock(options.limits);
    this.#state = options.expectsPreface ? 'preface' : 'header';
  }

  /** True once the peer's first SETTINGS came: the connection preface is complete (§3.4). */
  get hasSettings(): boolean {
    return this.#hasSettings;
  }

  /** Nothing is delivered any more. Also from within a callback. */
  stop(): void {
    this.#isStopped = true;
    this.#body = undefined;
  }

  /** Never throws for what the bytes say. What the sink throws passes through. */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length && !this.#isStopped) {
      switch (this.#state) {
        case 'header':
          at = this.#readHeader(chunk, at);
          break;
        case 'pieces':
          at = this.#readPieces(chunk, at);
          break;
        case 'body':
          at = this.#readBody(chunk, at);
          break;
        case 'skip':
          at = this.#skip(chunk, at);
          break;
        case 'pad-length':
          at = this.#readPadLength(chunk, at);
          break;
        case 'preface':
          at = this.#readPreface(chunk, at);
          break;
      }
    }
  }

  /** §3.4: 24 bytes exactly, else it is another protocol. */
  #readPreface(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length && this.#filled < PREFACE.length) {
      if (chunk[at] !== PREFACE[this.#filled]) {
        this.#fail(ERROR.PROTOCOL_ERROR, 'the client does not begin with the HTTP/2 preface');
        return at;
      }
      at += 1;
      this.#filled += 1;
    }
    if (this.#filled === PREFACE.length) {
      this.#filled = 0;
      this.#state = 'header';
    }
    return at;
  }

  #readHeader(chunk: Uint8Array, from: number): number {
    if (this.#filled === 0 && chunk.length - from >= FRAME_HEADER_BYTES) {
      this.#onHeader(chunk, from);
      return from + FRAME_HEADER_BYTES;
    }
    const part = Math.min(FRAME_HEADER_BYTES - this.#filled, chunk.length - from);
    this.#header.set(chunk.subarray(from, from + part), this.#filled);
    this.#filled += part;
    if (this.#filled === FRAME_HEADER_BYTES) {
      this.#filled = 0;
      this.#onHeader(this.#header, 0);
    }
    return from + part;
  }

  #onHeader(bytes: Uint8Array, at: number): void {
    const length = readU24(bytes, at);
    const type = bytes[at + 3] ?? 0;
    const flags = bytes[at + 4] ?? 0;
    const streamId = readU31(bytes, at + 5);
    this.#type = type;
    this.#flags = flags;
    this.#streamId = streamId;
    this.#left = length;
    const problem =
      this.#checkOrder() ?? checkFrameHeader({ length, type, flags, streamId }, this.#limits);
    if (problem === undefined) {
      this.#begin();
    } else if (problem.isStream) {
      this.#sink.onStreamError(streamId, problem.code, problem.message);
      this.#state = length === 0 ? 'header' : 'skip';
    } else {
      this.#fail(problem.code, problem.message);
    }
  }

  #checkOrder(): FrameProblem | undefined {
    if (!this.#hasSettings) {
      // §3.4: SETTINGS is first, and §6.5.3: one that acknowledges is no preface.
      if (this.#type !== FRAME.SETTINGS || (this.#flags & FLAG.ACK) !== 0) {
        return {
          isStream: false,
          code: ERROR.PROTOCOL_ERROR,
          message: 'the first frame is not SETTINGS',
        };
      }
      this.#hasSettings = true;
      return undefined;
    }
    return this.#block.checkNext(this.#type, this.#streamId);
  }

  /** The frame is in order: where do its bytes go? */
  #begin(): void {
    switch (this.#type) {
      case FRAME.DATA:
        this.#sink.onDataBegin(this.#streamId, this.#left, (this.#flags & FLAG.END_STREAM) !== 0);
        this.#padding = 0;
        if ((this.#flags & FLAG.PADDED) !== 0) {
          this.#state = 'pad-length';
        } else {
          this.#nextPiece();
        }
        return;
      case FRAME.HEADERS:
      case FRAME.PRIORITY:
      case FRAME.RST_STREAM:
      case FRAME.SETTINGS:
      case FRAME.PING:
      case FRAME.GOAWAY:
      case FRAME.WINDOW_UPDATE:
      case FRAME.CONTINUATION:
        this.#state = 'body';
        if (this.#left === 0) {
          this.#deliver(this.#header.subarray(0, 0));
        }
        return;
      default:
        this.#state = this.#left === 0 ? 'header' : 'skip';
        this.#sink.onUnknown(this.#type);
    }
  }

  #readPadLength(chunk: Uint8Array, at: number): number {
    this.#padding = chunk[at] ?? 0;
    this.#left -= 1;
    if (this.#padding > this.#left) {
      // §6.1: padding as long as the payload or longer.
      this.#fail(ERROR.PROTOCOL_ERROR, 'DATA is padded beyond its length');
    } else {
      this.#left -= this.#padding;
      this.#nextPiece();
    }
    return at + 1;
  }

  #readPieces(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    this.#sink.onDataPiece(at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end));
    this.#nextPiece();
    return end;
  }

  #nextPiece(): void {
    if (this.#left > 0) {
      this.#state = 'pieces';
      return;
    }
    const isPadded = (this.#flags & FLAG.PADDED) !== 0;
    this.#left = this.#padding;
    this.#state = this.#left === 0 ? 'header' : 'skip';
    if (!this.#isStopped) {
      this.#sink.onDataEnd(isPadded ? this.#padding + 1 : 0);
    }
  }

  #skip(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    this.#left -= end - at;
    if (this.#left === 0) {
      this.#state = 'header';
    }
    return end;
  }

  #readBody(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + this.#left);
    if (this.#body === undefined && end - at === this.#left) {
      this.#left = 0;
      this.#deliver(chunk.subarray(at, end));
      return end;
    }
    // Only a GOAWAY is longer than what is kept of it.
    const isGoaway = this.#type === FRAME.GOAWAY;
    this.#body ??= new Uint8Array(isGoaway ? Math.min(this.#left, GOAWAY_BYTES_MAX) : this.#left);
    const kept = Math.min(end - at, this.#body.length - this.#bodyAt);
    this.#body.set(chunk.subarray(at, at + kept), this.#bodyAt);
    this.#bodyAt += kept;
    this.#left -= end - at;
    if (this.#left === 0) {
      const body = this.#body;
      this.#body = undefined;
      this.#bodyAt = 0;
      this.#deliver(body);
    }
    return end;
  }

  #deliver(body: Uint8Array): void {
    this.#state = 'header';
    const sink = this.#sink;
    switch (this.#type) {
      case FRAME.HEADERS:
      case FRAME.CONTINUATION:
        this.#addToBlock(body);
        return;
      case FRAME.PRIORITY:
        sink.onPriority(this.#streamId, readU31(body, 0));
        return;
      case FRAME.RST_STREAM:
        sink.onReset(this.#streamId, readU32(body, 0));
        return;
      case FRAME.SETTINGS:
        if ((this.#flags & FLAG.ACK) === 0) {
          sink.onSettings(body);
        } else {
          sink.onSettingsAck();
        }
        return;
      case FRAME.PING:
        sink.onPing(body, (this.#flags & FLAG.ACK) !== 0);
        return;
      case FRAME.GOAWAY:
        sink.onGoaway(readU31(body, 0), readU32(body, 4), body.subarray(8, GOAWAY_BYTES_MAX));
        return;
      default:
        sink.onWindowUpdate(this.#streamId, readU31(body, 0));
    }
  }

  #addToBlock(body: Uint8Array): void {
    const block = this.#block;
    const problem = block.add(this.#type, this.#flags, this.#streamId, body);
    if (problem !== undefined) {
      this.#fail(problem.code, problem.message);
      return;
    }
    const whole = block.take();
    if (whole !== undefined) {
      this.#sink.onHeaders(this.#streamId, whole, block.endStream, block.dependsOn);
    }
  }

  #fail(code: ErrorNumber, message: string): void {
    this.stop();
    this.#sink.onConnectionError(code, message);
  }
}
