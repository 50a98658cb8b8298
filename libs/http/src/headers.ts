/**
 * Header fields of one message: lower-case names, order and repetition kept, as one flat list that is copied when it is changed.
 *
 * Names and values were checked by the parser that read them; what we add ourselves comes from validated
 * configuration, and a value with a control character is never written (`routing` cuts them).
 */
import { isProxyHeader } from '@ambit/api';
import type { MutableHeaders } from '@ambit/routing';
import { type FieldLines, NO_FIELDS } from './h1/message.ts';
import { lower } from './h1/parse/field-names.ts';

const LETTER_X = 0x78;

function isExternal(name: string): boolean {
  // Nearly all names begin with another letter.
  return name.charCodeAt(0) !== LETTER_X || !isProxyHeader(name);
}

export class HeaderList implements MutableHeaders {
  /** Name, value, … */
  #lines: readonly string[] = NO_FIELDS;
  /** Nobody else has `#lines`. */
  #isOwn = false;
  /** Names that came as never indexed, and are sent on so (RFC 7541 §7.1.3). Kept by `clone`. */
  neverIndexed: readonly string[] | undefined;

  /** Shares the list until something is changed. Names are in lower case already. */
  static of(lines: FieldLines, neverIndexed?: readonly string[]): HeaderList {
    const list = new HeaderList();
    list.#lines = lines;
    list.neverIndexed = neverIndexed;
    return list;
  }

  /** The flat list as it is now. It never changes: a later change of these headers makes another. */
  get lines(): FieldLines {
    this.#isOwn = false;
    return this.#lines;
  }

  get size(): number {
    return this.#lines.length / 2;
  }

  /** Names, values and their separators, as a limit counts them. */
  get bytes(): number {
    let bytes = this.#lines.length * 2;
    for (const text of this.#lines) {
      bytes += text.length;
    }
    return bytes;
  }

  has(name: string): boolean {
    return this.#indexOf(name) !== -1;
  }

  /** `name` in lower case. Several values are joined by `,`, those of `cookie` by `; `. */
  get(name: string): string | undefined {
    const lines = this.#lines;
    let joined: string | undefined;
    for (let index = 0; index < lines.length; index += 2) {
      if (lines[index] === name) {
        const value = lines[index + 1] ?? '';
        joined =
          joined === undefined ? value : `${joined}${name === 'cookie' ? '; ' : ','}${value}`;
      }
    }
    return joined;
  }

  /** The values of a field that is there more than once. Undefined: it is not. Pieces of cookies are one (RFC 9113 §8.2.3). */
  repeated(name: string): readonly string[] | undefined {
    if (name === 'cookie' || this.count(name) < 2) {
      return undefined;
    }
    const lines = this.#lines;
    return lines.filter((_, index) => index % 2 === 1 && lines[index - 1] === name);
  }

  count(name: string): number {
    let count = 0;
    for (let index = 0; index < this.#lines.length; index += 2) {
      count += this.#lines[index] === name ? 1 : 0;
    }
    return count;
  }

  add(name: string, value: string): void {
    this.#own().push(lower(name), value);
  }

  set(name: string, value: string): void {
    const wanted = lower(name);
    if (this.#indexOf(wanted) !== -1) {
      this.remove(wanted);
    }
    this.#own().push(wanted, value);
  }

  remove(name: string): void {
    const wanted = lower(name);
    if (this.#indexOf(wanted) !== -1) {
      this.filter((known) => known !== wanted);
    }
  }

  /** Keeps the fields whose name passes. */
  filter(keep: (name: string) => boolean): void {
    const lines = this.#lines;
    let kept: string[] | undefined;
    for (let index = 0; index < lines.length; index += 2) {
      const name = lines[index] ?? '';
      if (!keep(name)) {
        kept ??= lines.slice(0, index);
      } else {
        kept?.push(name, lines[index + 1] ?? '');
      }
    }
    if (kept !== undefined) {
      this.#lines = kept;
      this.#isOwn = true;
    }
  }

  /** Takes out what only proxies write, for proxies; whatever a client sends under these names is forged. */
  removeInternal(): void {
    this.filter(isExternal);
  }

  /** Makes one field of the pieces of a cookie (RFC 9113 §8.2.3), so that everybody reads the same one. */
  joinCookies(): void {
    if (this.count('cookie') > 1) {
      const joined = this.get('cookie') ?? '';
      // Behind an empty last piece: white space at the end is not part of a value.
      this.set('cookie', joined.endsWith(' ') ? joined.slice(0, -1) : joined);
    }
  }

  /** Costs nothing until one of the two is changed. */
  clone(): HeaderList {
    return HeaderList.of(this.lines, this.neverIndexed);
  }

  *[Symbol.iterator](): Generator<[string, string]> {
    const lines = this.#lines;
    for (let index = 0; index < lines.length; index += 2) {
      yield [lines[index] ?? '', lines[index + 1] ?? ''];
    }
  }

  /** Of the field's name; -1: there is none. */
  #indexOf(name: string): number {
    const lines = this.#lines;
    for (let index = 0; index < lines.length; index += 2) {
      if (lines[index] === name) {
        return index;
      }
    }
    return -1;
  }

  #own(): string[] {
    if (!this.#isOwn) {
      this.#lines = this.#lines.slice();
      this.#isOwn = true;
    }
    // Made here, and given away to nobody since.
    return this.#lines as string[];
  }
}
