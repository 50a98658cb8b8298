/** The fields of a request as each version of HTTP wants them. */
import { HttpError } from '../errors.ts';
import type { FieldLines } from '../h1/message.ts';
import type { HeaderList } from '../headers.ts';
import type { TryRequest } from './try.ts';

/** RFC 9113 §8.2.2, and what is written from elsewhere. */
const NOT_IN_HTTP2: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);

/** What frames the message and what speaks of the hop is left out by the codec. */
export function http1Fields(headers: HeaderList): FieldLines {
  const { lines } = headers;
  return headers.count('cookie') > 1 ? withOneCookie(lines) : lines;
}

export function http2Fields(headers: HeaderList, contentLength: number | undefined): FieldLines {
  const { lines } = headers;
  const fields: string[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    if (!NOT_IN_HTTP2.has(name) || (name === 'te' && value === 'trailers')) {
      fields.push(name, value);
    }
  }
  if (contentLength !== undefined) {
    fields.push('content-length', String(contentLength));
  }
  return fields;
}

/** RFC 9113 §8.2.3: pieces of HTTP/2 are one field in HTTP/1. */
function withOneCookie(lines: FieldLines): FieldLines {
  const fields: string[] = [];
  const crumbs: string[] = [];
  for (let index = 0; index < lines.length; index += 2) {
    const name = lines[index] ?? '';
    const value = lines[index + 1] ?? '';
    if (name === 'cookie') {
      crumbs.push(value);
    } else {
      fields.push(name, value);
    }
  }
  fields.push('cookie', crumbs.join('; '));
  return fields;
}

/** Checked by the codec: one number, however often it was said. */
export function contentLengthOf(fields: FieldLines): number | undefined {
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index] === 'content-length') {
      return Number(fields[index + 1]);
    }
  }
  return undefined;
}

/** A head that announces a body goes out with one, or not at all. Throws an HttpError. */
export function requireBody({ body, contentLength }: TryRequest): void {
  if (body === undefined && contentLength !== undefined && contentLength > 0) {
    const message = `${contentLength} bytes of a body are announced, and there is none`;
    throw new HttpError('HTTP_INTERNAL', message, { side: 'local' });
  }
}
