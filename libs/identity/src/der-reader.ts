/**
 * A cursor over DER (X.690 §10): for what is read at every handshake, and for lists of 100,000 entries.
 *
 * Rule: one encoding for each value. Lengths are definite and as short as they can be, and whoever reads a value says when it
 * is over; whatever stands behind that is an error. `der.ts` is for building, and for requests of the CA.
 */
import { IdentityError } from './errors.ts';

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  enumerated: 0x0a,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** One value. `bytes` has its header, `content` has not; both are views. */
export interface DerValue {
  readonly tag: number;
  readonly bytes: Uint8Array;
  readonly content: Uint8Array;
}

export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** The tag of what comes next, or undefined at the end. */
  get tag(): number | undefined {
    return this.#bytes[this.#at];
  }

  /** Throws IDENTITY_DER_INVALID when it is not whole, or of another tag than `tag`. */
  next(tag?: number): DerValue {
    const from = this.#at;
    const found = this.#byte();
    if ((found & 0x1f) === 0x1f) {
      throw invalid('a tag above 30');
    }
    if (tag !== undefined && found !== tag) {
      throw invalid(`tag ${found} where ${tag} is wanted`);
    }
    const length = this.#length();
    const start = this.#at;
    if (length > this.#bytes.length - start) {
      throw invalid('a value goes beyond its end');
    }
    this.#at = start + length;
    return {
      tag: found,
      bytes: this.#bytes.subarray(from, this.#at),
      content: this.#bytes.subarray(start, this.#at),
    };
  }

  /** As `next`, undefined when something else is there. */
  optional(tag: number): DerValue | undefined {
    return this.tag === tag ? this.next(tag) : undefined;
  }

  /** A cursor over the content of the next value. */
  inside(tag: number): DerReader {
    return new DerReader(this.next(tag).content);
  }

  /** Throws when something is left. */
  end(): void {
    if (!this.isAtEnd) {
      throw invalid('something stands behind the last value');
    }
  }

  #byte(): number {
    const byte = this.#bytes[this.#at];
    if (byte === undefined) {
      throw invalid('it ends too early');
    }
    this.#at += 1;
    return byte;
  }

  #length(): number {
    const first = this.#byte();
    if (first < 0x80) {
      return first;
    }
    const count = first & 0x7f;
    if (count === 0 || count > 4) {
      throw invalid('a length that is indefinite or too long');
    }
    let length = 0;
    for (let n = 0; n < count; n += 1) {
      length = length * 256 + this.#byte();
    }
    if (length < 0x80 || length < 256 ** (count - 1)) {
      throw invalid('a length that is not the shortest');
    }
    return length;
  }
}

/** BOOLEAN: 0 or 255 (X.690 §11.1). */
export function booleanOf({ content }: DerValue): boolean {
  const [value] = content;
  if (content.length !== 1 || (value !== 0 && value !== 0xff)) {
    throw invalid('a boolean that is neither 0 nor 255');
  }
  return value === 0xff;
}

/** Dotted text. Arcs up to 2^53. */
export function oidText({ content }: DerValue): string {
  const arcs: number[] = [];
  let arc = 0;
  let isFirst = true;
  for (const byte of content) {
    if ((isFirst && byte === 0x80) || arc > 2 ** 45) {
      throw invalid('an object identifier with a bad arc');
    }
    arc = arc * 128 + (byte & 0x7f);
    isFirst = byte < 0x80;
    if (isFirst) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [first] = arcs;
  if (first === undefined || !isFirst) {
    throw invalid('an object identifier that is cut');
  }
  const top = Math.min(2, Math.floor(first / 40));
  return [top, first - top * 40, ...arcs.slice(1)].join('.');
}

/** Hex without leading zeros, lower case: equal for equal numbers. Negative ones are refused. */
export function integerText({ content }: DerValue): string {
  const [first, second] = content;
  if (first === undefined || (first === 0 && second !== undefined && second < 0x80)) {
    throw invalid('an integer that is not the shortest');
  }
  if (first >= 0x80) {
    throw invalid('a negative integer');
  }
  const hex = Buffer.from(content.buffer, content.byteOffset, content.length).toString('hex');
  return hex.replace(/^0+(?=.)/, '');
}

const UTC = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;
const GENERALIZED = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/;

/** UTCTime or GeneralizedTime in the one form of RFC 5280 §4.1.2.5, as ms. */
export function timeOf({ tag, content }: DerValue): number {
  const text = Buffer.from(content).toString('latin1');
  const isUtc = tag === TAG.utcTime;
  if (!isUtc && tag !== TAG.generalizedTime) {
    throw invalid('a time is wanted');
  }
  const found = (isUtc ? UTC : GENERALIZED).exec(text);
  if (found === null) {
    throw invalid('a time of another form');
  }
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = found
    .slice(1)
    .map(Number);
  const century = isUtc ? (year < 50 ? 2000 : 1900) : 0;
  const ms = Date.UTC(century + year, month - 1, day, hour, minute, second);
  const digits = new Date(ms).toISOString().replaceAll(/[-:T]/g, '').slice(0, 14);
  if (digits !== `${isUtc ? String(century / 100) : ''}${text.slice(0, -1)}`) {
    throw invalid('a date that there is not');
  }
  return ms;
}

function invalid(why: string): IdentityError {
  return new IdentityError('IDENTITY_DER_INVALID', `DER refused: ${why}`, { side: 'downstream' });
}
