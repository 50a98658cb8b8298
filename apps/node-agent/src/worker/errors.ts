/** Why the data plane refused or lost a connection; the code is in the access log and decides the flag. */
import { type ErrorSide, MeshError } from '@ambit/core';

export type WorkerErrorCode =
  /** Policy, or the guard of a port, said no. */
  | 'WORKER_DENIED'
  /** A change of policy cut an open connection. */
  | 'WORKER_DENIED_LATER'
  /** Routing gave no way: the routing code is in the text. */
  | 'WORKER_UNROUTABLE'
  | 'WORKER_WORKLOAD_UNKNOWN'
  | 'WORKER_BAD_REQUEST'
  | 'WORKER_CONNECT_TIMEOUT'
  | 'WORKER_LIMIT'
  | 'WORKER_POD_GONE'
  | 'WORKER_DRAINED'
  | 'WORKER_CLIENT_GONE';

export class WorkerError extends MeshError<WorkerErrorCode> {
  override readonly name = 'WorkerError';

  constructor(
    code: WorkerErrorCode,
    message: string,
    options: { readonly side?: ErrorSide; readonly cause?: unknown } = {},
  ) {
    super(code, message, { side: options.side ?? 'local', cause: options.cause });
  }
}

/** Values of the metric label `response_flags`, as the reference has them. */
export type ResponseFlag =
  | '-'
  | 'DENY'
  | 'CONNECT'
  | 'TLS_FAILURE'
  | 'H2_HANDSHAKE_FAILURE'
  | 'NETWORK_POLICY'
  | 'IDENTITY_ERROR';

const FLAGS: Readonly<Record<string, ResponseFlag>> = {
  WORKER_DENIED: 'DENY',
  WORKER_DENIED_LATER: 'DENY',
  HBONE_TLS: 'TLS_FAILURE',
  HBONE_PEER_IDENTITY: 'TLS_FAILURE',
  HBONE_H2: 'H2_HANDSHAKE_FAILURE',
  HBONE_TUNNEL_LOST: 'H2_HANDSHAKE_FAILURE',
  // Of a tunnel that stood.
  H2_PROTOCOL: 'H2_HANDSHAKE_FAILURE',
  H2_FLOOD: 'H2_HANDSHAKE_FAILURE',
  H2_STREAM_RESET: 'H2_HANDSHAKE_FAILURE',
  H2_GOAWAY: 'H2_HANDSHAKE_FAILURE',
  H2_HANDSHAKE_TIMEOUT: 'H2_HANDSHAKE_FAILURE',
  H2_PING_TIMEOUT: 'H2_HANDSHAKE_FAILURE',
  H2_STALLED: 'H2_HANDSHAKE_FAILURE',
  HBONE_CONNECT_TIMEOUT: 'NETWORK_POLICY',
  HBONE_NO_CERTIFICATE: 'IDENTITY_ERROR',
};

export function flagOf(error: MeshError | undefined): ResponseFlag {
  return error === undefined ? '-' : (FLAGS[error.code] ?? 'CONNECT');
}
