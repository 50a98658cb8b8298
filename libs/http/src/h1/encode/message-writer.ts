/**
 * Messages into bytes with as few writes as possible: a head and a small body are one piece, small parts of a chunked body are
 * one chunk.
 *
 * Rule: what it gives is exactly one message after another. A body that is longer or shorter than its head said is
 * refused, and then the connection must be cut: nothing that could be written would make it whole.
 */
import { isForbiddenTrailer } from '../body/trailers.ts';
import { H1Error } from '../errors.ts';
import { type BodyFraming, type FieldLines, NO_FIELDS } from '../message.ts';
import { encodeFieldLines } from './head.ts';

/** A part as large as this is not copied to stand behind a head, and does not wait for others. */
const GATHER_BYTES_MAX = 16 * 1024;

type State = 'idle' | 'body' | 'broken';

export class MessageWriter {
  #state: State = 'idle';
  #kind: BodyFraming['kind'] = 'none';
  #left = 0;
  /** To be written: text, then parts, which make one chunk in a chunked body, then text. */
  #head = '';
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #tail = '';
  /** Of messages before this one. */
  #sealed: Uint8Array[] = [];

  /** No message is half written. */
  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  /** Bytes that wait for `take`. */
  get pendingBytes(): number {
    return this.#head.length + this.#partBytes + this.#tail.length;
  }

  /** There is enough for a write of its own. */
  get isFull(): boolean {
    return this.#partBytes >= GATHER_BYTES_MAX;
  }

  /** `text`: an encoded head; `body`: what it says of the body. */
  begin(text: string, body: BodyFraming): void {
    this.interim(text);
    this.#kind = body.kind;
    this.#left = body.kind === 'length' ? body.bytes : 0;
    this.#state = 'body';
  }

  /** An interim response: a head alone, before the message. */
  interim(text: string): void {
    this.#expect(this.#state === 'idle', 'a message inside another');
    if (this.#partBytes > 0) {
      this.#sealed = this.take();
    }
    this.#head += this.#tail + text;
    this.#tail = '';
  }

  /** Kept, not copied, until `take`. Throws H1_UNWRITABLE when the body is longer than the head said. */
  data(bytes: Uint8Array): void {
    this.#expect(this.#state === 'body', 'data without a head');
    if (bytes.length === 0) {
      return;
    }
    if (this.#kind === 'length' || this.#kind === 'none') {
      this.#expect(bytes.length <= this.#left, 'more body than the head says');
      this.#left -= bytes.length;
    }
    this.#parts.push(bytes);
    this.#partBytes += bytes.length;
  }

  /** The message is whole. Trailers of a body that is not chunked are left out. Throws H1_UNWRITABLE. */
  end(trailers: FieldLines = NO_FIELDS): void {
    this.#expect(this.#state === 'body', 'an end without a head');
    this.#expect(this.#left === 0, 'less body than the head says');
    this.#state = 'idle';
    if (this.#kind === 'chunked') {
      this.#tail = `0\r\n${encodeTrailers(trailers)}\r\n`;
    }
  }

  /** Everything so far, in order, in as few pieces as make sense; each is to be written. */
  take(): Uint8Array[] {
    const pieces = this.#sealed;
    const isLoose = this.#kind !== 'chunked' && this.#tail === '';
    if (isLoose && (this.#partBytes >= GATHER_BYTES_MAX || this.#head === '')) {
      // Large parts, or one alone, as they are.
      if (this.#head !== '') {
        pieces.push(Buffer.from(this.#head, 'latin1'));
      }
      pieces.push(...this.#parts);
    } else if (this.#head !== '' || this.#tail !== '' || this.#partBytes > 0) {
      pieces.push(this.#gather());
    }
    this.#sealed = [];
    this.#head = '';
    this.#parts = [];
    this.#partBytes = 0;
    this.#tail = '';
    return pieces;
  }

  #gather(): Buffer {
    const isChunk = this.#kind === 'chunked' && this.#partBytes > 0;
    const before = isChunk ? `${this.#head}${this.#partBytes.toString(16)}\r\n` : this.#head;
    const after = isChunk ? `\r\n${this.#tail}` : this.#tail;
    const size = before.length + this.#partBytes + after.length;
    const all = Buffer.allocUnsafe(size);
    let at = all.write(before, 0, 'latin1');
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    all.write(after, at, 'latin1');
    return all;
  }

  #expect(isAsExpected: boolean, what: string): void {
    if (!isAsExpected) {
      this.#state = 'broken';
      throw new H1Error('H1_UNWRITABLE', 'local', what);
    }
  }
}

/** What a recipient would refuse, or read as a part of the head, is left out. */
function encodeTrailers(trailers: FieldLines): string {
  if (trailers.length === 0) {
    return '';
  }
  const kept: string[] = [];
  for (let index = 0; index < trailers.length; index += 2) {
    const name = trailers[index] ?? '';
    if (!isForbiddenTrailer(name)) {
      kept.push(name, trailers[index + 1] ?? '');
    }
  }
  return encodeFieldLines(kept);
}
