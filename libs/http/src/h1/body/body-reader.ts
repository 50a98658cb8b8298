/** The body of one message after another, by the framing of each (RFC 9112 §6.3). */
import type { H1Error } from '../errors.ts';
import type { H1Limits } from '../limits.ts';
import { type BodyFraming, type FieldLines, NO_FIELDS } from '../message.ts';
import type { ByteQueue } from '../scan/byte-queue.ts';
import type { Refuse } from '../scan/scanner.ts';
import { ChunkedDecoder } from './chunked.ts';
import { TrailerReader } from './trailers.ts';

export type BodyEvent =
  | { readonly kind: 'data'; readonly bytes: Uint8Array }
  | { readonly kind: 'end'; readonly trailers: FieldLines };

const END: BodyEvent = Object.freeze({ kind: 'end', trailers: NO_FIELDS });

export class BodyReader {
  readonly #limits: H1Limits;
  readonly #refuse: Refuse;
  #kind: BodyFraming['kind'] = 'none';
  #left = 0;
  #bytes = 0;
  #failure: H1Error | undefined;
  /** Made for the first chunked body; most connections never have one. */
  #chunked: ChunkedDecoder | undefined;
  #trailers: TrailerReader | undefined;

  constructor(limits: H1Limits, refuse: Refuse) {
    this.#limits = limits;
    this.#refuse = refuse;
  }

  /** Throws when the length that is declared is beyond the bound: before 100, before any of the body. */
  begin(framing: BodyFraming): void {
    this.#kind = framing.kind;
    this.#bytes = 0;
    if (framing.kind === 'length') {
      this.#left = framing.bytes;
      if (framing.bytes > this.#limits.bodyBytesMax) {
        throw this.#refuse('H1_BODY_TOO_LARGE', String(framing.bytes));
      }
    } else if (framing.kind === 'chunked') {
      this.#chunked ??= new ChunkedDecoder(this.#limits, this.#refuse);
      this.#chunked.reset();
    }
  }

  /** Undefined: it wants more. After `end` call `begin`. Throws. */
  read(queue: ByteQueue): BodyEvent | undefined {
    if (this.#failure !== undefined) {
      throw this.#failure;
    }
    switch (this.#kind) {
      case 'none':
        return END;
      case 'length':
        return this.#left === 0 ? END : this.#readLength(queue);
      case 'chunked':
        return this.#readChunked(queue);
      case 'until-close':
        return this.#take(queue, queue.current.length - queue.at);
    }
  }

  /** The input is over. The last event, or a refusal. */
  end(): BodyEvent {
    if (this.#kind === 'until-close' || this.#kind === 'none') {
      return END;
    }
    throw this.#refuse('H1_TRUNCATED');
  }

  /** Nothing of it is read any more. */
  letGo(): void {
    this.#trailers?.letGo();
  }

  #readLength(queue: ByteQueue): BodyEvent | undefined {
    const count = Math.min(this.#left, queue.current.length - queue.at);
    this.#left -= count;
    return this.#take(queue, count);
  }

  #take(queue: ByteQueue, count: number): BodyEvent | undefined {
    if (count === 0) {
      return undefined;
    }
    const { current, at } = queue;
    queue.skip(count);
    const isAll = at === 0 && count === current.length;
    return this.#data(isAll ? current : current.subarray(at, at + count));
  }

  #readChunked(queue: ByteQueue): BodyEvent | undefined {
    const chunked = this.#chunked;
    if (chunked === undefined) {
      return undefined;
    }
    while (!chunked.isLast && queue.size > 0) {
      const bytes = chunked.read(queue);
      if (bytes.length > 0) {
        return this.#data(bytes);
      }
    }
    if (!chunked.isLast) {
      return undefined;
    }
    this.#trailers ??= new TrailerReader(this.#limits, this.#refuse);
    const trailers = this.#trailers.read(queue);
    if (trailers === undefined) {
      return undefined;
    }
    return trailers.length === 0 ? END : { kind: 'end', trailers };
  }

  /** What the bound allows is given before what is beyond it is refused, however the bytes came. */
  #data(bytes: Uint8Array): BodyEvent {
    const room = this.#limits.bodyBytesMax - this.#bytes;
    this.#bytes += bytes.length;
    if (bytes.length <= room) {
      return { kind: 'data', bytes };
    }
    this.#failure = this.#refuse('H1_BODY_TOO_LARGE');
    if (room === 0) {
      throw this.#failure;
    }
    return { kind: 'data', bytes: bytes.subarray(0, room) };
  }
}
