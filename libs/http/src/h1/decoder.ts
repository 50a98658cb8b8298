/**
 * What both decoders share: bytes in by `push`, events out by `read`, and one end.
 *
 * Rule: after a refusal nothing is read any more; every later call gives the same error. Bytes are read only when somebody
 * asks for the next event, so whoever does not ask holds the peer back (and pauses the transport).
 */
import { BodyReader } from './body/body-reader.ts';
import { H1Error, type H1ErrorCode, type H1Refusals } from './errors.ts';
import { H1_LIMITS, type H1Limits } from './limits.ts';
import type { FieldLines } from './message.ts';
import { ByteQueue } from './scan/byte-queue.ts';
import { FieldLinesScanner } from './scan/field-lines.ts';
import type { PartScanner, Refuse } from './scan/scanner.ts';
import { Section } from './scan/section.ts';

export interface H1DecoderOptions {
  readonly limits?: Partial<H1Limits>;
  /** Counts by code. */
  readonly refusals?: H1Refusals;
}

export abstract class MessageDecoder<
  Event extends { readonly kind: string } | { readonly kind: 'end'; readonly trailers: FieldLines },
> {
  protected readonly limits: H1Limits;
  protected readonly queue: ByteQueue;
  protected readonly body: BodyReader;
  protected readonly fields: FieldLinesScanner;
  protected readonly refuse: Refuse;
  /** Of heads. */
  protected abstract readonly section: Section;
  protected hasEnded = false;
  readonly #refusals: H1Refusals | undefined;
  #error: H1Error | undefined;
  #isClosed = false;

  constructor(side: 'downstream' | 'upstream', options: H1DecoderOptions) {
    this.limits = options.limits === undefined ? H1_LIMITS : { ...H1_LIMITS, ...options.limits };
    this.#refusals = options.refusals;
    this.refuse = (code: H1ErrorCode, detail?: string) => new H1Error(code, side, detail);
    this.queue = new ByteQueue(this.limits.heldBytesMax);
    this.body = new BodyReader(this.limits, this.refuse);
    this.fields = new FieldLinesScanner({
      refuse: this.refuse,
      fieldsMax: this.limits.headersMax,
      tooMany: 'H1_FIELDS_TOO_MANY',
    });
  }

  /** Bytes given and not read: pause the transport while there are any that nobody is about to read. */
  get heldBytes(): number {
    return this.queue.size;
  }

  get error(): H1Error | undefined {
    return this.#error;
  }

  /** `end` was called. */
  get isInputOver(): boolean {
    return this.hasEnded;
  }

  /** Gives bytes; they are kept, not copied, until they are read. Throws H1_HELD_TOO_MUCH. */
  push(chunk: Uint8Array): void {
    const isTaken = this.#error === undefined && !this.hasEnded && !this.#isClosed;
    if (isTaken && !this.queue.push(chunk)) {
      throw this.fail(this.refuse('H1_HELD_TOO_MUCH'));
    }
  }

  /** The peer sends no more. Whether that was an end or a break says `read`. */
  end(): void {
    this.hasEnded = true;
  }

  /** The next event; undefined: more bytes are needed, somebody has to decide what comes next, or it is closed. Throws an H1Error. */
  read(): Event | undefined {
    if (this.#isClosed) {
      return undefined;
    }
    if (this.#error !== undefined) {
      throw this.#error;
    }
    try {
      return this.step();
    } catch (error) {
      throw error instanceof H1Error ? this.fail(error) : error;
    }
  }

  /** What lies behind the message, when the connection becomes something else. Nothing is decoded after it. */
  takeRest(): Uint8Array[] {
    this.detach();
    return this.queue.takeAll();
  }

  /** Nothing is taken or read any more, and memory that was lent goes back. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#letGo();
  }

  protected abstract step(): Event | undefined;

  /** The bytes behind are no messages. */
  protected abstract detach(): void;

  /** The section of a head. */
  protected headSection(first: PartScanner, firstTooLarge: H1ErrorCode): Section {
    return new Section({
      refuse: this.refuse,
      first,
      firstBytesMax: this.limits.startLineBytesMax,
      firstTooLarge,
      fields: this.fields,
      fieldBytesMax: this.limits.headerBytesMax,
      fieldsTooLarge: 'H1_FIELDS_TOO_LARGE',
    });
  }

  protected fail(error: H1Error): H1Error {
    if (this.#error === undefined) {
      this.#error = error;
      this.#refusals?.count(error.code);
      this.#letGo();
    }
    return error;
  }

  #letGo(): void {
    this.queue.clear();
    this.section.letGo();
    this.body.letGo();
  }
}
