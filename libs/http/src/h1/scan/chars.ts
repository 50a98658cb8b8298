/** Which bytes may stand where in HTTP/1, as one table of bits (RFC 9110 §5.5, §5.6.2; RFC 9112 §3, §4). */

/** `tchar`: names of fields. */
export const TCHAR = 1;
/** `tchar` without small letters: a method has one spelling. */
export const METHOD_CHAR = 2;
/** Visible ASCII without `#`: request targets. */
export const TARGET_CHAR = 4;
/** Field values, reason phrases, chunk extensions: HTAB, SP, visible ASCII, obs-text. */
export const VALUE_CHAR = 8;
/** Visible ASCII. */
export const VISIBLE_CHAR = 16;

export const CR = 0x0d;
export const LF = 0x0a;
export const SP = 0x20;
export const HTAB = 0x09;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;

export const CHARS: Uint8Array = makeTable();

/** The value of a hexadecimal digit; 255 for every other byte. */
export const HEX_VALUES: Uint8Array = new Uint8Array(256).map((_, byte) => {
  const value = Number.parseInt(String.fromCharCode(byte), 16);
  return Number.isNaN(value) ? 255 : value;
});

function makeTable(): Uint8Array {
  const table = new Uint8Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    const text = String.fromCharCode(byte);
    const isVisible = byte > 0x20 && byte < 0x7f;
    let bits = 0;
    if (/^[!#$%&'*+.^_`|~0-9A-Za-z-]$/.test(text)) {
      bits |= TCHAR | (/[a-z]/.test(text) ? 0 : METHOD_CHAR);
    }
    if (isVisible) {
      bits |= VISIBLE_CHAR | (text === '#' ? 0 : TARGET_CHAR);
    }
    if (isVisible || byte === HTAB || byte === SP || byte >= 0x80) {
      bits |= VALUE_CHAR;
    }
    table[byte] = bits;
  }
  return table;
}

/** The first position from `at` on whose byte lacks `bit`, or `stop`. */
export function skipWhile(bytes: Uint8Array, at: number, stop: number, bit: number): number {
  let end = at;
  while (end < stop && ((CHARS[bytes[end] ?? 0] ?? 0) & bit) !== 0) {
    end += 1;
  }
  return end;
}
