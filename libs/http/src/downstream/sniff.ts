/**
 * Which protocol a client speaks, from its first bytes.
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

/** Resolves with a connection that delivers everything from the first byte. Never rejects. */
export function sniff(
  conn: ByteConn,
  options: { readonly clock: Clock; readonly timeoutMs?: number },
): Promise<{ readonly protocol: SniffedProtocol; readonly conn: ByteConn }> {
  const peeked = new PeekConn(conn);
  const { promise, resolve } = Promise.withResolvers<{
    readonly protocol: SniffedProtocol;
    readonly conn: ByteConn;
  }>();
  const timer = new AbortController();
  const decided = (protocol: SniffedProtocol): void => {
    timer.abort();
    peeked.stop();
    resolve({ protocol, conn: peeked });
  };
  peeked.peek((bytes, over) => {
    const protocol = sniffBytes(bytes) ?? (over ? 'tcp' : undefined);
    if (protocol !== undefined) {
      decided(protocol);
    }
  });
  options.clock.sleep(options.timeoutMs ?? SNIFF_TIMEOUT_MS, timer.signal).then(
    () => decided('tcp'),
    () => undefined,
  );
  return promise;
}
