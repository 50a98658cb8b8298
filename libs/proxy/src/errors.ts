/**
 * What can go wrong with bytes in flight, and how foreign errors become ours.
 *
 * Rule: a reset by a peer is a normal end of a connection (`isPeerGone`), everything else is a failure.
 */
import { type ErrorSide, MeshError } from '@ambit/core';

export type ProxyErrorCode =
  /** The peer reset, or went while we wrote: ECONNRESET, EPIPE, ENOTCONN, a cancelled stream. */
  | 'PROXY_PEER_GONE'
  /** The kernel gave up on a silent peer (keepalive, retransmission). */
  | 'PROXY_PEER_SILENT'
  | 'PROXY_REFUSED'
  | 'PROXY_UNREACHABLE'
  | 'PROXY_TIMEOUT'
  | 'PROXY_OUT_OF_DESCRIPTORS'
  | 'PROXY_ABORTED'
  | 'PROXY_LIMIT'
  | 'PROXY_IO';

export class ProxyError extends MeshError<ProxyErrorCode> {
  override readonly name = 'ProxyError';
}

const CODES: ReadonlyMap<string, ProxyErrorCode> = new Map(
  Object.entries({
    ECONNRESET: 'PROXY_PEER_GONE',
    EPIPE: 'PROXY_PEER_GONE',
    ENOTCONN: 'PROXY_PEER_GONE',
    ECONNABORTED: 'PROXY_PEER_GONE',
    ERR_STREAM_PREMATURE_CLOSE: 'PROXY_PEER_GONE',
    ETIMEDOUT: 'PROXY_PEER_SILENT',
    ECONNREFUSED: 'PROXY_REFUSED',
    EHOSTUNREACH: 'PROXY_UNREACHABLE',
    ENETUNREACH: 'PROXY_UNREACHABLE',
    EADDRNOTAVAIL: 'PROXY_UNREACHABLE',
    EMFILE: 'PROXY_OUT_OF_DESCRIPTORS',
    ENFILE: 'PROXY_OUT_OF_DESCRIPTORS',
  } as const),
);

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined;
}

/** A MeshError passes through; anything else gets a code, a side and stays as `cause`. */
export function fromIoError(error: unknown, side: ErrorSide): MeshError {
  if (error instanceof MeshError) {
    return error;
  }
  const code = codeOf(error);
  const message = error instanceof Error ? error.message : String(error);
  return new ProxyError(CODES.get(code ?? '') ?? 'PROXY_IO', message.slice(0, 200), {
    side,
    cause: error,
    // Nothing reached a peer that refused or could not be reached.
    retryable: code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH',
  });
}

/** True for the ends that count as normal: the peer is simply gone. */
export function isPeerGone(error: unknown): boolean {
  return error instanceof MeshError && error.code === 'PROXY_PEER_GONE';
}
