/** WebSocket: the same decisions as any request, then bytes both ways, joined by http2-proxy. */
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import http2Proxy from 'http2-proxy';
import type { UpgradeRequest } from '../downstream/http1.ts';
import { HttpError, toHttpError } from '../errors.ts';
import { HeaderList } from '../headers.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import { brokenOff } from '../upstream/failure.ts';
import { openRequest } from '../upstream/http1.ts';
import { linkTo } from '../upstream/link.ts';
import type { PooledSocket } from '../upstream/socket-pool.ts';
import { type Forwarding, pickFor, prepareForwarding } from './forward.ts';

/** What is used of http2-proxy, as it behaves: its own types ask for sockets and name other arguments. */
interface UpgradeProxy {
  ws(
    request: IncomingMessage,
    socket: Duplex,
    rest: Buffer,
    options: {
      readonly onReq: () => ClientRequest;
      readonly onRes: (
        request: IncomingMessage,
        response: undefined,
        answer: IncomingMessage,
      ) => Promise<void>;
    },
  ): Promise<void>;
}

const proxy = http2Proxy as unknown as UpgradeProxy;

/** From the request to the server's answer, when the route says nothing. */
const HANDSHAKE_TIMEOUT_MS = 15_000;

/** Resolves when the connection is over. Throws an HttpError while nothing was answered yet. */
export async function forwardUpgrade(
  tx: Transaction,
  upgrade: UpgradeRequest,
  context: EngineContext,
): Promise<void> {
  const forwarding = prepareForwarding(tx, context);
  const endpoint = pickFor(forwarding);
  tx.attempts = 1;
  const busy = forwarding.state.begin(endpoint.key);
  tx.onOver(() => busy[Symbol.dispose]());
  const timer = new AbortController();
  const limitMs = forwarding.timeoutMs ?? HANDSHAKE_TIMEOUT_MS;
  context.clock.sleep(limitMs, timer.signal).then(
    () =>
      tx.abort(
        new HttpError('HTTP_TIMEOUT', `no answer within ${limitMs} ms`, { side: 'upstream' }),
      ),
    () => undefined,
  );
  try {
    const pooled = await context.sockets.open(
      linkTo(tx.plane, forwarding.state, endpoint),
      tx.signal,
    );
    tx.onOver(() => pooled.socket.destroy());
    await join(forwarding, upgrade, pooled, () => timer.abort());
  } catch (error) {
    throw tx.signal.aborted ? toHttpError(tx.signal.reason) : toHttpError(error, 'upstream');
  } finally {
    timer.abort();
  }
}

async function join(
  { tx, head }: Forwarding,
  { request, socket, rest }: UpgradeRequest,
  pooled: PooledSocket,
  onAnswer: () => void,
): Promise<void> {
  const headers = head.headers.clone();
  headers.set('connection', 'Upgrade');
  headers.set('upgrade', 'websocket');
  headers.set('x-envoy-attempt-count', '1');
  // http2-proxy compares the value as it stands.
  request.headers.upgrade = 'websocket';
  let hasAnswered = false;
  const onOver = (): void => {
    pooled.socket.destroy();
    if (hasAnswered) {
      socket.destroy();
    }
  };
  tx.signal.addEventListener('abort', onOver, { once: true });
  const answered = (status: number): void => {
    hasAnswered = true;
    tx.status = status;
    onAnswer();
  };
  try {
    await proxy.ws(request, socket, rest, {
      onReq: () => {
        const client = openRequest(pooled.socket, {
          ...head,
          headers,
          body: undefined,
          trailers: () => undefined,
          signal: tx.signal,
        });
        client.once('upgrade', () => answered(101));
        return client;
      },
      onRes: async (_request, _response, response) => {
        answered(response.statusCode ?? 502);
        await answerRefusal(socket, response);
      },
    });
  } catch (error) {
    // After the answer this is only how the connection ended.
    if (!hasAnswered) {
      throw brokenOff(error, true);
    }
  } finally {
    tx.signal.removeEventListener('abort', onOver);
  }
}

/** The server does not want to switch: its answer is passed on, and the connection ends with it. */
async function answerRefusal(client: Duplex, response: IncomingMessage): Promise<void> {
  const headers = HeaderList.fromRaw(response.rawHeaders);
  headers.removeHopByHop();
  headers.set('connection', 'close');
  client.write(formatHead(response.statusCode ?? 502, headers));
  const { promise, resolve } = Promise.withResolvers<void>();
  response.once('close', resolve);
  response.on('error', () => client.destroy());
  response.pipe(client);
  await promise;
}

/** The head of an HTTP/1.1 response. Header values were checked by the parser that read them. */
export function formatHead(status: number, headers: HeaderList): string {
  let text = `HTTP/1.1 ${status} \r\n`;
  for (const [name, value] of headers) {
    text += `${name}: ${value}\r\n`;
  }
  return `${text}\r\n`;
}
