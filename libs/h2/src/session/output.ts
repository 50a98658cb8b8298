/**
 * What goes to the transport next: small things written into one slab, large payloads by reference.
 *
 * Rule: a slab is lent to a session while it has something to send and goes back when that was taken, so idle
 * sessions hold none; a slab's bytes are never written twice, so what was taken may be kept by the transport.
 */
import { writeU24, writeU32 } from '../frames/bytes.ts';
import { ERROR, type ErrorNumber, FLAG, FRAME, FRAME_HEADER_BYTES } from '../frames/protocol.ts';

const SLAB_BYTES = 64 * 1024;
/** A slab with less room is not lent again. */
const SLAB_REST_BYTES = 1_024;
const SLABS_MAX = 16;
/** Payloads up to this size are copied: a chunk of its own costs more. */
const COPIED_BYTES_MAX = 2_048;

interface Slab {
  readonly buffer: Buffer;
  used: number;
}

const idleSlabs: Slab[] = [];

export class Output {
  #slab: Slab | undefined;
  /** Where the part of the slab begins that is not among the chunks yet. */
  #from = 0;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** At least `bytes` of room; write into `buffer` from `at`, then `commit` the position behind. */
  reserve(bytes: number): { readonly buffer: Buffer; readonly at: number } {
    const slab = this.#room(bytes);
    return { buffer: slab.buffer, at: slab.used };
  }

  commit(end: number): void {
    const slab = this.#slab;
    if (slab !== undefined) {
      this.#bytes += end - slab.used;
      slab.used = end;
    }
  }

  /** A frame's header, and room for `payload` bytes behind it, which the caller writes or appends. */
  frame(type: number, flags: number, streamId: number, length: number, payload = 0): number {
    const slab = this.#room(FRAME_HEADER_BYTES + payload);
    const { buffer, used } = slab;
    writeU24(buffer, used, length);
    buffer[used + 3] = type;
    buffer[used + 4] = flags;
    writeU32(buffer, used + 5, streamId);
    slab.used = used + FRAME_HEADER_BYTES + payload;
    this.#bytes += FRAME_HEADER_BYTES + payload;
    return used + FRAME_HEADER_BYTES;
  }

  /** A frame of one 32-bit number: RST_STREAM, WINDOW_UPDATE. */
  numberFrame(type: number, streamId: number, value: number): void {
    const at = this.frame(type, 0, streamId, 4, 4);
    this.#write32(at, value);
  }

  ping(payload: Uint8Array, isAck: boolean): void {
    const at = this.frame(FRAME.PING, isAck ? FLAG.ACK : 0, 0, 8, 8);
    this.#slab?.buffer.set(payload, at);
  }

  goaway(lastStreamId: number, code: ErrorNumber, debug: string): void {
    // For a person who reads a capture; nothing of the peer's is in it that could be longer.
    const text = code === ERROR.NO_ERROR ? '' : debug.slice(0, 100);
    const at = this.frame(FRAME.GOAWAY, 0, 0, 8 + text.length, 8 + text.length);
    this.#write32(at, lastStreamId);
    this.#write32(at + 4, code);
    this.#slab?.buffer.write(text, at + 8, 'latin1');
  }

  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    const length = entries.length * 6;
    let at = this.frame(FRAME.SETTINGS, 0, 0, length, length);
    const buffer = this.#slab?.buffer;
    for (const [id, value] of entries) {
      buffer?.writeUInt16BE(id, at);
      buffer?.writeUInt32BE(value, at + 2);
      at += 6;
    }
  }

  /** Payload of a frame whose header was written. Must not change until it was sent. */
  append(chunk: Uint8Array): void {
    if (chunk.length <= COPIED_BYTES_MAX) {
      const slab = this.#room(chunk.length);
      slab.buffer.set(chunk, slab.used);
      slab.used += chunk.length;
    } else {
      this.#cut();
      this.#chunks.push(chunk);
    }
    this.#bytes += chunk.length;
  }

  /** Everything, in order. The output is empty then. */
  take(): Uint8Array[] {
    this.#cut();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#bytes = 0;
    this.#giveBack();
    return chunks;
  }

  #write32(at: number, value: number): void {
    if (this.#slab !== undefined) {
      writeU32(this.#slab.buffer, at, value);
    }
  }

  #room(bytes: number): Slab {
    const slab = this.#slab;
    if (slab !== undefined && slab.buffer.length - slab.used >= bytes) {
      return slab;
    }
    this.#cut();
    this.#slab = lend(bytes);
    this.#from = this.#slab.used;
    return this.#slab;
  }

  /** What was written since the last chunk becomes one. */
  #cut(): void {
    const slab = this.#slab;
    if (slab !== undefined && slab.used > this.#from) {
      this.#chunks.push(slab.buffer.subarray(this.#from, slab.used));
      this.#from = slab.used;
    }
  }

  #giveBack(): void {
    const slab = this.#slab;
    this.#slab = undefined;
    const isUseful = slab !== undefined && slab.buffer.length - slab.used >= SLAB_REST_BYTES;
    if (isUseful && idleSlabs.length < SLABS_MAX) {
      idleSlabs.push(slab);
    }
  }
}

function lend(bytes: number): Slab {
  const idle = idleSlabs.pop();
  if (idle !== undefined && idle.buffer.length - idle.used >= bytes) {
    return idle;
  }
  return { buffer: Buffer.allocUnsafeSlow(Math.max(SLAB_BYTES, bytes)), used: 0 };
}
