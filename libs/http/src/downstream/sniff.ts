/**
 * Phase `accept`: which protocol a client speaks, from its first bytes.
 *
 * HTTP/2 begins with a fixed preface, HTTP/1 with a method and a space. A client that says nothing waits for
 * the server to speak first; after a time it is taken for TCP, where HTTP rules can only refuse more.
 */
import type { Clock } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import { PeekConn } from './peek-conn.ts';

export type SniffedProtocol = 'http1' | 'http2' | 'tcp';

const PREFACE = new TextEncoder().encode('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
/** The longest method that is recognised. */
const METHOD_BYTES_MAX = 24;
const NOTHING = new Uint8Array(0);
export const SNIFF_TIMEOUT_MS = 5_000;

/** What the bytes are; undefined: not enough of them yet. */
export function sniffBytes(bytes: Uint8Array): SniffedProtocol | undefined {
  if (bytes.length === 0) {
    return undefined;
  }
  const shared = Math.min(bytes.length, PREFACE.length);
  let same = 0;
  while (same < shared && bytes[same] === PREFACE[same]) {
    same += 1;
  }
  if (same === PREFACE.length) {
    return 'http2';
  }
  if (same === bytes.length) {
    return undefined;
  }
  for (let index = 0; index < bytes.length && index <= METHOD_BYTES_MAX; index += 1) {
    const byte = bytes[index] ?? 0;
    if (byte === 0x20) {
      return index > 0 ? 'http1' : 'tcp';
    }
    const isMethodByte = (byte >= 0x41 && byte <= 0x5a) || byte === 0x2d || byte === 0x5f;
    if (!isMethodByte) {
      return 'tcp';
    }
  }
  return bytes.length > METHOD_BYTES_MAX ? 'tcp' : undefined;
}

/** False: the first line is whole, and no request line of HTTP/1. */
export function mayBeHttp1(bytes: Uint8Array): boolean {
  const end = bytes.indexOf(0x0a);
  if (end === -1) {
    return true;
  }
  const line = Buffer.from(bytes.buffer, bytes.byteOffset, end).toString('latin1');
  return / HTTP\/1\.[0-9]\r?$/.test(line);
}

export interface Sniffed {
  readonly protocol: SniffedProtocol;
  /** Delivers everything from the first byte. */
  readonly conn: ByteConn;
  /** What was looked at. */
  readonly bytes: Uint8Array;
}

/** Resolves with a connection that delivers everything from the first byte. Never rejects. */
export function sniff(
  conn: ByteConn,
  options: { readonly clock: Clock; readonly timeoutMs?: number },
): Promise<Sniffed> {
  const peeked = new PeekConn(conn);
  const { promise, resolve } = Promise.withResolvers<Sniffed>();
  const timer = new AbortController();
  const decided = (protocol: SniffedProtocol, bytes: Uint8Array): void => {
    timer.abort();
    peeked.stop();
    resolve({ protocol, conn: peeked, bytes });
  };
  peeked.peek((bytes, over) => {
    const protocol = sniffBytes(bytes) ?? (over ? 'tcp' : undefined);
    if (protocol !== undefined) {
      decided(protocol, bytes);
    }
  });
  options.clock.sleep(options.timeoutMs ?? SNIFF_TIMEOUT_MS, timer.signal).then(
    () => decided('tcp', NOTHING),
    () => undefined,
  );
  return promise;
}
