/** The body of a direct response as bytes: text in UTF-8, or base64. */
import type { HttpDirectResponse } from '@ambit/api';

export function bodyBytes(body: HttpDirectResponse['body']): Uint8Array {
  if (body === undefined) return new Uint8Array();
  if ('string' in body) return new TextEncoder().encode(body.string);
  return Uint8Array.from(atob(body.bytes), (char) => char.charCodeAt(0));
}
