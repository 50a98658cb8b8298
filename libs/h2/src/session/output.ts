/**
 * What goes to the transport next, in one piece: TLS takes one piece without copying it, and several not.
 *
 * Rule: the memory is lent to a session while it has something to send, so idle sessions hold none. Where the transport
 * says when it has taken a piece, its memory is used again then; elsewhere the transport keeps a copy.
 */
import { type Slab, SlabPool } from '@ambit/proxy';
import { writeU24, writeU32 } from '../frames/bytes.ts';
import { ERROR, type ErrorNumber, FLAG, FRAME, FRAME_HEADER_BYTES } from '../frames/protocol.ts';

/** Headers and messages; a few bodies; what a writer gathers under load and what came before it. At most 4 MiB idle. */
const POOLS = [
  { bytes: 16 * 1024, idleMax: 64 },
  { bytes: 128 * 1024, idleMax: 8 },
  { bytes: 544 * 1024, idleMax: 4 },
].map(({ bytes, idleMax }) => ({ bytes, pool: new SlabPool({ slabBytes: bytes, idleMax }) }));
const LARGEST = POOLS.length - 1;

export class Output {
  /** The last is written to; the others are full. */
  #slabs: Slab[] = [];
  #slab: Slab | undefined;
  #bytes = 0;
  /** Which pool the first slab is taken from: as large as what went out last. */
  #first = 0;

  get bytes(): number {
    return this.#bytes;
  }

  /** At least `bytes` of room; write into `buffer` from `at`, then `commit` the position behind. */
  reserve(bytes: number): { readonly buffer: Buffer; readonly at: number } {
    const slab = this.#room(bytes);
    return { buffer: slab.memory, at: slab.used };
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
    const { memory, used } = slab;
    writeU24(memory, used, length);
    memory[used + 3] = type;
    memory[used + 4] = flags;
    writeU32(memory, used + 5, streamId);
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
    this.#slab?.memory.set(payload, at);
  }

  goaway(lastStreamId: number, code: ErrorNumber, debug: string): void {
    // For a person who reads a capture; nothing of the peer's is in it that could be longer.
    const text = code === ERROR.NO_ERROR ? '' : debug.slice(0, 100);
    const at = this.frame(FRAME.GOAWAY, 0, 0, 8 + text.length, 8 + text.length);
    this.#write32(at, lastStreamId);
    this.#write32(at + 4, code);
    this.#slab?.memory.write(text, at + 8, 'latin1');
  }

  settings(entries: readonly (readonly [id: number, value: number])[]): void {
    const length = entries.length * 6;
    let at = this.frame(FRAME.SETTINGS, 0, 0, length, length);
    const buffer = this.#slab?.memory;
    for (const [id, value] of entries) {
      buffer?.writeUInt16BE(id, at);
      buffer?.writeUInt32BE(value, at + 2);
      at += 6;
    }
  }

  /** Payload of a frame whose header was written. Copied. */
  append(chunk: Uint8Array): void {
    const slab = this.#room(chunk.length);
    slab.append(chunk);
    this.#bytes += chunk.length;
  }

  /** Everything, in order, nearly always one. The output is empty then. */
  take(): Slab[] {
    const taken = this.#slabs;
    this.#first = this.#poolFor(this.#bytes, 0);
    this.#slabs = [];
    this.#slab = undefined;
    this.#bytes = 0;
    return taken;
  }

  #write32(at: number, value: number): void {
    if (this.#slab !== undefined) {
      writeU32(this.#slab.memory, at, value);
    }
  }

  #room(bytes: number): Slab {
    const slab = this.#slab;
    if (slab === undefined) {
      return this.#lend(this.#poolFor(bytes, this.#first));
    }
    if (slab.room >= bytes) {
      return slab;
    }
    const at = this.#poolFor(slab.used + bytes, 0);
    if (slab.memory.length >= (POOLS[at]?.bytes ?? 0)) {
      return this.#lend(at);
    }
    // One that is still small goes into a larger one, so that what goes out stays one piece.
    this.#slabs.pop();
    const larger = this.#lend(at);
    larger.append(slab.content);
    slab.onWritten();
    return larger;
  }

  #lend(at: number): Slab {
    const pool = POOLS[at] ?? POOLS[LARGEST];
    if (pool === undefined) {
      throw new Error('there is no memory for output');
    }
    const slab = pool.pool.lend();
    this.#slabs.push(slab);
    this.#slab = slab;
    return slab;
  }

  #poolFor(bytes: number, from: number): number {
    let at = from;
    while (at < LARGEST && (POOLS[at]?.bytes ?? 0) < bytes) {
      at += 1;
    }
    return at;
  }
}
