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
  if (isHttp1(bytes, at)) {
    const minor = bytes[at + 7];
    if (minor === ONE || minor === ZERO) {
      return minor === ONE ? '1.1' : '1.0';
    }
  }
  const text = String.fromCharCode(...bytes.subarray(at, at + VERSION_BYTES));
  if (text === 'HTTP/2.0' && isPreface()) {
    throw refuse('H1_HTTP2_PREFACE');
  }
  const isVersion = /^HTTP\/\d\.\d$/.test(text);
  throw refuse(isVersion ? 'H1_VERSION_UNSUPPORTED' : 'H1_VERSION_INVALID', text);
}

const ZERO = 0x30;
const ONE = 0x31;

/** `HTTP/1.` */
function isHttp1(bytes: Uint8Array, at: number): boolean {
  return (
    bytes[at] === 0x48 &&
    bytes[at + 1] === 0x54 &&
    bytes[at + 2] === 0x54 &&
    bytes[at + 3] === 0x50 &&
    bytes[at + 4] === 0x2f &&
    bytes[at + 5] === ONE &&
    bytes[at + 6] === 0x2e
  );
}
