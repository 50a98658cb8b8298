/** How the server says no: gRPC statuses, and nothing of what happened inside. */
import { IdentityError, type TokenCaller, type TokenVerifier } from '@ambit/identity';
import { type Metadata, type ServerErrorResponse, status } from '@grpc/grpc-js';

import { XdsError, type XdsErrorCode } from '../errors.ts';

export class GrpcRefusal extends Error {
  override readonly name = 'GrpcRefusal';
  readonly code: status;

  constructor(code: status, message: string) {
    super(message);
    this.code = code;
  }
}

const CODES: Readonly<Partial<Record<XdsErrorCode, status>>> = {
  XDS_UNAUTHENTICATED: status.UNAUTHENTICATED,
  XDS_FORBIDDEN: status.PERMISSION_DENIED,
  XDS_REQUEST_INVALID: status.INVALID_ARGUMENT,
  XDS_LIMIT: status.RESOURCE_EXHAUSTED,
  XDS_STOPPED: status.UNAVAILABLE,
};

export function toServiceError(error: unknown): Partial<ServerErrorResponse> & {
  readonly code: status;
  readonly details: string;
} {
  const code =
    error instanceof GrpcRefusal
      ? error.code
      : error instanceof XdsError
        ? CODES[error.code]
        : undefined;
  if (code === undefined || !(error instanceof Error)) {
    return { code: status.INTERNAL, details: 'internal error' };
  }
  return { code, details: error.message };
}

/** The token of an `authorization: Bearer …`, if there is exactly one. */
export function bearerToken(metadata: Metadata): string | undefined {
  const [value, second] = metadata.get('authorization');
  const match =
    typeof value === 'string' && second === undefined ? /^Bearer (\S+)$/i.exec(value) : null;
  return match?.[1];
}

/** The address of the caller without its port. */
export function hostOfPeer(call: Pick<ServerCall, 'getPeer'>): string {
  const peer = call.getPeer();
  const colon = peer.lastIndexOf(':');
  return colon < 0 ? peer : peer.slice(0, colon);
}

/** What of a call says who is calling. */
export interface ServerCall {
  readonly metadata: Metadata;
  getPeer(): string;
}

/** Who is calling, by the token of its metadata. Throws what `toServiceError` answers with. */
export async function authenticate(
  call: ServerCall,
  verifier: TokenVerifier,
): Promise<TokenCaller> {
  const token = bearerToken(call.metadata);
  try {
    if (token === undefined) {
      throw new Error('no bearer token');
    }
    return await verifier.verify(token, hostOfPeer(call));
  } catch (cause) {
    if (cause instanceof IdentityError && cause.retryable) {
      throw new GrpcRefusal(status.UNAVAILABLE, 'authentication is not possible now');
    }
    throw new XdsError('XDS_UNAUTHENTICATED', 'authentication failure', {
      side: 'downstream',
      cause,
    });
  }
}
