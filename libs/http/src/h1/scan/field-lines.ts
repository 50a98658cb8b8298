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
      case LINE: {
        const next = this.#wholeLines(bytes, base, at, stop);
        return next === stop ? next : this.#line(bytes, base, next);
      }
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

  /**
   * Most lines are whole and in order: those are taken here, without a state each. Returns the begin of the first line that
   * is not, which the states then judge from its first byte on.
   */
  #wholeLines(bytes: Uint8Array, base: number, begin: number, stop: number): number {
    const { marks } = this;
    const { fieldsMax } = this.#options;
    let { count } = this;
    let at = begin;
    while (count < fieldsMax) {
      const nameEnd = skipWhile(bytes, at, stop, TCHAR);
      if (nameEnd === at || nameEnd >= stop || bytes[nameEnd] !== COLON) {
        break;
      }
      const valueAt = skipSpace(bytes, nameEnd + 1, stop);
      const end = skipWhile(bytes, valueAt, stop, VALUE_CHAR);
      if (end + 1 >= stop || bytes[end] !== CR || bytes[end + 1] !== LF) {
        break;
      }
      const mark = count * 4;
      marks[mark] = at - base;
      marks[mark + 1] = nameEnd - base;
      marks[mark + 2] = valueAt - base;
      marks[mark + 3] = trimEnd(bytes, valueAt, end) - base;
      count += 1;
      at = end + 2;
    }
    this.count = count;
    return at;
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
    const end = skipSpace(bytes, at, stop);
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
    this.marks[this.count * 4 + 3] = trimEnd(bytes, begin, end) - base;
    this.count += 1;
    this.#state = VALUE_LF;
    return end + 1;
  }
}

function skipSpace(bytes: Uint8Array, at: number, stop: number): number {
  let end = at;
  while (end < stop && (bytes[end] === SP || bytes[end] === HTAB)) {
    end += 1;
  }
  return end;
}

function trimEnd(bytes: Uint8Array, begin: number, end: number): number {
  let last = end;
  while (last > begin && (bytes[last - 1] === SP || bytes[last - 1] === HTAB)) {
    last -= 1;
  }
  return last;
}
