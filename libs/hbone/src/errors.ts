/**
 * What can go wrong with a tunnel; `code` is what metrics and flags are made from. Once its CONNECT was answered a tunnel is a
 * stream of HTTP/2, and fails as one: with the codes of `@ambit/h2`.
 */
import { type ErrorSide, MeshError, type MeshErrorOptions } from '@ambit/core';
import { H2Error } from '@ambit/h2';
import type { PeerRole } from '@ambit/identity';
import { fromIoError } from '@ambit/proxy';
import { type PeerRefusal, refusalOfCode } from './peer-refusals.ts';

export type HboneErrorCode =
  | 'HBONE_BAD_AUTHORITY'
  /** Nobody answered within the connect timeout; often a NetworkPolicy. */
  | 'HBONE_CONNECT_TIMEOUT'
  /** Until the connect timeout one dial after another reached nobody. */
  | 'HBONE_PEER_AWAY'
  /** The endpoint left while the tunnel to it was made. */
  | 'HBONE_ENDPOINT_LEFT'
  /** The handshake failed, or an alert came after it. */
  | 'HBONE_TLS'
  /** The handshake was good, but the peer is not whom we expect. */
  | 'HBONE_PEER_IDENTITY'
  /** Our own certificate is missing or expired. */
  | 'HBONE_NO_CERTIFICATE'
  | 'HBONE_H2'
  /** The peer answered CONNECT with another status than 200. */
  | 'HBONE_STATUS'
  | 'HBONE_RESPONSE_TIMEOUT'
  | 'HBONE_TUNNEL_LOST'
  | 'HBONE_REFUSED_STREAM'
  | 'HBONE_ABORTED'
  | 'HBONE_LIMIT'
  | 'HBONE_CLOSED';

export interface HboneErrorOptions extends MeshErrorOptions {
  /** Only with HBONE_STATUS. */
  readonly status?: number;
  /** With HBONE_TLS and HBONE_PEER_IDENTITY. */
  readonly refusal?: PeerRefusal;
}

export class HboneError extends MeshError<HboneErrorCode> {
  override readonly name: string = 'HboneError';
  readonly status: number | undefined;
  /** Why the peer was not taken; undefined: it is not about who it is. */
  readonly refusal: PeerRefusal | undefined;

  constructor(code: HboneErrorCode, message: string, options: HboneErrorOptions) {
    super(code, message, options);
    this.status = options.status;
    this.refusal = options.refusal;
  }
}

/** Of agents and waypoints, ours and others'; Envoy says 403. */
const POLICY_STATUSES: ReadonlySet<number | undefined> = new Set([401, 403]);

/** Whether policy at the other end said no: an answer, which is not asked of somebody else. */
export function isPolicyRefusal(error: unknown): error is HboneError {
  return error instanceof HboneError && POLICY_STATUSES.has(error.status);
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}

/** Errors of a TLS socket. Alerts and verification failures are HBONE_TLS, the rest is I/O. */
export function fromTlsError(error: unknown, side: ErrorSide): MeshError {
  if (error instanceof MeshError) {
    return error;
  }
  const code = codeOf(error);
  const refusal = refusalOfCode(code);
  if (refusal === undefined) {
    return fromIoError(error, side);
  }
  const message = error instanceof Error ? error.message : String(error);
  return new HboneError('HBONE_TLS', `tls error (${refusal}): ${message.slice(0, 200)}`, {
    side,
    refusal,
    cause: error,
  });
}

/** A chain that OpenSSL refused, by its code for that. */
export function refusedChain(code: string, side: ErrorSide): HboneError {
  const refusal = refusalOfCode(code) ?? 'chain';
  const message = `tls error (${refusal}): the peer's certificate was refused: ${code}`;
  return new HboneError('HBONE_TLS', message, { side, refusal });
}

/** A peer that OpenSSL accepted. `role` is the peer's. */
export function refusedPeer(
  role: PeerRole,
  refusal: PeerRefusal,
  why: string,
  cause?: unknown,
): HboneError {
  const side = role === 'server' ? 'upstream' : 'downstream';
  return new HboneError('HBONE_PEER_IDENTITY', `the ${role} was refused (${refusal}): ${why}`, {
    side,
    refusal,
    cause,
  });
}

export function lostInHandshake(): HboneError {
  return new HboneError('HBONE_TUNNEL_LOST', 'the peer closed during the handshake', {
    side: 'upstream',
  });
}

/** The peer has not looked at the stream, or this end could not open it: it may be asked elsewhere. */
const UNPROCESSED: ReadonlySet<string> = new Set(['H2_REFUSED', 'H2_CLOSED', 'H2_LIMIT']);

/** Why a stream was over before its CONNECT was answered. Ends that are normal pass through. */
export function fromH2Error(error: MeshError, side: ErrorSide): MeshError {
  if (!(error instanceof H2Error)) {
    return error;
  }
  if (UNPROCESSED.has(error.code)) {
    return new HboneError('HBONE_REFUSED_STREAM', 'the peer takes no more streams here', {
      side,
      retryable: true,
      cause: error,
    });
  }
  return new HboneError('HBONE_H2', `h2 failed: ${error.message.slice(0, 200)}`, {
    side,
    cause: error,
  });
}

/** All sessions are taken. `where`: who refuses. */
export function sessionLimit(what: string, side: ErrorSide): HboneError {
  return new HboneError('HBONE_LIMIT', `refused: ${what}`, { side, retryable: true });
}

export function poolClosed(): HboneError {
  return new HboneError('HBONE_CLOSED', 'the pool is closed', { side: 'local', retryable: true });
}

export function endpointLeft(): HboneError {
  return new HboneError('HBONE_ENDPOINT_LEFT', 'the endpoint left before a tunnel to it stood', {
    side: 'upstream',
    retryable: true,
  });
}

export function poolLimit(what: string): HboneError {
  return new HboneError('HBONE_LIMIT', `refused: ${what}`, { side: 'local', retryable: true });
}
