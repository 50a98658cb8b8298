/**
 * gRPC channels to the control plane: TLS 1.3, its root from a file that is read each time, a bearer
 * token from a file that is read for each call (both rotate while we run).
 */
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { checkServerIdentity, createSecureContext } from 'node:tls';

import { Client, connectivityState, credentials, Metadata } from '@grpc/grpc-js';

import { reasonOf, XdsError } from '../errors.ts';
import { grpcTarget } from './target.ts';

export const MESSAGE_BYTES_MAX = 200 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 5_000;
/** A machine that is gone says nothing. Other servers allow pings no closer than 15 s. */
const KEEPALIVE_MS = 20_000;
const KEEPALIVE_TIMEOUT_MS = 10_000;

export interface ControlPlaneAddress {
  /** `https://host:port` or `host:port`. */
  readonly address: string;
  /** PEM text, read for each connection. */
  readonly rootCa: () => Promise<string>;
  /** Read for each call. Undefined: none is sent. */
  readonly token: () => Promise<string | undefined>;
  readonly clusterId: string;
  /** The name to verify instead of the address's host. */
  readonly serverName?: string;
  /** More metadata, from `XDS_HEADER_*` and `CA_HEADER_*`. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** Text of a file, for `rootCa`. */
export function fileText(path: string): () => Promise<string> {
  return async () => await readFile(path, 'utf8');
}

/** A token file without its line end, for `token`. */
export function tokenFile(path: string): () => Promise<string> {
  return async () => (await readFile(path, 'utf8')).trim();
}

/** A connected client with its own connection, or XDS_TRANSPORT at the first failure, with its cause. */
export async function connect(target: ControlPlaneAddress, signal: AbortSignal): Promise<Client> {
  const client = makeClient(target, await target.rootCa());
  const onAbort = (): void => client.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    signal.throwIfAborted();
    const state = await firstOutcome(client);
    if (state !== connectivityState.READY) {
      throw new XdsError(
        'XDS_TRANSPORT',
        `no connection to ${target.address}: ${await failureOf(client)}`,
        { retryable: true },
      );
    }
    return client;
  } catch (error) {
    client.close();
    throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** Ready, failed, closed, or still connecting at the time limit. */
async function firstOutcome(client: Client): Promise<connectivityState> {
  const channel = client.getChannel();
  const deadline = Date.now() + CONNECT_TIMEOUT_MS;
  for (;;) {
    const state = channel.getConnectivityState(true);
    const isWaiting = state === connectivityState.IDLE || state === connectivityState.CONNECTING;
    if (!isWaiting || Date.now() >= deadline) {
      return state;
    }
    await new Promise<void>((resolve) => {
      channel.watchConnectivityState(state, deadline, () => resolve());
    });
  }
}

/** A channel does not say why it failed, a call on it does. This one is of a method that nobody has. */
async function failureOf(client: Client): Promise<string> {
  if (client.getChannel().getConnectivityState(false) !== connectivityState.TRANSIENT_FAILURE) {
    return `not connected within ${CONNECT_TIMEOUT_MS} ms`;
  }
  return await new Promise((resolve) => {
    client.makeUnaryRequest(
      '/ambit.mesh.v1.Probe/Probe',
      () => Buffer.alloc(0),
      () => undefined,
      undefined,
      (error) => resolve(error?.details ?? 'it was refused'),
    );
  });
}

/** Metadata of one call. */
export async function callMetadata(target: ControlPlaneAddress): Promise<Metadata> {
  const metadata = new Metadata();
  const token = await readToken(target);
  if (token !== undefined) {
    metadata.set('authorization', `Bearer ${token}`);
  }
  metadata.set('clusterid', target.clusterId);
  for (const [name, value] of Object.entries(target.headers ?? {})) {
    metadata.set(name.toLowerCase(), value);
  }
  return metadata;
}

async function readToken(target: ControlPlaneAddress): Promise<string | undefined> {
  try {
    return await target.token();
  } catch (cause) {
    throw new XdsError('XDS_TRANSPORT', `no token: ${reasonOf(cause)}`, {
      side: 'local',
      retryable: true,
      cause,
    });
  }
}

function makeClient(target: ControlPlaneAddress, rootPem: string): Client {
  const context = createSecureContext({ ca: rootPem, minVersion: 'TLSv1.3' });
  const { name, serverName } = verifiedName(target);
  const secure = credentials.createFromSecureContext(context, {
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  });
  return new Client(grpcTarget(target.address), secure, {
    'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
    'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    'grpc.keepalive_time_ms': KEEPALIVE_MS,
    'grpc.keepalive_timeout_ms': KEEPALIVE_TIMEOUT_MS,
    // A channel of its own: one that failed must not hand its back-off to the next.
    'grpc.use_local_subchannel_pool': 1,
    'grpc.enable_retries': 0,
    'grpc.ssl_target_name_override': serverName,
    'grpc.default_authority': target.serverName ?? grpcTarget(target.address),
  });
}

/**
 * The name or address that the certificate must have, and the name for SNI: an address may not stand
 * there (RFC 6066 §3), Node refuses it, and grpc-js would send it.
 */
function verifiedName(target: ControlPlaneAddress): { name: string; serverName: string } {
  const host = grpcTarget(target.address)
    .replace(/:\d+$/, '')
    .replace(/^\[|\]$/g, '');
  const name = target.serverName ?? host;
  return { name, serverName: isIP(name) === 0 ? name : 'address.invalid' };
}
