/** The body of a request, with a bound on each and on all that are being read. */
import type { IncomingMessage } from 'node:http';

/** An API server takes objects of 3 MiB, and a review of a change has two of them. */
export const BODY_BYTES_MAX = 8 * 1024 * 1024;
/** Of all bodies that are being read. */
const BODIES_BYTES_MAX = 64 * 1024 * 1024;

export type BodyResult =
  | { readonly kind: 'ok'; readonly body: Uint8Array }
  | { readonly kind: 'too-large' | 'overloaded' | 'aborted' };

export class BodyReader {
  readonly #eachMax: number;
  readonly #allMax: number;
  #held = 0;

  constructor(limits: { readonly each?: number; readonly all?: number } = {}) {
    this.#eachMax = limits.each ?? BODY_BYTES_MAX;
    this.#allMax = limits.all ?? BODIES_BYTES_MAX;
  }

  /** Bytes of bodies that are being read. */
  get held(): number {
    return this.#held;
  }

  /** Never rejects. After `too-large` and `overloaded` the rest of the body is unread. */
  async read(request: IncomingMessage): Promise<BodyResult> {
    const declared = Number(request.headers['content-length'] ?? 0);
    if (declared > this.#eachMax) return { kind: 'too-large' };
    const chunks: Uint8Array[] = [];
    let length = 0;
    try {
      for await (const chunk of request as AsyncIterable<Uint8Array>) {
        length += chunk.byteLength;
        this.#held += chunk.byteLength;
        chunks.push(chunk);
        if (length > this.#eachMax) return { kind: 'too-large' };
        if (this.#held > this.#allMax) return { kind: 'overloaded' };
      }
    } catch {
      // The client went away, or was too slow; there is nobody to answer.
      return { kind: 'aborted' };
    } finally {
      this.#held -= length;
    }
    return { kind: 'ok', body: Buffer.concat(chunks, length) };
  }
}
