/**
 * The fields of a scanned section, and those among them that say how the message and the hop work.
 *
 * Rule: what frames a message is looked for here, once, in all fields. Nothing later reads a field to decide framing.
 */
import type { FieldLinesScanner } from '../scan/field-lines.ts';
import type { Refuse } from '../scan/scanner.ts';
import { lowerName } from './field-names.ts';

export interface ReadFields {
  /** Name, value, …; all but Host where it was asked to be apart. */
  readonly lines: string[];
  hosts: number;
  host: string;
  contentLengths: number;
  contentLength: string;
  transferEncodings: number;
  transferEncoding: string;
  /** Values of several lines are joined by commas. Undefined: no such field. */
  connection: string | undefined;
  upgrade: string | undefined;
  expect: string | undefined;
  te: string | undefined;
}

/** `text`: the section, in which the scanner's offsets count. Throws. */
export function readFields(
  text: string,
  scanner: FieldLinesScanner,
  options: { readonly hostApart: boolean; readonly refuse: Refuse },
): ReadFields {
  const { marks, count } = scanner;
  const read: ReadFields = {
    lines: [],
    hosts: 0,
    host: '',
    contentLengths: 0,
    contentLength: '',
    transferEncodings: 0,
    transferEncoding: '',
    connection: undefined,
    upgrade: undefined,
    expect: undefined,
    te: undefined,
  };
  for (let index = 0; index < count * 4; index += 4) {
    const name = lowerName(text, marks[index] ?? 0, marks[index + 1] ?? 0);
    const value = text.slice(marks[index + 2], marks[index + 3]);
    if (name === 'host' && options.hostApart) {
      read.hosts += 1;
      read.host = value;
      continue;
    }
    if (isSpecial[name.length] === true) {
      note(read, name, value, options.refuse);
    }
    read.lines.push(name, value);
  }
  return read;
}

/** By the length of a name: whether `note` may know it. */
const isSpecial: readonly boolean[] = Array.from({ length: 18 }, (_, length) =>
  [2, 6, 7, 10, 14, 17].includes(length),
);

function note(read: ReadFields, name: string, value: string, refuse: Refuse): void {
  switch (name) {
    case 'content-length':
      read.contentLengths += 1;
      read.contentLength = value;
      return;
    case 'transfer-encoding':
      read.transferEncodings += 1;
      read.transferEncoding = value;
      return;
    case 'connection':
      read.connection = join(read.connection, value);
      return;
    case 'upgrade':
      read.upgrade = join(read.upgrade, value);
      return;
    case 'expect':
      read.expect = join(read.expect, value);
      return;
    case 'te':
      read.te = join(read.te, value);
      return;
    case 'content_length':
    case 'transfer_encoding':
      // Servers that give fields to programs as variables write `-` and `_` alike (RFC 3875 §4.1.18).
      throw refuse('H1_FIELD_NAME_CONFUSABLE', name);
    default:
  }
}

function join(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before},${value}`;
}
