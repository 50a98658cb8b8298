/** The scan of a request's first line: method, target, version, one space between, CRLF (RFC 9112 §3). */
import { CR, HTAB, LF, METHOD_CHAR, SP, skipWhile, TARGET_CHAR, VISIBLE_CHAR } from './chars.ts';
import type { PartScanner, Refuse } from './scanner.ts';
import { readVersion, VERSION_BYTES } from './version.ts';

/** What the engine's own rule on methods takes. */
const METHOD_BYTES_MAX = 32;

const BEFORE = 0;
const BEFORE_LF = 1;
const METHOD = 2;
const TARGET = 3;
const VERSION = 4;
const LAST_LF = 5;
const DONE = 6;

export class RequestLineScanner implements PartScanner {
  readonly #refuse: Refuse;
  #state = BEFORE;
  #hasEmptyLine = false;
  #isHttp10 = false;
  /** Offsets. */
  methodAt = 0;
  methodEnd = 0;
  targetEnd = 0;

  constructor(refuse: Refuse) {
    this.#refuse = refuse;
  }

  get isDone(): boolean {
    return this.#state === DONE;
  }

  /** More than an empty line has come. */
  get hasBegun(): boolean {
    return this.#state !== BEFORE && this.#state !== BEFORE_LF;
  }

  get version(): '1.0' | '1.1' {
    return this.#isHttp10 ? '1.0' : '1.1';
  }

  reset(): void {
    this.#state = BEFORE;
    this.#hasEmptyLine = false;
  }

  step(bytes: Uint8Array, base: number, at: number, stop: number): number {
    switch (this.#state) {
      case BEFORE:
        return this.#before(bytes, base, at);
      case METHOD:
        return this.#method(bytes, base, at, stop);
      case TARGET:
        return this.#target(bytes, base, at, stop);
      case VERSION:
        return this.#version(bytes, base, at, stop);
      default:
        if (bytes[at] !== LF) {
          throw this.#refuse('H1_BARE_CR');
        }
        this.#state = this.#state === BEFORE_LF ? BEFORE : DONE;
        return at + 1;
    }
  }

  /** One empty line before a request is what some old clients send after a body (RFC 9112 §2.2). */
  #before(bytes: Uint8Array, base: number, at: number): number {
    if (bytes[at] === CR && !this.#hasEmptyLine) {
      this.#hasEmptyLine = true;
      this.#state = BEFORE_LF;
      return at + 1;
    }
    this.methodAt = at - base;
    this.#state = METHOD;
    return at;
  }

  #method(bytes: Uint8Array, base: number, at: number, stop: number): number {
    const end = skipWhile(bytes, at, stop, METHOD_CHAR);
    const length = end - base - this.methodAt;
    if (length > METHOD_BYTES_MAX) {
      throw this.#refuse('H1_METHOD_TOO_LONG');
    }
    if (end === stop) {
      return end;
    }
    if (bytes[end] !== SP || length === 0) {
      throw this.#refuse(bytes[end] === LF ? 'H1_BARE_LF' : 'H1_METHOD_INVALID');
    }
    this.methodEnd = end - base;
    this.#state = TARGET;
    return end + 1;
  }

  #target(bytes: Uint8Array, base: number, at: number, stop: number): number {
    const end = skipWhile(bytes, at, stop, TARGET_CHAR);
    if (end === stop) {
      return end;
    }
    const byte = bytes[end];
    const isEmpty = end - base === this.methodEnd + 1;
    if (byte === SP && !isEmpty) {
      this.targetEnd = end - base;
      this.#state = VERSION;
      return end + 1;
    }
    if (byte === CR && !isEmpty) {
      // `GET /path` is the whole of a request of HTTP/0.9.
      throw this.#refuse('H1_HTTP09');
    }
    if (byte === LF) {
      throw this.#refuse('H1_BARE_LF');
    }
    throw this.#refuse(isEmpty ? 'H1_START_LINE_INVALID' : 'H1_TARGET_INVALID');
  }

  #version(bytes: Uint8Array, base: number, at: number, stop: number): number {
    const end = skipWhile(bytes, at, stop, VISIBLE_CHAR);
    const length = end - base - this.targetEnd - 1;
    if (length > VERSION_BYTES) {
      throw this.#refuse('H1_VERSION_INVALID');
    }
    if (end === stop) {
      return end;
    }
    const byte = bytes[end];
    if (byte === SP || byte === HTAB) {
      throw this.#refuse('H1_START_LINE_INVALID');
    }
    if (byte !== CR || length !== VERSION_BYTES) {
      throw this.#refuse(byte === LF ? 'H1_BARE_LF' : 'H1_VERSION_INVALID');
    }
    const version = readVersion(bytes, end - VERSION_BYTES, this.#refuse, () =>
      isPreface(bytes, base + this.methodAt),
    );
    this.#isHttp10 = version === '1.0';
    this.#state = LAST_LF;
    return end + 1;
  }
}

/** RFC 9113 §3.4: a first line chosen so that an HTTP/1 server refuses it. */
function isPreface(bytes: Uint8Array, at: number): boolean {
  return String.fromCharCode(...bytes.subarray(at, at + 14)) === 'PRI * HTTP/2.0';
}
