/** The fields after a chunked body (RFC 9110 §6.5, RFC 9112 §7.1.2). */
import type { H1Limits } from '../limits.ts';
import { type FieldLines, NO_FIELDS } from '../message.ts';
import { lowerName } from '../parse/field-names.ts';
import type { ByteQueue } from '../scan/byte-queue.ts';
import { FieldLinesScanner } from '../scan/field-lines.ts';
import type { Refuse } from '../scan/scanner.ts';
import { Section } from '../scan/section.ts';

/**
 * What frames or routes a message, says who sends it, or says how its content is read, was decided on before (RFC 9110
 * §6.5.1). A recipient that merges trailers into the header section would decide again.
 */
const FORBIDDEN: ReadonlySet<string> = new Set([
  'authorization',
  'cache-control',
  'connection',
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'content_length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'max-forwards',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'range',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'transfer_encoding',
  'upgrade',
  'www-authenticate',
  'x-forwarded-client-cert',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
]);

export function isForbiddenTrailer(name: string): boolean {
  return FORBIDDEN.has(name);
}

export class TrailerReader {
  readonly #scanner: FieldLinesScanner;
  readonly #section: Section;
  readonly #refuse: Refuse;

  constructor(limits: H1Limits, refuse: Refuse) {
    this.#refuse = refuse;
    this.#scanner = new FieldLinesScanner({
      refuse,
      fieldsMax: limits.trailersMax,
      tooMany: 'H1_TRAILERS_TOO_MANY',
    });
    this.#section = new Section({
      refuse,
      firstBytesMax: 0,
      firstTooLarge: 'H1_TRAILERS_TOO_LARGE',
      fields: this.#scanner,
      fieldBytesMax: limits.trailerBytesMax,
      fieldsTooLarge: 'H1_TRAILERS_TOO_LARGE',
    });
  }

  /** Nothing of them is read any more. */
  letGo(): void {
    this.#section.letGo();
  }

  /** Undefined: it wants more. Throws. */
  read(queue: ByteQueue): FieldLines | undefined {
    if (!this.#section.read(queue)) {
      return undefined;
    }
    const { count, marks } = this.#scanner;
    const text = this.#section.takeText();
    if (count === 0) {
      return NO_FIELDS;
    }
    const lines: string[] = [];
    for (let index = 0; index < count * 4; index += 4) {
      const name = lowerName(text, marks[index] ?? 0, marks[index + 1] ?? 0);
      if (FORBIDDEN.has(name)) {
        throw this.#refuse('H1_TRAILER_FORBIDDEN', name);
      }
      lines.push(name, text.slice(marks[index + 2], marks[index + 3]));
    }
    return lines;
  }
}
