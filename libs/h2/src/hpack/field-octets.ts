/**
 * Which bytes names and values of fields may have.
 *
 * RFC 9113 §8.2.1 sets the least; this is RFC 9110 §5.1 and §5.5, because what comes in here goes out to servers
 * that may read anything else as the end of a line: names are tokens in lower case (a colon only in front), values
 * have no control characters but the tab, and no blank at either end.
 */

const NAME = new Uint8Array(256);
const VALUE = new Uint8Array(256);

for (const char of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") {
  NAME[char.charCodeAt(0)] = 1;
}
for (let octet = 0x20; octet < 0x100; octet += 1) {
  VALUE[octet] = octet === 0x7f ? 0 : 1;
}
VALUE[0x09] = 1;

const COLON = 0x3a;

export function isFieldName(bytes: Uint8Array, from: number, to: number): boolean {
  let at = bytes[from] === COLON ? from + 1 : from;
  if (at >= to) {
    return false;
  }
  for (; at < to; at += 1) {
    if (NAME[bytes[at] ?? 0] !== 1) {
      return false;
    }
  }
  return true;
}

const isBlank = (octet: number | undefined): boolean => octet === 0x20 || octet === 0x09;

export function isFieldValue(bytes: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at += 1) {
    if (VALUE[bytes[at] ?? 0] !== 1) {
      return false;
    }
  }
  return from === to || !(isBlank(bytes[from]) || isBlank(bytes[to - 1]));
}

/** The same of what is to be sent. Characters beyond latin1 have no byte. */
export function isNameText(name: string): boolean {
  let index = name.charCodeAt(0) === COLON ? 1 : 0;
  if (index >= name.length) {
    return false;
  }
  for (; index < name.length; index += 1) {
    const code = name.charCodeAt(index);
    if (code > 0xff || NAME[code] !== 1) {
      return false;
    }
  }
  return true;
}

export function isValueText(value: string): boolean {
  const { length } = value;
  for (let index = 0; index < length; index += 1) {
    const code = value.charCodeAt(index);
    if (code > 0xff || VALUE[code] !== 1) {
      return false;
    }
  }
  return length === 0 || !(isBlank(value.charCodeAt(0)) || isBlank(value.charCodeAt(length - 1)));
}
