/**
 * Errors of this package. `code` is stable; the CA's answers to a peer are made from it elsewhere, so
 * that a message with detail never reaches someone who asks for an identity that is not theirs.
 */
import { type ErrorSide, MeshError } from '@ambit/core';

export type IdentityErrorCode =
  | 'IDENTITY_SPIFFE_INVALID'
  | 'IDENTITY_PEM_INVALID'
  | 'IDENTITY_DER_INVALID'
  | 'IDENTITY_CSR_INVALID'
  | 'IDENTITY_CHAIN_INVALID'
  | 'IDENTITY_CRL_INVALID'
  | 'IDENTITY_LIFETIME_INVALID'
  | 'IDENTITY_CA_INVALID'
  | 'IDENTITY_CA_UNAVAILABLE'
  | 'IDENTITY_TOKEN_INVALID'
  | 'IDENTITY_TOKEN_KEYS_UNAVAILABLE'
  | 'IDENTITY_TOKEN_REVIEW_UNAVAILABLE'
  | 'IDENTITY_CERTIFICATE_UNAVAILABLE'
  | 'IDENTITY_CERTIFICATE_MISMATCH'
  | 'IDENTITY_LIMIT'
  | 'IDENTITY_STOPPED';

export interface IdentityErrorOptions {
  readonly side?: ErrorSide;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

export class IdentityError extends MeshError<IdentityErrorCode> {
  override readonly name = 'IdentityError';

  constructor(code: IdentityErrorCode, message: string, options: IdentityErrorOptions = {}) {
    super(code, message, {
      side: options.side ?? 'local',
      retryable: options.retryable ?? false,
      cause: options.cause,
    });
  }
}

/** A value in a message: quoted and cut to 80 characters. */
export function quote(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 79)}…` : value);
}

/** The text of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
