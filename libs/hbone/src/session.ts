/**
 * What both ends of a tunnel session share: settings, keepalive and streams as `ByteConn`.
 *
 * Settings are those of the reference: the connection window is four stream windows, else many streams
 * that wait can starve one that moves.
 */
import { constants, type Http2Session, type Http2Stream } from 'node:http2';

import type { Clock, ErrorSide } from '@ambit/core';
import { type ByteConn, type ConnAddresses, ProxyError, StreamConn } from '@ambit/proxy';
import { fromH2Error, HboneError } from './errors.ts';

export const STREAM_WINDOW_BYTES = 4 * 1024 * 1024;
export const CONNECTION_WINDOW_BYTES = 16 * 1024 * 1024;
export const FRAME_BYTES_MAX = 1024 * 1024;
export const SERVER_HEADER_LIST_BYTES_MAX = 65_536;
export const CLIENT_HEADER_LIST_BYTES_MAX = 16_384;

/**
 * node:http2 refuses new streams while a session holds more than this. A session of 200 streams may
 * hold 200 windows of a slow application, so the default of 10 MB would stop healthy ones.
 */
export const SESSION_MEMORY_MB_MAX = 1024;

const PING_INTERVAL_MS = 10_000;
const PING_TIMEOUT_MS = 20_000;
/** For a peer that owes another answer already. */
const ASKED_TIMEOUT_MS = 2_000;
/** What the reference sends; seen in captures it tells whose PING it is. */
const PING_PAYLOAD = Buffer.from('3b7cdb7a0b8716b4', 'hex');

/** PING every 10 s; a session that answers none within 20 s is destroyed. Ends with `signal`. */
export async function keepAlive(
  session: Http2Session,
  options: { readonly clock: Clock; readonly side: ErrorSide; readonly signal: AbortSignal },
): Promise<void> {
  const { clock, side, signal } = options;
  while (!signal.aborted) {
    const interval = await settled(clock.sleep(PING_INTERVAL_MS, signal));
    if (!interval || session.destroyed) {
      return;
    }
    const answered = new AbortController();
    session.ping(PING_PAYLOAD, (error) => error === null && answered.abort());
    const expired = await settled(
      clock.sleep(PING_TIMEOUT_MS, AbortSignal.any([signal, answered.signal])),
    );
    if (expired && !session.destroyed) {
      session.destroy(
        new HboneError('HBONE_PING_TIMEOUT', 'the peer answered no PING for 20 s', { side }),
      );
    }
  }
}

/** One PING. False: no answer came in time, and the session is still open. */
export async function doesAnswer(
  session: Http2Session,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<boolean> {
  const answered = new AbortController();
  // False where more PINGs wait for answers than node:http2 keeps; then no answer comes to this one.
  if (session.destroyed || !session.ping(PING_PAYLOAD, () => answered.abort())) {
    return !session.destroyed;
  }
  const either = AbortSignal.any([signal, answered.signal]);
  return !(await settled(clock.sleep(ASKED_TIMEOUT_MS, either)));
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

/** Takes over an open stream. A stream cut by CANCEL or by the end of its session is a peer gone. */
export function connFromStream(
  stream: Http2Stream,
  addresses: ConnAddresses,
  side: ErrorSide,
): ByteConn {
  const cancel = (): void => {
    if (!stream.closed) {
      stream.close(constants.NGHTTP2_CANCEL);
    }
    stream.destroy();
  };
  return new StreamConn(stream, {
    ...addresses,
    side,
    destroy: cancel,
    toError: (error) => fromH2Error(error, side),
    closeReason: () =>
      stream.rstCode === constants.NGHTTP2_CANCEL
        ? new ProxyError('PROXY_PEER_GONE', 'the peer cancelled the stream', { side })
        : undefined,
  });
}
