/**
 * The last piece of work of each kind that a thread has done, kept while there is no other.
 *
 * V8 forgets the shape of objects with the last of them, and with it all the code that it has compiled for that shape. A proxy without a
 * connection for a moment would compile everything again, at twice the cost for seconds (docs/decisions/0019).
 *
 * Rule: nobody reads what is kept, and it has nothing of what was said: connections, never requests. When a key or a pod leaves, and when
 * the certificate of a key or the last session with it ends, all of it is let go.
 */

/** Kinds are constants, so the table stays as it is. */
const kept = new Map<string, unknown>();

/** Instead of the one before of that kind. `work`: with all that it leads to. */
export function keepsake(kind: string, work: unknown): void {
  kept.set(kind, work);
}

/** Of this thread. */
export function forgetKeepsakes(): void {
  for (const kind of kept.keys()) {
    kept.set(kind, undefined);
  }
}
