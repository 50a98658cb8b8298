/** The scan of a response's first line: version, status, reason, CRLF (RFC 9112 §4). */
import { CR, LF, SP, skipWhile, VALUE_CHAR, VISIBLE_CHAR } from './chars.ts';
import type { PartScanner, Refuse } from './scanner.ts';
import { readVersion, VERSION_BYTES } from './version.ts';

const VERSION = 0;
const STATUS = 1;
const AFTER_STATUS = 2;
const REASON = 3;
const LAST_LF = 4;
const DONE = 5;

export class StatusLineScanner implements PartScanner {
  readonly #refuse: Refuse;
  #state = VERSION;
  #isHttp10 = false;
  #digits = 0;
  status = 0;

  constructor(refuse: Refuse) {
    this.#refuse = refuse;
  }

  get isDone(): boolean {
    return this.#state === DONE;
  }

  get version(): '1.0' | '1.1' {
    return this.#isHttp10 ? '1.0' : '1.1';
  }

  reset(): void {
    this.#state = VERSION;
    this.#digits = 0;
    this.status = 0;
  }

  step(bytes: Uint8Array, base: number, at: number, stop: number): number {
    switch (this.#state) {
      case VERSION:
        return this.#version(bytes, base, at, stop);
      case STATUS:
        return this.#digit(bytes, at);
      case AFTER_STATUS:
        return this.#afterStatus(bytes, at);
      case REASON:
        return this.#reason(bytes, at, stop);
      default:
        if (bytes[at] !== LF) {
          throw this.#refuse('H1_BARE_CR');
        }
        this.#state = DONE;
        return at + 1;
    }
  }

  #version(bytes: Uint8Array, base: number, at: number, stop: number): number {
    const end = skipWhile(bytes, at, stop, VISIBLE_CHAR);
    if (end - base > VERSION_BYTES) {
      throw this.#refuse('H1_VERSION_INVALID');
    }
    if (end === stop) {
      return end;
    }
    if (bytes[end] !== SP || end - base !== VERSION_BYTES) {
      throw this.#refuse(bytes[end] === LF ? 'H1_BARE_LF' : 'H1_VERSION_INVALID');
    }
    this.#isHttp10 = readVersion(bytes, base, this.#refuse, () => false) === '1.0';
    this.#state = STATUS;
    return end + 1;
  }

  /** RFC 9110 §15: 100 to 599. */
  #digit(bytes: Uint8Array, at: number): number {
    const digit = (bytes[at] ?? 0) - 0x30;
    const isFirst = this.#digits === 0;
    if (digit < (isFirst ? 1 : 0) || digit > (isFirst ? 5 : 9)) {
      throw this.#refuse('H1_STATUS_INVALID');
    }
    this.status = this.status * 10 + digit;
    this.#digits += 1;
    if (this.#digits === 3) {
      this.#state = AFTER_STATUS;
    }
    return at + 1;
  }

  /** Many servers leave out the space before a reason that is not there; RFC 9112 §4 wants it. */
  #afterStatus(bytes: Uint8Array, at: number): number {
    const byte = bytes[at];
    if (byte !== SP && byte !== CR) {
      throw this.#refuse(byte === LF ? 'H1_BARE_LF' : 'H1_STATUS_INVALID');
    }
    this.#state = byte === CR ? LAST_LF : REASON;
    return at + 1;
  }

  /** Never passed on: whoever reads it decides nothing by it. */
  #reason(bytes: Uint8Array, at: number, stop: number): number {
    const end = skipWhile(bytes, at, stop, VALUE_CHAR);
    if (end === stop) {
      return end;
    }
    if (bytes[end] !== CR) {
      throw this.#refuse(bytes[end] === LF ? 'H1_BARE_LF' : 'H1_START_LINE_INVALID');
    }
    this.#state = LAST_LF;
    return end + 1;
  }
}
