/**
 * What both ends of a tunnel session share: limits, keepalive, the TLS socket under it and header fields.
 *
 * Rule: whatever a peer may make a session hold or do is bounded by `@ambit/h2`; only what CONNECT does not need is
 * tightened here. Windows begin small and grow with use, so an idle tunnel owes nobody 4 MiB.
 */
import type { TLSSocket } from 'node:tls';

import type { ErrorSide } from '@ambit/core';
import { type Fields, type H2Limits, type KeepAlive, MESH_LIMITS } from '@ambit/h2';
import { TlsConn } from '@ambit/proxy';
import { fromTlsError } from './errors.ts';

/** The payload is what the reference sends; seen in captures it tells whose PING it is. */
export const KEEP_ALIVE: KeepAlive = {
  intervalMs: 10_000,
  timeoutMs: 20_000,
  payload: Buffer.from('3b7cdb7a0b8716b4', 'hex'),
};

/** A CONNECT, and its answer, have a handful. */
const HEADER_FIELDS_MAX = 48;

export const SERVER_LIMITS: H2Limits = { ...MESH_LIMITS, headerFieldsMax: HEADER_FIELDS_MAX };
/** The reference's client takes less than its server. */
export const CLIENT_LIMITS: H2Limits = { ...SERVER_LIMITS, headerListBytesMax: 16_384 };

/** Takes over a TLS socket whose peer is known. PING looks after the connection, so TCP does not. */
export function transportOf(socket: TLSSocket, side: ErrorSide): TlsConn {
  return new TlsConn(socket, {
    side,
    keepAlive: false,
    toError: (error) => fromTlsError(error, side),
  });
}

export function fieldsOf(headers: Readonly<Record<string, string>> | undefined): Fields {
  return headers === undefined ? [] : Object.entries(headers).flat();
}

/** Repeated ones joined by `,`. */
export function headersOf(fields: Fields): Readonly<Record<string, string>> {
  const headers: Record<string, string> = Object.create(null) as Record<string, string>;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? '';
    const value = fields[at + 1] ?? '';
    const before = headers[name];
    headers[name] = before === undefined ? value : `${before},${value}`;
  }
  return headers;
}

/** True: the sleep ran out. False: it was aborted. */
export async function settled(sleep: Promise<void>): Promise<boolean> {
  try {
    await sleep;
    return true;
  } catch {
    // Aborted: the caller asked for it and knows why.
    return false;
  }
}
