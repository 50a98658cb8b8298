/**
 * Inputs near enough to good ones to get far into a parser: seeds are cut into parts (frames, lines, header blocks), the
 * parts are put together in other ways, changed in their own terms, and at last bytes are changed that no form would.
 */
import type { Random } from './random.ts';

export interface InputFormat {
  /** Good and bad inputs, each as its parts. */
  readonly seeds: readonly (readonly Uint8Array[])[];
  /** What tells something to this parser, to be put anywhere. */
  readonly tokens: readonly Uint8Array[];
  /** Another part in the same form, with lengths that are right; undefined: bytes only. */
  readonly changePart?: (part: Uint8Array, random: Random) => Uint8Array;
  readonly bytesMax: number;
}

const SEEDS_MAX = 3;
const PART_CHANGES_MAX = 5;
const BYTE_CHANGES_MAX = 4;
/** A flood now and then: a part so many times. */
const REPEATS = [2, 3, 10, 120, 300] as const;
const NOISE_BYTES_MAX = 200;

/** The parts of one input, `bytesMax` together at most. */
export function makeInput(random: Random, format: InputFormat): Uint8Array[] {
  if (random.oneIn(50)) {
    return [random.bytes(random.below(NOISE_BYTES_MAX))];
  }
  const parts: Uint8Array[] = [];
  const seeds = random.oneIn(3) ? 1 + random.below(SEEDS_MAX) : 1;
  for (let count = 0; count < seeds; count += 1) {
    parts.push(...random.pick(format.seeds));
  }
  for (let left = random.below(PART_CHANGES_MAX); left > 0; left -= 1) {
    changeParts(parts, random, format);
  }
  if (random.oneIn(2)) {
    for (let left = 1 + random.below(BYTE_CHANGES_MAX); left > 0; left -= 1) {
      changeBytes(parts, random, format.tokens);
    }
  }
  return withinBytes(parts, format.bytesMax);
}

function changeParts(parts: Uint8Array[], random: Random, format: InputFormat): void {
  const at = random.below(parts.length);
  const part = parts[at];
  if (part === undefined) {
    parts.push(random.pick(random.pick(format.seeds)));
    return;
  }
  switch (random.below(8)) {
    case 0:
      parts.splice(at, 1);
      return;
    case 1:
      parts.splice(random.below(parts.length + 1), 0, part);
      return;
    case 2: {
      const other = random.below(parts.length);
      parts[at] = parts[other] ?? part;
      parts[other] = part;
      return;
    }
    case 3:
      parts.splice(at, 0, random.pick(random.pick(format.seeds)));
      return;
    case 4:
      if (random.oneIn(6)) {
        parts.splice(at, 0, ...Array.from({ length: random.pick(REPEATS) }, () => part));
      }
      return;
    default:
      parts[at] = format.changePart?.(part, random) ?? part;
  }
}

function changeBytes(parts: Uint8Array[], random: Random, tokens: readonly Uint8Array[]): void {
  const which = random.below(parts.length);
  const part = parts[which];
  if (part === undefined) {
    parts.push(random.bytes(1 + random.below(20)));
    return;
  }
  const at = random.below(part.length + 1);
  const end = Math.min(part.length, at + 1 + random.below(random.oneIn(4) ? part.length : 4));
  const before = part.subarray(0, at);
  switch (random.below(6)) {
    case 0:
      parts[which] = Buffer.concat([before, part.subarray(end)]);
      return;
    case 1:
      parts[which] = Buffer.concat([before, random.pick(tokens), part.subarray(end)]);
      return;
    case 2:
      parts[which] = Buffer.concat([before, random.pick(tokens), part.subarray(at)]);
      return;
    case 3:
      parts[which] = Buffer.concat([part.subarray(0, end), part.subarray(at)]);
      return;
    case 4:
      parts[which] = Buffer.concat([before, random.bytes(end - at), part.subarray(end)]);
      return;
    default: {
      const copy = Buffer.from(part);
      copy[at] = (copy[at] ?? 0) ^ (1 << random.below(8));
      parts[which] = copy.subarray(0, part.length);
    }
  }
}

function withinBytes(parts: readonly Uint8Array[], bytesMax: number): Uint8Array[] {
  let left = bytesMax;
  const kept: Uint8Array[] = [];
  for (const part of parts) {
    if (left <= 0) {
      break;
    }
    kept.push(part.length > left ? part.subarray(0, left) : part);
    left -= part.length;
  }
  return kept;
}

/** The same bytes in pieces as a network may bring them: whole, byte by byte, or anyhow. */
export function cutAnyhow(bytes: Uint8Array, random: Random): Uint8Array[] {
  const most = random.pick([1, 2, 9, 40, 1_000, 20_000]);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = 1 + random.below(most);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
