/**
 * The scan of header or trailer lines up to the empty one (RFC 9112 §5).
 *
 * Rule: a line is `name: value` CRLF. None continues another (§5.2), no white space stands before the colon (§5.1), no
 * control byte but HTAB in a value (RFC 9110 §5.5), and a CR or an LF alone ends nothing.
 */
import { COLON, CR, HTAB, LF, SP, skipWhile, TCHAR, VALUE_CHAR } from './chars.ts';
import type { PartScanner, Refuse } from './scanner.ts';

const LINE = 0;
const NAME = 1;
const SPACE = 2;
const VALUE = 3;
const VALUE_LF = 4;
const LAST_LF = 5;
const DONE = 6;

export interface FieldLinesOptions {
  readonly refuse: Refuse;
  readonly fieldsMax: number;
  readonly tooMany: 'H1_FIELDS_TOO_MANY' | 'H1_TRAILERS_TOO_MANY';
}

export class FieldLinesScanner implements PartScanner {
  readonly #options: FieldLinesOptions;
  readonly #refuse: Refuse;
  /** Four offsets a field: name, its end, value, its end. Only the first `4 * count` mean something. */
  readonly marks: number[] = [];
  count = 0;
  #state = LINE;

  constructor(options: FieldLinesOptions) {
    this.#options = options;
    this.#refuse = options.refuse;
  }

  get isDone(): boolean {
    return this.#state === DONE;
  }

  reset(): void {
    this.count = 0;
    this.#state = LINE;
  }

  step(bytes: Uint8Array, base: number, at: number, stop: number): number {
    switch (this.#state) {
      case LINE:
        return this.#line(bytes, base, at);
      case NAME:
        return this.#name(bytes, base, at, stop);
      case SPACE:
        return this.#space(bytes, base, at, stop);
      case VALUE:
        return this.#value(bytes, base, at, stop);
      default:
        if (bytes[at] !== LF) {
          throw this.#refuse('H1_BARE_CR');
        }
        this.#state = this.#state === VALUE_LF ? LINE : DONE;
        return at + 1;
    }
  }

  #line(bytes: Uint8Array, base: number, at: number): number {
    const byte = bytes[at];
    if (byte === CR) {
      this.#state = LAST_LF;
      return at + 1;
    }
    if (byte === SP || byte === HTAB) {
      throw this.#refuse('H1_OBS_FOLD');
    }
    if (byte === LF) {
      throw this.#refuse('H1_BARE_LF');
    }
    if (byte === COLON) {
      throw this.#refuse('H1_FIELD_NAME_EMPTY');
    }
    if (this.count === this.#options.fieldsMax) {
      throw this.#refuse(this.#options.tooMany);
    }
    this.marks[this.count * 4] = at - base;
    this.#state = NAME;
    return at;
  }

  #name(bytes: Uint8Array, base: number, at: number, stop: number): number {
    const end = skipWhile(bytes, at, stop, TCHAR);
    if (end === stop) {
      return end;
    }
    const byte = bytes[end];
    if (byte === COLON) {
      this.marks[this.count * 4 + 1] = end - base;
      this.#state = SPACE;
      return end + 1;
    }
    if (byte === SP || byte === HTAB) {
      throw this.#refuse('H1_FIELD_SPACE_BEFORE_COLON');
    }
    if (byte === LF) {
      throw this.#refuse('H1_BARE_LF');
    }
    throw this.#refuse(byte === CR ? 'H1_FIELD_NO_COLON' : 'H1_FIELD_NAME_INVALID');
  }

  #space(bytes: Uint8Array, base: number, at: number, stop: number): number {
    let end = at;
    while (end < stop && (bytes[end] === SP || bytes[end] === HTAB)) {
      end += 1;
    }
    if (end < stop) {
      this.marks[this.count * 4 + 2] = end - base;
      this.#state = VALUE;
    }
    return end;
  }

  #value(bytes: Uint8Array, base: number, at: number, stop: number): number {
    const end = skipWhile(bytes, at, stop, VALUE_CHAR);
    if (end === stop) {
      return end;
    }
    if (bytes[end] !== CR) {
      throw this.#refuse(bytes[end] === LF ? 'H1_BARE_LF' : 'H1_FIELD_VALUE_INVALID');
    }
    const begin = base + (this.marks[this.count * 4 + 2] ?? 0);
    let last = end;
    while (last > begin && (bytes[last - 1] === SP || bytes[last - 1] === HTAB)) {
      last -= 1;
    }
    this.marks[this.count * 4 + 3] = last - base;
    this.count += 1;
    this.#state = VALUE_LF;
    return end + 1;
  }
}
