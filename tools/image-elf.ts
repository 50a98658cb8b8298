/** Shared libraries that a program needs, read from its ELF dynamic section. 64 bits, little-endian. */

const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const PT_LOAD = 1;
const DT_NULL = 0n;
const DT_NEEDED = 1n;
const DT_STRTAB = 5n;
const PROGRAM_HEADER_BYTES = 56;

export interface ElfNeeds {
  /** The loader's path, for programs. */
  readonly interpreter: string | undefined;
  /** Names of libraries, in order. */
  readonly needed: readonly string[];
}

/** Undefined for what is no ELF file. Throws for one that is of another class or damaged. */
export function readElf(bytes: Buffer): ElfNeeds | undefined {
  if (bytes.length < 64 || bytes.readUInt32BE(0) !== 0x7f454c46) {
    return undefined;
  }
  if (bytes[4] !== 2 || bytes[5] !== 1) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
  const segments = programHeaders(bytes);
  const interp = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  return {
    interpreter: interp === undefined ? undefined : textAt(bytes, interp.offset),
    needed: dynamic === undefined ? [] : neededIn(bytes, dynamic, segments),
  };
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly size: number;
}

function programHeaders(bytes: Buffer): readonly Segment[] {
  const start = Number(bytes.readBigUInt64LE(32));
  const count = bytes.readUInt16LE(56);
  return Array.from({ length: count }, (_, i) => {
    const at = start + i * PROGRAM_HEADER_BYTES;
    return {
      type: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      address: Number(bytes.readBigUInt64LE(at + 16)),
      size: Number(bytes.readBigUInt64LE(at + 32)),
    };
  });
}

function neededIn(bytes: Buffer, dynamic: Segment, segments: readonly Segment[]): string[] {
  const names: number[] = [];
  let table = 0;
  for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
    const tag = bytes.readBigInt64LE(at);
    const value = Number(bytes.readBigUInt64LE(at + 8));
    if (tag === DT_NULL) {
      break;
    } else if (tag === DT_NEEDED) {
      names.push(value);
    } else if (tag === DT_STRTAB) {
      table = value;
    }
  }
  const load = segments.find(
    ({ type, address, size }) => type === PT_LOAD && table >= address && table < address + size,
  );
  if (load === undefined) {
    throw new Error('the ELF string table is in no segment');
  }
  return names.map((name) => textAt(bytes, table - load.address + load.offset + name));
}

function textAt(bytes: Buffer, start: number): string {
  return bytes.toString('latin1', start, bytes.indexOf(0, start));
}
