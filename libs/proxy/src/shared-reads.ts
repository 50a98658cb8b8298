/**
 * Reads sockets into memory that all of a thread share, instead of 64 KiB of new memory for each read.
 *
 * Rule: a read's bytes are there during the call only; the next read of any socket overwrites them. Node has this
 * (`onread`) for sockets that it connects itself, not for accepted ones nor for TLS over a socket. The three fields
 * that make the difference are set here, and nowhere else; where they are missing, as in another version of Node,
 * the caller reads as usual.
 */
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

import { keepsake } from '@ambit/core';

/** What one call of the kernel reads at most. More fits no cache of a core, and costs a tenth more. */
const READ_BYTES = 64 * 1024;

let memory: Buffer | undefined;

interface Fields {
  /** Where reads go. */
  readonly buffer: symbol;
  /** Called with the length of a read; false stops reading. */
  readonly callback: symbol;
  /** Called for the memory of the next read. */
  readonly next: symbol;
}

let known: Fields | undefined;

export interface SharedReader {
  /** The bytes are lent: they are there during the call. */
  onRead(bytes: Uint8Array): void;
}

/** Where a stream keeps its reader, so that all of them call one function. */
const READER = Symbol('SharedReader');

/** Node calls it as a method of the stream, with the length of what is in `memory`. */
function onSharedRead(this: { readonly [READER]?: SharedReader }, length: number): boolean {
  if (memory !== undefined) {
    this[READER]?.onRead(memory.subarray(0, length));
  }
  return true;
}

/**
 * Calls `reader` for everything that the socket reads from now on. What it has read before is in its own buffer
 * still. False: the stream is none that can do it, and nothing was changed.
 */
export function readShared(stream: Duplex, reader: SharedReader): boolean {
  const handle: unknown = Reflect.get(stream, '_handle');
  const fields = fieldsOf(stream);
  if (fields === undefined || typeof handle !== 'object' || handle === null) {
    return false;
  }
  const useUserBuffer: unknown = Reflect.get(handle, 'useUserBuffer');
  if (typeof useUserBuffer !== 'function') {
    return false;
  }
  keepsake(stream instanceof TLSSocket ? 'TLS handle' : 'TCP handle', handle);
  memory ??= Buffer.allocUnsafeSlow(READ_BYTES);
  Reflect.set(stream, READER, reader);
  Reflect.set(stream, fields.buffer, memory);
  Reflect.set(stream, fields.next, null);
  Reflect.set(stream, fields.callback, onSharedRead);
  Reflect.apply(useUserBuffer, handle, [memory]);
  return true;
}

function fieldsOf(stream: Duplex): Fields | undefined {
  if (known === undefined) {
    const symbols = Object.getOwnPropertySymbols(stream);
    const find = (name: string): symbol | undefined =>
      symbols.find((symbol) => symbol.description === name);
    const buffer = find('kBuffer');
    const callback = find('kBufferCb');
    const next = find('kBufferGen');
    if (buffer === undefined || callback === undefined || next === undefined) {
      return undefined;
    }
    known = { buffer, callback, next };
  }
  return known.buffer in stream ? known : undefined;
}
