/**
 * Huffman coding of strings (RFC 7541 §5.2), by tables.
 *
 * Rule: decoding walks four bits at a time through the code's tree. A node's number and four bits give the next
 * node and at most one byte, because no code is shorter than five bits. EOS inside a string, padding that is not
 * the beginning of EOS, and padding of more than seven bits are errors.
 */

import { HpackError } from './hpack-error.ts';
import { CODE_BITS, CODES, EOS } from './huffman-code.ts';

const NODES = 256;
/** An entry: the byte in bits 0 to 7, whether there is one in bit 8, the next node above, or a dead end. */
const HAS_BYTE = 0x100;
const NODE_SHIFT = 9;
const DEAD = 0xffff_ffff;

interface Tables {
  readonly steps: Uint32Array;
  /** 1 where a string may end: at the root, or up to seven ones below it. */
  readonly ends: Uint8Array;
}

type Tree = (readonly [number, number])[];

/** Children by node; below 0 is a leaf: -1 - symbol. */
function buildTree(): Tree {
  const tree: [number, number][] = [[0, 0]];
  for (let symbol = 0; symbol <= EOS; symbol += 1) {
    const length = CODE_BITS[symbol] ?? 0;
    const code = CODES[symbol] ?? 0;
    let node = 0;
    for (let bit = length - 1; bit > 0; bit -= 1) {
      const side = (code >>> bit) & 1;
      const children = tree[node];
      let next = children?.[side] ?? 0;
      if (next === 0) {
        next = tree.push([0, 0]) - 1;
        if (children !== undefined) {
          children[side] = next;
        }
      }
      node = next;
    }
    const last = tree[node];
    if (last !== undefined) {
      last[code & 1] = -1 - symbol;
    }
  }
  return tree;
}

function stepOf(tree: Tree, start: number, nibble: number): number {
  let node = start;
  let byte = 0;
  for (let bit = 3; bit >= 0; bit -= 1) {
    const next = tree[node]?.[(nibble >>> bit) & 1] ?? 0;
    if (next >= 0) {
      node = next;
      continue;
    }
    const symbol = -1 - next;
    if (symbol === EOS) {
      return DEAD;
    }
    byte = HAS_BYTE | symbol;
    node = 0;
  }
  return ((node << NODE_SHIFT) | byte) >>> 0;
}

function buildTables(): Tables {
  const tree = buildTree();
  const steps = new Uint32Array(NODES * 16);
  for (let node = 0; node < tree.length; node += 1) {
    for (let nibble = 0; nibble < 16; nibble += 1) {
      steps[(node << 4) | nibble] = stepOf(tree, node, nibble);
    }
  }
  const ends = new Uint8Array(NODES);
  let node = 0;
  for (let ones = 0; ones <= 7; ones += 1) {
    ends[node] = 1;
    node = tree[node]?.[1] ?? 0;
  }
  return { steps, ends };
}

const { steps, ends } = buildTables();

/** The most bytes that `length` coded bytes can become. */
export function huffmanDecodedMax(length: number): number {
  return Math.floor((length * 8) / 5);
}

/** Decodes `source[from, to)` into `target`, which has room for `huffmanDecodedMax`; returns how many bytes. */
export function huffmanDecode(
  source: Uint8Array,
  from: number,
  to: number,
  target: Uint8Array,
): number {
  let node = 0;
  let length = 0;
  for (let at = from; at < to; at += 1) {
    const byte = source[at] ?? 0;
    const high = steps[(node << 4) | (byte >>> 4)] ?? DEAD;
    if ((high & HAS_BYTE) !== 0) {
      target[length] = high;
      length += 1;
    }
    const low = high === DEAD ? DEAD : (steps[((high >>> NODE_SHIFT) << 4) | (byte & 15)] ?? DEAD);
    if (low === DEAD) {
      throw new HpackError('EOS inside of a Huffman-coded string');
    }
    if ((low & HAS_BYTE) !== 0) {
      target[length] = low;
      length += 1;
    }
    node = low >>> NODE_SHIFT;
  }
  if (ends[node] !== 1) {
    throw new HpackError('a Huffman-coded string with wrong padding');
  }
  return length;
}

/** Bytes of `text` when coded. Characters are bytes (latin1). */
export function huffmanLength(text: string): number {
  let bits = 0;
  for (let index = 0; index < text.length; index += 1) {
    bits += CODE_BITS[text.charCodeAt(index) & 0xff] ?? 0;
  }
  return (bits + 7) >>> 3;
}

/** Writes `huffmanLength(text)` bytes at `from`; returns the position after them. */
export function huffmanEncode(text: string, target: Uint8Array, from: number): number {
  let at = from;
  let pending = 0;
  let bits = 0;
  for (let index = 0; index < text.length; index += 1) {
    const byte = text.charCodeAt(index) & 0xff;
    let length = CODE_BITS[byte] ?? 0;
    let code = CODES[byte] ?? 0;
    if (length > 24) {
      // With up to seven bits pending, more than 24 would not fit into 32: in two steps.
      length -= 8;
      pending = (pending << length) | (code >>> 8);
      bits += length;
      while (bits >= 8) {
        bits -= 8;
        target[at] = pending >>> bits;
        at += 1;
      }
      code &= 0xff;
      length = 8;
    }
    pending = (pending << length) | code;
    bits += length;
    while (bits >= 8) {
      bits -= 8;
      target[at] = pending >>> bits;
      at += 1;
    }
  }
  if (bits > 0) {
    // §5.2: padded with the most significant bits of EOS, which are ones.
    target[at] = (pending << (8 - bits)) | (0xff >>> bits);
    at += 1;
  }
  return at;
}
