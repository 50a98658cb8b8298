/** One request over a pooled connection, by node:http. */
import {
  Agent,
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import type { Duplex } from 'node:stream';
import { HttpError } from '../errors.ts';
import { HeaderList } from '../headers.ts';
import { brokenOff } from './failure.ts';
import type { UpstreamLink, UpstreamRequest, UpstreamResponse } from './message.ts';
import type { PooledSocket, SocketPool } from './socket-pool.ts';

/** What node:http calls on an agent; its types do not say so. */
interface RequestWithSocket extends ClientRequest {
  onSocket(socket: Duplex): void;
}

/** Gives each request the connection that was taken for it. */
class GivenSocketAgent extends Agent {
  addRequest(request: RequestWithSocket, options: { readonly givenSocket: Duplex }): void {
    request.onSocket(options.givenSocket);
  }
}

const agent = new GivenSocketAgent({ keepAlive: true });
/** A server may close an idle connection at any moment; only these may then be sent again unasked. */
const IDEMPOTENT: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'OPTIONS',
  'PUT',
  'DELETE',
  'TRACE',
]);

/** Resolves with the head of the response. Rejects with an HttpError. */
export async function requestHttp1(
  pool: SocketPool,
  link: UpstreamLink,
  request: UpstreamRequest,
): Promise<UpstreamResponse> {
  const pooled = await pool.take(link, request.signal);
  const isReused = pooled.uses > 1;
  try {
    return await send(pool, pooled, request);
  } catch (error) {
    const mayRepeat =
      isReused &&
      request.body === undefined &&
      IDEMPOTENT.has(request.method) &&
      error instanceof HttpError &&
      error.code === 'HTTP_UPSTREAM_CLOSED' &&
      !request.signal.aborted;
    if (!mayRepeat) {
      throw error;
    }
    return await send(pool, await pool.open(link, request.signal), request);
  }
}

function send(
  pool: SocketPool,
  pooled: PooledSocket,
  request: UpstreamRequest,
): Promise<UpstreamResponse> {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamResponse>();
  const { socket } = pooled;
  const client = openRequest(socket, request);
  const onFree = (): void => pool.give(pooled);
  const onAbort = (): void => {
    client.destroy(request.signal.reason instanceof Error ? request.signal.reason : undefined);
    socket.destroy();
  };
  socket.once('free', onFree);
  client.once('close', () => request.signal.removeEventListener('abort', onAbort));
  request.signal.addEventListener('abort', onAbort, { once: true });
  client.on('error', (error) => {
    socket.off('free', onFree);
    socket.destroy();
    reject(request.signal.aborted ? request.signal.reason : brokenOff(error, true));
  });
  client.once('response', (response) => resolve(toResponse(response)));
  sendBody(client, request);
  if (request.signal.aborted) {
    onAbort();
  }
  return promise;
}

/** The request with its head ready; nothing is sent before its body or end. */
export function openRequest(socket: Duplex, request: UpstreamRequest): ClientRequest {
  const headers = request.headers.toNode();
  headers['host'] = request.authority;
  if (request.body !== undefined && headers['content-length'] === undefined) {
    headers['transfer-encoding'] = 'chunked';
  }
  const options: RequestOptions & { readonly givenSocket: Duplex } = {
    agent,
    givenSocket: socket,
    method: request.method,
    path: request.path,
    headers,
    setHost: false,
  };
  return httpRequest(options);
}

function sendBody(client: ClientRequest, { body, trailers, signal }: UpstreamRequest): void {
  if (body === undefined) {
    client.end();
    return;
  }
  body.once('end', () => {
    const fields = trailers();
    if (fields !== undefined && fields.size > 0) {
      client.addTrailers([...fields]);
    }
    client.end();
  });
  body.once('close', () => {
    // Cut in the middle: the server must not take what it has for all of it.
    if (!body.readableEnded && !signal.aborted) {
      client.destroy();
    }
  });
  body.pipe(client, { end: false });
}

function toResponse(response: IncomingMessage): UpstreamResponse {
  response.on('error', ignoreUntilClose);
  return {
    status: response.statusCode ?? 502,
    headers: HeaderList.fromRaw(response.rawHeaders),
    stream: response,
    trailers: () =>
      response.rawTrailers.length === 0 ? undefined : HeaderList.fromRaw(response.rawTrailers),
  };
}

/** `close` without `end` is what counts. */
function ignoreUntilClose(): void {}
