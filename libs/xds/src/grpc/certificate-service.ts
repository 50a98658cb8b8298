/**
 * The certificate service, server side: authenticate, authorise, sign, and say no more than is due.
 *
 * Whoever may not have an identity learns only that; a bad request or lifetime is answered with text.
 */
import {
  authorizeCertificateRequest,
  type CertificateIssuer,
  formatSpiffeId,
  IdentityError,
  type PodIndex,
  type TokenCaller,
  type TokenVerifier,
} from '@ambit/identity';
import { create } from '@bufbuild/protobuf';
import { type handleUnaryCall, status } from '@grpc/grpc-js';

import { reasonOf } from '../errors.ts';
import {
  type IstioCertificateRequest,
  type IstioCertificateResponse,
  IstioCertificateResponseSchema,
} from '../gen/istio/v1/auth/ca_pb.ts';
import {
  bearerToken,
  GrpcRefusal,
  hostOfPeer,
  type ServerCall,
  toServiceError,
} from './refusals.ts';

export type CertificateServiceEvent =
  | {
      readonly kind: 'issued';
      readonly caller: TokenCaller;
      readonly identity: string;
      readonly serialNumber: string;
      readonly notAfterMs: number;
    }
  /** `reason` is for the log and must not reach the caller. */
  | {
      readonly kind: 'refused';
      readonly caller: TokenCaller | undefined;
      readonly requestedIdentity: string | undefined;
      readonly reason: string;
    };

export interface CertificateServiceOptions {
  readonly verifier: TokenVerifier;
  readonly authority: CertificateIssuer;
  readonly index: PodIndex;
  /** `namespace/serviceaccount`. */
  readonly trustedNodeAccounts: ReadonlySet<string>;
  readonly onEvent?: (event: CertificateServiceEvent) => void;
}

export type CertificateHandler = handleUnaryCall<IstioCertificateRequest, IstioCertificateResponse>;

export function certificateHandler(options: CertificateServiceOptions): CertificateHandler {
  return (call, callback) => {
    createCertificate(options, call.request, call).then(
      (certChain) => callback(null, create(IstioCertificateResponseSchema, { certChain })),
      (error: unknown) => callback(toServiceError(error)),
    );
  };
}

async function createCertificate(
  options: CertificateServiceOptions,
  request: IstioCertificateRequest,
  call: ServerCall,
): Promise<string[]> {
  const impersonated = request.metadata?.['ImpersonatedIdentity'];
  const requestedIdentity = typeof impersonated === 'string' ? impersonated : undefined;
  const refuse = (reason: string, refusal: GrpcRefusal, caller?: TokenCaller): GrpcRefusal => {
    options.onEvent?.({ kind: 'refused', caller, requestedIdentity, reason });
    return refusal;
  };
  const caller = await authenticate(options.verifier, call).catch((error: unknown) => {
    throw refuse(reasonOf(error), authenticationRefusal(error));
  });
  const { authority, index, trustedNodeAccounts, onEvent } = options;
  const decision = authorizeCertificateRequest({
    caller,
    ...(requestedIdentity === undefined ? {} : { requestedIdentity }),
    trustDomain: authority.trustDomain,
    trustedNodeAccounts,
    index,
  });
  if (decision.kind === 'refused') {
    const refusal = new GrpcRefusal(status.UNAUTHENTICATED, decision.publicMessage);
    throw refuse(decision.reason, refusal, caller);
  }
  try {
    const { identity } = decision;
    const ttlSeconds = Number(request.validityDuration);
    const issued = await authority.sign({ csrPem: request.csr, identity, ttlSeconds });
    const { serialNumber, notAfterMs } = issued;
    onEvent?.({
      kind: 'issued',
      caller,
      identity: formatSpiffeId(identity),
      serialNumber,
      notAfterMs,
    });
    return [...issued.chain];
  } catch (error) {
    throw refuse(reasonOf(error), signingRefusal(error), caller);
  }
}

async function authenticate(verifier: TokenVerifier, call: ServerCall): Promise<TokenCaller> {
  const token = bearerToken(call.metadata);
  if (token === undefined) {
    throw new IdentityError('IDENTITY_TOKEN_INVALID', 'no bearer token');
  }
  return await verifier.verify(token, hostOfPeer(call));
}

/** Nobody could say whether the token is good: that is no word about the caller. */
function authenticationRefusal(error: unknown): GrpcRefusal {
  return error instanceof IdentityError && error.retryable
    ? new GrpcRefusal(status.UNAVAILABLE, 'authentication is not possible now')
    : new GrpcRefusal(status.UNAUTHENTICATED, 'request authenticate failure');
}

function signingRefusal(error: unknown): GrpcRefusal {
  const isTheirs =
    error instanceof IdentityError &&
    (error.code === 'IDENTITY_CSR_INVALID' || error.code === 'IDENTITY_LIFETIME_INVALID');
  if (isTheirs) {
    return new GrpcRefusal(status.INVALID_ARGUMENT, `CSR signing error (${error.message})`);
  }
  return error instanceof IdentityError && error.retryable
    ? new GrpcRefusal(status.UNAVAILABLE, 'CSR signing is not possible now')
    : new GrpcRefusal(status.INTERNAL, 'CSR signing error');
}
