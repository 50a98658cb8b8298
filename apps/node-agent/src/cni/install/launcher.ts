/**
 * The file that a container runtime executes: a static program of a few hundred bytes that becomes another one.
 *
 * A script would need a shell on the host, and a `#!` line carries one argument only. This calls execve(2) with an
 * argument list of any length and the environment it was given; if that fails it ends with 127.
 */

/** Of `process.arch`. */
export type LauncherArch = 'x64' | 'arm64';

const BASE = 0x400000;
const HEADER_BYTES = 64;
const SEGMENT_BYTES = 56;
const CODE_OFFSET = HEADER_BYTES + SEGMENT_BYTES;
const MACHINE: Readonly<Record<LauncherArch, number>> = { x64: 62, arm64: 183 };

/** An ELF program that replaces itself by `argv[0]`. Throws for an empty list and for NUL bytes. */
export function buildLauncher(arch: LauncherArch, argv: readonly string[]): Uint8Array {
  if (argv.length === 0 || argv.some((text) => text === '' || text.includes('\0'))) {
    throw new RangeError('a program to run is a list of texts');
  }
  const codeBytes = code(arch, 0, 0).length;
  const tableOffset = align(CODE_OFFSET + codeBytes);
  const strings = argv.map((text) => Buffer.from(`${text}\0`));
  let at = tableOffset + 8 * (argv.length + 1);
  const table = Buffer.alloc(8 * (argv.length + 1));
  strings.forEach((text, index) => {
    table.writeBigUInt64LE(BigInt(BASE + at), 8 * index);
    at += text.length;
  });
  const path = BASE + tableOffset + table.length;
  const program = code(arch, path, BASE + tableOffset);
  const padding = Buffer.alloc(tableOffset - CODE_OFFSET - program.length);
  const body = Buffer.concat([program, padding, table, ...strings]);
  return Buffer.concat([headers(arch, CODE_OFFSET + body.length), body]);
}

function align(offset: number): number {
  return (offset + 7) & ~7;
}

/** ELF64 header and one segment, readable and executable, from the start of the file. */
function headers(arch: LauncherArch, fileBytes: number): Buffer {
  const bytes = Buffer.alloc(CODE_OFFSET);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1, 0]);
  bytes.writeUInt16LE(2, 16); // ET_EXEC
  bytes.writeUInt16LE(MACHINE[arch], 18);
  bytes.writeUInt32LE(1, 20);
  bytes.writeBigUInt64LE(BigInt(BASE + CODE_OFFSET), 24);
  bytes.writeBigUInt64LE(BigInt(HEADER_BYTES), 32);
  bytes.writeUInt16LE(HEADER_BYTES, 52);
  bytes.writeUInt16LE(SEGMENT_BYTES, 54);
  bytes.writeUInt16LE(1, 56);
  const segment = HEADER_BYTES;
  bytes.writeUInt32LE(1, segment); // PT_LOAD
  bytes.writeUInt32LE(5, segment + 4); // PF_R | PF_X
  bytes.writeBigUInt64LE(BigInt(BASE), segment + 16);
  bytes.writeBigUInt64LE(BigInt(BASE), segment + 24);
  bytes.writeBigUInt64LE(BigInt(fileBytes), segment + 32);
  bytes.writeBigUInt64LE(BigInt(fileBytes), segment + 40);
  bytes.writeBigUInt64LE(0x10000n, segment + 48);
  return bytes;
}

function code(arch: LauncherArch, path: number, argv: number): Buffer {
  return arch === 'x64' ? codeX64(path, argv) : codeArm64(path, argv);
}

/** The stack begins with argc, the arguments, a zero, and then the environment. */
function codeX64(path: number, argv: number): Buffer {
  const bytes = Buffer.from([
    0x48,
    0x8b,
    0x04,
    0x24, // mov rax, [rsp]
    0x48,
    0x8d,
    0x54,
    0xc4,
    0x10, // lea rdx, [rsp + rax * 8 + 16]
    0xbf,
    0,
    0,
    0,
    0, // mov edi, path
    0xbe,
    0,
    0,
    0,
    0, // mov esi, argv
    0xb8,
    59,
    0,
    0,
    0, // mov eax, execve
    0x0f,
    0x05, // syscall
    0xbf,
    127,
    0,
    0,
    0, // mov edi, 127
    0xb8,
    60,
    0,
    0,
    0, // mov eax, exit
    0x0f,
    0x05, // syscall
  ]);
  bytes.writeUInt32LE(path, 10);
  bytes.writeUInt32LE(argv, 15);
  return bytes;
}

function codeArm64(path: number, argv: number): Buffer {
  const low = (value: number): number => value & 0xffff;
  const high = (value: number): number => value >>> 16;
  const words = [
    0xf94003e9, // ldr x9, [sp]
    0x910043ea, // add x10, sp, #16
    0x8b090d42, // add x2, x10, x9, lsl #3
    0xd2800000 | (low(path) << 5), // movz x0, #low
    0xf2a00000 | (high(path) << 5), // movk x0, #high, lsl #16
    0xd2800001 | (low(argv) << 5), // movz x1, #low
    0xf2a00001 | (high(argv) << 5), // movk x1, #high, lsl #16
    0xd2801ba8, // mov x8, #221 (execve)
    0xd4000001, // svc #0
    0xd2800fe0, // mov x0, #127
    0xd2800ba8, // mov x8, #93 (exit)
    0xd4000001, // svc #0
  ];
  const bytes = Buffer.alloc(4 * words.length);
  words.forEach((word, index) => {
    bytes.writeUInt32LE(word >>> 0, 4 * index);
  });
  return bytes;
}
