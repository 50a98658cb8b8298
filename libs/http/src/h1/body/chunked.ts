/**
 * The chunked coding, in (RFC 9112 §7.1): sizes, extensions, data; the trailer section is read by its own scan.
 *
 * Rule: a size is hexadecimal digits and nothing else, a line ends in CRLF, and data is exactly as long as its size says.
 * Extensions are bounded and dropped (§7.1.1); what they mean to somebody else cannot matter.
 */

import { H1Error } from '../errors.ts';
import type { H1Limits } from '../limits.ts';
import type { ByteQueue } from '../scan/byte-queue.ts';
import { CHARS, CR, HEX_VALUES, LF, SEMICOLON, skipWhile, VALUE_CHAR } from '../scan/chars.ts';
import type { Refuse } from '../scan/scanner.ts';

const SIZE = 0;
const EXTENSION = 1;
const SIZE_LF = 2;
const DATA = 3;
const DATA_CR = 4;
const DATA_LF = 5;
const LAST = 6;

export class ChunkedDecoder {
  readonly #limits: H1Limits;
  readonly #refuse: Refuse;
  #state = SIZE;
  #size = 0;
  #digits = 0;
  #left = 0;
  #extensionBytes = 0;
  #extensionsBytes = 0;
  /** Found behind data that is given first, so that a chunk more or less in one read changes nothing. */
  #failure: H1Error | undefined;

  constructor(limits: H1Limits, refuse: Refuse) {
    this.#limits = limits;
    this.#refuse = refuse;
  }

  /** The last chunk was read; the trailer section follows. */
  get isLast(): boolean {
    return this.#state === LAST;
  }

  reset(): void {
    this.#state = SIZE;
    this.#size = 0;
    this.#digits = 0;
    this.#extensionsBytes = 0;
  }

  /**
   * The data of all chunks that the queue's current chunk holds, in one piece, however small they are; empty when it wants
   * more. Throws.
   */
  read(queue: ByteQueue): Uint8Array {
    const { current: bytes, at: begin } = queue;
    const end = bytes.length;
    let at = this.#failure === undefined ? this.#toData(bytes, begin, end) : begin;
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    let piece: Buffer | undefined;
    let gathered: Buffer | undefined;
    let length = 0;
    while (at < end && this.#state === DATA) {
      const taken = Math.min(this.#left, end - at);
      if (piece === undefined) {
        piece = bytes.subarray(at, at + taken);
      } else {
        gathered ??= gatherInto(piece, end - begin);
        bytes.copy(gathered, length, at, at + taken);
      }
      length += taken;
      at += taken;
      this.#left -= taken;
      if (this.#left === 0) {
        this.#state = DATA_CR;
        at = this.#toData(bytes, at, end);
      }
    }
    queue.skip(at - begin);
    return gathered?.subarray(0, length) ?? piece ?? NOTHING;
  }

  /** Reads what stands between data. */
  #toData(bytes: Buffer, begin: number, end: number): number {
    let at = begin;
    try {
      while (at < end && this.#state !== DATA && this.#state !== LAST) {
        at = this.#step(bytes, at, end);
      }
      return at;
    } catch (error) {
      // What failed stays in the queue, so that there is something to be asked for.
      if (!(error instanceof H1Error)) {
        throw error;
      }
      this.#failure = error;
      return at;
    }
  }

  #step(bytes: Buffer, at: number, end: number): number {
    switch (this.#state) {
      case SIZE:
        return this.#sizeDigits(bytes, at, end);
      case EXTENSION:
        return this.#extension(bytes, at, end);
      case SIZE_LF:
        this.#expect(bytes[at] === LF, 'H1_BARE_CR');
        this.#begin();
        return at + 1;
      case DATA_CR:
        this.#expect(bytes[at] === CR, bytes[at] === LF ? 'H1_BARE_LF' : 'H1_CHUNK_END_INVALID');
        this.#state = DATA_LF;
        return at + 1;
      default:
        this.#expect(bytes[at] === LF, 'H1_BARE_CR');
        this.#state = SIZE;
        this.#size = 0;
        this.#digits = 0;
        return at + 1;
    }
  }

  #sizeDigits(bytes: Buffer, at: number, end: number): number {
    for (let next = at; next < end; next += 1) {
      const byte = bytes[next] ?? 0;
      const value = HEX_VALUES[byte] ?? 255;
      if (value < 16) {
        this.#digits += 1;
        this.#expect(this.#digits <= this.#limits.chunkDigitsMax, 'H1_CHUNK_SIZE_TOO_LONG');
        this.#size = this.#size * 16 + value;
        continue;
      }
      this.#expect(byte !== LF, 'H1_BARE_LF');
      this.#expect(
        this.#digits > 0 && (byte === CR || byte === SEMICOLON),
        'H1_CHUNK_SIZE_INVALID',
      );
      this.#extensionBytes = 0;
      this.#state = byte === CR ? SIZE_LF : EXTENSION;
      return next + 1;
    }
    return end;
  }

  #extension(bytes: Buffer, at: number, end: number): number {
    const { chunkExtensionBytesMax, chunkExtensionsBytesMax } = this.#limits;
    const room = Math.min(
      chunkExtensionBytesMax - this.#extensionBytes,
      chunkExtensionsBytesMax - this.#extensionsBytes,
    );
    const stop = Math.min(end, at + room);
    const next = skipWhile(bytes, at, stop, VALUE_CHAR);
    this.#extensionBytes += next - at;
    this.#extensionsBytes += next - at;
    if (next === end) {
      return end;
    }
    const byte = bytes[next] ?? 0;
    if (byte === CR) {
      this.#state = SIZE_LF;
      return next + 1;
    }
    this.#expect(byte !== LF, 'H1_BARE_LF');
    const isTooLong = ((CHARS[byte] ?? 0) & VALUE_CHAR) !== 0;
    throw this.#refuse(isTooLong ? 'H1_CHUNK_EXTENSION_TOO_LONG' : 'H1_CHUNK_EXTENSION_INVALID');
  }

  #begin(): void {
    this.#left = this.#size;
    this.#state = this.#size === 0 ? LAST : DATA;
  }

  #expect(isAsExpected: boolean, code: Parameters<Refuse>[0]): void {
    if (!isAsExpected) {
      throw this.#refuse(code);
    }
  }
}

const NOTHING = Buffer.alloc(0);

function gatherInto(first: Buffer, capacity: number): Buffer {
  const gathered = Buffer.allocUnsafe(capacity);
  first.copy(gathered, 0);
  return gathered;
}
