/** Errors of this package. A refused resource is data (`Rejection`), not an error that ends a stream. */
import { type ErrorSide, MeshError } from '@ambit/core';

export type XdsErrorCode =
  | 'XDS_RESOURCE_INVALID'
  | 'XDS_NOT_EXPRESSIBLE'
  | 'XDS_REQUEST_INVALID'
  | 'XDS_UNAUTHENTICATED'
  | 'XDS_FORBIDDEN'
  | 'XDS_LIMIT'
  | 'XDS_TRANSPORT'
  | 'XDS_CA_REFUSED'
  | 'XDS_STOPPED';

export interface XdsErrorOptions {
  readonly side?: ErrorSide;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

export class XdsError extends MeshError<XdsErrorCode> {
  override readonly name = 'XdsError';

  constructor(code: XdsErrorCode, message: string, options: XdsErrorOptions = {}) {
    super(code, message, {
      side: options.side ?? 'control-plane',
      retryable: options.retryable ?? false,
      cause: options.cause,
    });
  }
}

/** A resource that must not be used, and why. */
export function invalidResource(why: string): XdsError {
  return new XdsError('XDS_RESOURCE_INVALID', why);
}

/** The text of whatever was thrown. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
