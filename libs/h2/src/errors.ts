/**
 * What can go wrong on an HTTP/2 connection.
 *
 * Rule: a stream that its peer took back (CANCEL, NO_ERROR, STREAM_CLOSED) or lost with the connection is
 * a peer gone, as a reset TCP connection is, and has the code of `@ambit/proxy` for it. All else is an `H2Error`.
 */
import { type ErrorSide, MeshError, type MeshErrorOptions } from '@ambit/core';
import { ProxyError } from '@ambit/proxy';
import { ERROR, type ErrorNumber, errorName } from './frames/protocol.ts';

export type H2ErrorCode =
  /** The peer broke RFC 9113 or 7541; the connection, or the one stream, is ended. */
  | 'H2_PROTOCOL'
  /** The peer exceeded a bound of frames, headers or memory: ENHANCE_YOUR_CALM. */
  | 'H2_FLOOD'
  /** The peer reset the stream with a code that is not a normal end. */
  | 'H2_STREAM_RESET'
  /** The peer has not processed the stream (REFUSED_STREAM, or beyond the last of its GOAWAY). */
  | 'H2_REFUSED'
  /** The peer ended the connection with an error. */
  | 'H2_GOAWAY'
  /** No preface or no SETTINGS acknowledgement in time. */
  | 'H2_HANDSHAKE_TIMEOUT'
  | 'H2_PING_TIMEOUT'
  /** The peer takes no bytes of a stream, or of the connection, for too long. */
  | 'H2_STALLED'
  /** This end is at a limit: no more streams fit, ids are used up. */
  | 'H2_LIMIT'
  /** This end has closed. */
  | 'H2_CLOSED'
  /** A field that may not be sent: refused before anything of the message is. */
  | 'H2_BAD_FIELD'
  /** A callback threw. */
  | 'H2_INTERNAL';

export interface H2ErrorOptions extends MeshErrorOptions {
  /** What RST_STREAM or GOAWAY said or shall say. */
  readonly number?: ErrorNumber;
}

export class H2Error extends MeshError<H2ErrorCode> {
  override readonly name: string = 'H2Error';
  readonly number: ErrorNumber;

  constructor(code: H2ErrorCode, message: string, options: H2ErrorOptions) {
    super(code, message, options);
    this.number = options.number ?? ERROR.NO_ERROR;
  }
}

/** What the peer did wrong, with the code that it is told. */
export function protocolError(number: ErrorNumber, message: string, side: ErrorSide): H2Error {
  const code = number === ERROR.ENHANCE_YOUR_CALM ? 'H2_FLOOD' : 'H2_PROTOCOL';
  return new H2Error(code, message, { side, number });
}

/** By side and code of RST_STREAM; as many as RFC 9113 knows. */
const resets = new Map<string, MeshError>();

/**
 * RST_STREAM from the peer. One error for all streams that are reset so: a peer may reset thousands a second, and each
 * error of its own would cost a stack.
 */
export function resetByPeer(number: ErrorNumber, side: ErrorSide): MeshError {
  if (number > ERROR.HTTP_1_1_REQUIRED) {
    return newReset(number, side);
  }
  const key = `${side} ${number}`;
  const error = resets.get(key) ?? newReset(number, side);
  resets.set(key, error);
  return error;
}

function newReset(number: ErrorNumber, side: ErrorSide): MeshError {
  if (number === ERROR.REFUSED_STREAM) {
    const message = 'the peer refused the stream';
    return new H2Error('H2_REFUSED', message, { side, number, retryable: true });
  }
  if (number === ERROR.NO_ERROR || number === ERROR.CANCEL || number === ERROR.STREAM_CLOSED) {
    const message = `the peer took the stream back: ${errorName(number)}`;
    return new ProxyError('PROXY_PEER_GONE', message, { side });
  }
  const message = `the peer reset the stream: ${errorName(number)}`;
  return new H2Error('H2_STREAM_RESET', message, { side, number });
}

/** The connection ended without a word. */
export function peerGone(side: ErrorSide): ProxyError {
  return new ProxyError('PROXY_PEER_GONE', 'the peer closed the connection', { side });
}

/** The connection ended after a GOAWAY of the peer. `debug` is the peer's text. */
export function goawayError(number: ErrorNumber, debug: string, side: ErrorSide): MeshError {
  if (number === ERROR.NO_ERROR) {
    return peerGone(side);
  }
  const text = debug === '' ? '' : `: ${debug.slice(0, 80)}`;
  const message = `the peer ended the connection with ${errorName(number)}${text}`;
  return new H2Error('H2_GOAWAY', message, { side, number });
}

/** This end has ended it. */
export function closedHere(): H2Error {
  return new H2Error('H2_CLOSED', 'the connection was closed here', { side: 'local' });
}

/** Of the preface or of SETTINGS (RFC 9113 §3.4, §6.5.3). */
export function handshakeTimeout(message: string, side: ErrorSide): H2Error {
  return new H2Error('H2_HANDSHAKE_TIMEOUT', message, { side, number: ERROR.SETTINGS_TIMEOUT });
}

export function pingTimeout(side: ErrorSide): H2Error {
  return new H2Error('H2_PING_TIMEOUT', 'the peer answered no PING in time', { side });
}

/** The peer takes nothing for too long. */
export function stalled(message: string, side: ErrorSide): H2Error {
  return new H2Error('H2_STALLED', message, { side });
}

/** A programmer's error in whoever uses the session. */
export function callbackFailed(cause: unknown): H2Error {
  const message = `a callback failed: ${cause instanceof Error ? cause.message : String(cause)}`;
  const number = ERROR.INTERNAL_ERROR;
  return new H2Error('H2_INTERNAL', message.slice(0, 200), { side: 'local', number, cause });
}
