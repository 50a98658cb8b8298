/**
 * Names for requests that came without one, in the form of a UUID.
 *
 * They have to be different from each other, not unpredictable: a random part is drawn once for many, and counted on.
 */
import { randomUUID } from 'node:crypto';

const HEX: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  byte.toString(16).padStart(2, '0'),
);
/** The last four digits are counted; the eight before them number the blocks of so many. */
const BLOCK = 2 ** 16;
const BLOCKS_MAX = 2 ** 32;

let drawn = '';
let block = BLOCKS_MAX;
let prefix = '';
let counted = BLOCK;

export function newRequestId(): string {
  if (counted === BLOCK) {
    nextBlock();
  }
  const id = `${prefix}${HEX[counted >>> 8]}${HEX[counted & 0xff]}`;
  counted += 1;
  return id;
}

function nextBlock(): void {
  block += 1;
  if (block >= BLOCKS_MAX) {
    drawn = randomUUID();
    // Where the count begins is random too, but leaves it room.
    block = Number.parseInt(drawn.slice(28), 16) >>> 1;
  }
  prefix = drawn.slice(0, 24) + block.toString(16).padStart(8, '0');
  counted = 0;
}
