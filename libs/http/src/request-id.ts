/**
 * Names for requests that came without one, in the form of a UUID.
 *
 * They have to be different from each other, not unpredictable: a random part is drawn once for many, and counted on.
 */
import { randomUUID } from 'node:crypto';

const COUNTED_MAX = 2 ** 40;

let prefix = '';
let counted = COUNTED_MAX;

export function newRequestId(): string {
  if (counted >= COUNTED_MAX) {
    const drawn = randomUUID();
    prefix = drawn.slice(0, 24);
    // Where the count begins is random too, but leaves it room.
    counted = Number.parseInt(drawn.slice(27), 16);
  }
  counted += 1;
  return prefix + counted.toString(16).padStart(12, '0');
}
