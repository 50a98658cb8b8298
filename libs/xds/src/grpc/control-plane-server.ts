/**
 * The controller's gRPC port: delta ADS and certificates over TLS, every call with a bearer token.
 *
 * The serving certificate can be replaced while it runs; open connections keep theirs.
 */
import type { TokenVerifier } from '@ambit/identity';
import { experimental, type handleBidiStreamingCall, Server } from '@grpc/grpc-js';

import { XdsError } from '../errors.ts';
import type {
  DeltaDiscoveryRequest,
  DeltaDiscoveryResponse,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import type { DeltaServer, OpenStream } from '../server/delta-server.ts';
import { type CertificateServiceOptions, certificateHandler } from './certificate-service.ts';
import { MESSAGE_BYTES_MAX } from './channel.ts';
import { CREATE_CERTIFICATE_METHOD, DELTA_METHOD, WATCH_REPLICA_METHOD } from './methods.ts';
import { authenticate, toServiceError } from './refusals.ts';
import { type ReplicaServiceOptions, replicaHandler } from './replica-service.ts';

/** The versions that 300,000 held resources claim on a reconnect. */
const REQUEST_BYTES_MAX = 32 * 1024 * 1024;
const KEEPALIVE_MS = 30_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;
/** Requests that one stream may have waiting while its token is verified. */
const EARLY_REQUESTS_MAX = 64;

export interface ServingKeys {
  readonly privateKeyPem: string;
  /** Leaf and intermediates. */
  readonly certificateChainPem: string;
}

export interface ControlPlaneServerOptions {
  readonly delta: DeltaServer;
  readonly verifier: TokenVerifier;
  readonly certificates: CertificateServiceOptions;
  readonly serving: ServingKeys;
  /** Where there are other replicas. */
  readonly replicas?: ReplicaServiceOptions;
}

export class ControlPlaneServer {
  readonly #server: Server;
  readonly #identity: ServingIdentity;
  readonly #delta: DeltaServer;

  constructor(options: ControlPlaneServerOptions) {
    this.#delta = options.delta;
    this.#identity = new ServingIdentity(options.serving);
    this.#server = new Server({
      'grpc.max_receive_message_length': REQUEST_BYTES_MAX,
      'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
      'grpc.keepalive_time_ms': KEEPALIVE_MS,
      'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    });
    this.#server.addService(
      { delta: DELTA_METHOD, certificate: CREATE_CERTIFICATE_METHOD },
      {
        delta: deltaHandler(options.delta, options.verifier),
        certificate: certificateHandler(options.certificates),
      },
    );
    const { replicas, verifier } = options;
    if (replicas !== undefined) {
      this.#server.addService(
        { watch: WATCH_REPLICA_METHOD },
        { watch: replicaHandler(replicas, verifier) },
      );
    }
  }

  /** `[::]:15012`, `127.0.0.1:0`. Resolves with the port. */
  async listen(address: string): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    const credentials = experimental.createCertificateProviderServerCredentials(
      // Its declaration names these two the wrong way round: the first is asked for the identity, and
      // without the second no client certificate is asked for.
      this.#identity,
      null,
      false,
    );
    this.#server.bindAsync(address, credentials, (error, port) => {
      if (error === null) {
        resolve(port);
      } else {
        reject(new XdsError('XDS_TRANSPORT', error.message, { side: 'local', cause: error }));
      }
    });
    return await promise;
  }

  /** For connections made from now on. */
  setServing(serving: ServingKeys): void {
    this.#identity.set(serving);
  }

  /** Ends all streams and connections. Idempotent. */
  stop(): void {
    this.#delta.stop();
    this.#server.forceShutdown();
  }
}

type IdentityListener = Parameters<
  experimental.CertificateProvider['addIdentityCertificateListener']
>[0];

/** What grpc-js asks for keys; without client certificates it never needs roots. */
class ServingIdentity implements experimental.CertificateProvider {
  #update: { readonly certificate: Buffer; readonly privateKey: Buffer };
  readonly #listeners = new Set<IdentityListener>();

  constructor(serving: ServingKeys) {
    this.#update = toUpdate(serving);
  }

  set(serving: ServingKeys): void {
    this.#update = toUpdate(serving);
    for (const listener of this.#listeners) {
      listener(this.#update);
    }
  }

  addIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.add(listener);
    process.nextTick(() => {
      if (this.#listeners.has(listener)) {
        listener(this.#update);
      }
    });
  }

  removeIdentityCertificateListener(listener: IdentityListener): void {
    this.#listeners.delete(listener);
  }

  addCaCertificateListener(): void {
    // Clients show no certificate.
  }

  removeCaCertificateListener(): void {
    // See above.
  }
}

function toUpdate(serving: ServingKeys): { certificate: Buffer; privateKey: Buffer } {
  return {
    certificate: Buffer.from(serving.certificateChainPem),
    privateKey: Buffer.from(serving.privateKeyPem),
  };
}

function deltaHandler(
  delta: DeltaServer,
  verifier: TokenVerifier,
): handleBidiStreamingCall<DeltaDiscoveryRequest, DeltaDiscoveryResponse> {
  return (call) => {
    const early: DeltaDiscoveryRequest[] = [];
    let stream: OpenStream | undefined;
    let isOver = false;
    const end = (error?: unknown): void => {
      if (isOver) {
        return;
      }
      isOver = true;
      stream?.close();
      if (error === undefined) {
        call.end();
      } else {
        call.emit('error', toServiceError(error));
      }
    };
    call.on('data', (request: DeltaDiscoveryRequest) => {
      if (stream !== undefined) {
        stream.receive(request);
      } else if (early.length < EARLY_REQUESTS_MAX) {
        early.push(request);
      } else {
        end(new XdsError('XDS_LIMIT', 'too many requests before the first answer'));
      }
    });
    call.on('end', () => end());
    call.on('cancelled', () => end());
    call.on('error', () => end());
    authenticate(call, verifier)
      .then((caller) => {
        if (isOver) {
          return;
        }
        stream = delta.open({ send: (response) => call.write(response), fail: end }, caller);
        for (const request of early) {
          if (!isOver) {
            stream.receive(request);
          }
        }
      })
      .catch(end);
  };
}
