/** The version in a first line (RFC 9112 §2.3): `HTTP/`, digit, dot, digit. Only 1.0 and 1.1 are spoken. */
import type { Refuse } from './scanner.ts';

export const VERSION_BYTES = 8;

/** `at`: its first byte; there are eight. Throws. */
export function readVersion(
  bytes: Uint8Array,
  at: number,
  refuse: Refuse,
  isPreface: () => boolean,
): '1.0' | '1.1' {
  const text = String.fromCharCode(...bytes.subarray(at, at + VERSION_BYTES));
  switch (text) {
    case 'HTTP/1.1':
      return '1.1';
    case 'HTTP/1.0':
      return '1.0';
    case 'HTTP/2.0':
      throw refuse(isPreface() ? 'H1_HTTP2_PREFACE' : 'H1_VERSION_UNSUPPORTED', text);
    default:
      throw refuse(
        /^HTTP\/\d\.\d$/.test(text) ? 'H1_VERSION_UNSUPPORTED' : 'H1_VERSION_INVALID',
        text,
      );
  }
}
