/** The certificate service, client side: what `CertificateManager` signs with. */
import type { CertificateSigner } from '@ambit/identity';
import { create } from '@bufbuild/protobuf';
import { type Client, type ServiceError, status } from '@grpc/grpc-js';

import { XdsError } from '../errors.ts';
import {
  IstioCertificateRequestSchema,
  type IstioCertificateResponse,
} from '../gen/istio/v1/auth/ca_pb.ts';
import { type ControlPlaneAddress, callMetadata, connect } from './channel.ts';
import { CREATE_CERTIFICATE_METHOD } from './methods.ts';

const ANSWERS: ReadonlySet<status> = new Set([
  status.UNAUTHENTICATED,
  status.PERMISSION_DENIED,
  status.INVALID_ARGUMENT,
  status.INTERNAL,
]);

export interface CertificateClient {
  readonly sign: CertificateSigner;
  close(): void;
}

/**
 * One connection for all requests; a new one when the root's text changes or the connection failed.
 * `impersonate`: name the identity in the metadata, as node agents do; else the CA signs the caller's own.
 */
export function createCertificateClient(
  options: ControlPlaneAddress & { readonly impersonate: boolean },
): CertificateClient {
  let current: { readonly root: string; readonly client: Promise<Client> } | undefined;
  const drop = (): void => {
    // A connection that could not be made has nothing to close, and its request has the reason.
    current?.client.then((client) => client.close()).catch(() => undefined);
    current = undefined;
  };
  const clientFor = async (): Promise<Client> => {
    const root = await options.rootCa();
    if (current === undefined || current.root !== root) {
      drop();
      const connecting = { ...options, rootCa: () => Promise.resolve(root) };
      // Not the request's signal: others may wait for the same connection.
      current = { root, client: connect(connecting, new AbortController().signal) };
    }
    return await current.client;
  };
  return {
    sign: async ({ identity, csrPem, ttlSeconds, signal }) => {
      const metadata = await callMetadata(options);
      try {
        const client = await clientFor();
        signal.throwIfAborted();
        const request = create(IstioCertificateRequestSchema, {
          csr: csrPem,
          validityDuration: BigInt(Math.round(ttlSeconds)),
          ...(options.impersonate ? { metadata: { ImpersonatedIdentity: identity } } : {}),
        });
        const response = await new Promise<IstioCertificateResponse>((resolve, reject) => {
          const { path, requestSerialize, responseDeserialize } = CREATE_CERTIFICATE_METHOD;
          const call = client.makeUnaryRequest(
            path,
            requestSerialize,
            responseDeserialize,
            request,
            metadata,
            (error, value) => {
              if (error !== null || value === undefined) {
                reject(refused(error));
              } else {
                resolve(value);
              }
            },
          );
          signal.addEventListener('abort', () => call.cancel(), { once: true });
        });
        return response.certChain;
      } catch (error) {
        if (!isAnswer(error)) {
          drop();
        }
        throw error;
      }
    },
    close: drop,
  };
}

/** The CA said no: the connection works, and others may be using it. */
function isAnswer(error: unknown): boolean {
  const cause = error instanceof XdsError ? (error.cause as Partial<ServiceError>) : undefined;
  return cause?.code !== undefined && ANSWERS.has(cause.code);
}

function refused(cause: Error | null): XdsError {
  return new XdsError('XDS_CA_REFUSED', `the CA refused: ${cause?.message ?? 'no answer'}`, {
    retryable: true,
    cause,
  });
}
