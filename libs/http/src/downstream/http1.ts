/**
 * HTTP/1.1 clients, by node:http: its parser decides what a message is, strictly.
 *
 * Conflicting framing (Content-Length with Transfer-Encoding, two lengths) is refused by the parser; what
 * it lets through and has no single meaning (two Host fields) is refused here.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { HeaderList } from '../headers.ts';
import type { HttpLimits } from '../limits.ts';
import type { Exchange, RequestHead, ResponseBody, ResponseHead, SendResult } from '../message.ts';
import { pump } from './pump.ts';

export interface UpgradeRequest {
  readonly head: RequestHead;
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** Bytes that came after the headers. */
  readonly rest: Buffer;
}

export interface Http1ServerOptions {
  readonly limits: HttpLimits;
  readonly onExchange: (exchange: Exchange, socket: Duplex) => void;
  readonly onUpgrade: (request: UpgradeRequest) => void;
  /** A message that the parser refused; it was answered. */
  readonly onRefused: (status: number, reason: string, socket: Duplex) => void;
  readonly isDraining: () => boolean;
}

/** A server that listens nowhere; connections are given to it by `serveHttp1`. */
export function createHttp1Server(options: Http1ServerOptions): Server {
  const { limits } = options;
  const server = createServer({
    insecureHTTPParser: false,
    requireHostHeader: true,
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersTimeoutMs,
    // Bodies of streams have no end in time.
    requestTimeout: 0,
    keepAliveTimeout: limits.idleTimeoutMs,
    joinDuplicateHeaders: true,
    shouldUpgradeCallback: (request) => upgradeOf(request) === 'websocket',
  });
  // The parser drops fields beyond its own count in silence; ours is checked by the engine.
  server.maxHeadersCount = 0;
  server.on('request', (request, response) => {
    options.onExchange(new Http1Exchange(request, response, options), request.socket);
  });
  server.on('checkContinue', (request, response) => {
    options.onExchange(new Http1Exchange(request, response, options, true), request.socket);
  });
  server.on('upgrade', (request, socket, rest) => {
    socket.on('error', ignoreUntilClose);
    options.onUpgrade({ head: headOf(request), request, socket, rest });
  });
  server.on('connect', (_request, socket) => {
    refuse(socket, 405, 'Method Not Allowed');
    options.onRefused(405, 'CONNECT inside a tunnel', socket);
  });
  server.on('clientError', (error, socket) => onClientError(error, socket, options));
  return server;
}

/** Gives a connection to the server. */
export function serveHttp1(server: Server, socket: Duplex): void {
  socket.on('error', ignoreUntilClose);
  server.emit('connection', withSocketMethods(socket));
}

/** What node:http and http2-proxy call on a socket and a tunnel has no use for. */
export function withSocketMethods(stream: Duplex): Duplex {
  return Object.assign(stream, {
    setTimeout: (): Duplex => stream,
    setNoDelay: (): Duplex => stream,
    setKeepAlive: (): Duplex => stream,
    ref: (): Duplex => stream,
    unref: (): Duplex => stream,
  });
}

function onClientError(error: Error, socket: Duplex, options: Http1ServerOptions): void {
  const code = 'code' in error ? String(error.code) : '';
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, text] =
    code === 'HPE_HEADER_OVERFLOW'
      ? ([431, 'Request Header Fields Too Large'] as const)
      : code === 'ERR_HTTP_REQUEST_TIMEOUT'
        ? ([408, 'Request Timeout'] as const)
        : ([400, 'Bad Request'] as const);
  options.onRefused(status, code === '' ? error.message : code, socket);
  refuse(socket, status, text);
}

function refuse(socket: Duplex, status: number, text: string): void {
  socket.end(
    `HTTP/1.1 ${status} ${text}\r\nconnection: close\r\ncontent-type: text/plain\r\ncontent-length: ${text.length}\r\n\r\n${text}`,
  );
}

/** The protocol of `Upgrade`, when `Connection` names it too. */
function upgradeOf(request: IncomingMessage): string | undefined {
  const asks = /(?:^|[\s,])upgrade(?:$|[\s,])/i.test(request.headers.connection ?? '');
  return asks ? request.headers.upgrade?.trim().toLowerCase() : undefined;
}

function headOf(request: IncomingMessage): RequestHead {
  const headers = HeaderList.fromRaw(request.rawHeaders);
  const authority = headers.count('host') === 1 ? (headers.get('host') ?? '') : '';
  headers.remove('host');
  const upgrade = upgradeOf(request);
  return {
    version: request.httpVersion === '1.0' ? '1.0' : '1.1',
    method: request.method ?? '',
    scheme: 'http',
    authority,
    target: request.url ?? '',
    headers,
    ...(upgrade === undefined ? {} : { upgrade }),
  };
}

class Http1Exchange implements Exchange {
  readonly head: RequestHead;
  readonly body: IncomingMessage | undefined;
  readonly gone: AbortSignal;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #options: Http1ServerOptions;
  #expectsContinue: boolean;

  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    options: Http1ServerOptions,
    expectsContinue = false,
  ) {
    this.#request = request;
    this.#response = response;
    this.#options = options;
    this.#expectsContinue = expectsContinue;
    this.head = headOf(request);
    this.body = hasBody(request) ? request : undefined;
    const gone = new AbortController();
    this.gone = gone.signal;
    response.on('error', ignoreUntilClose);
    request.on('error', ignoreUntilClose);
    response.once('close', () => {
      if (!response.writableFinished) {
        gone.abort();
      }
    });
    if (this.body === undefined) {
      request.resume();
    }
  }

  readonly requestTrailers = (): HeaderList | undefined => {
    const { rawTrailers } = this.#request;
    return rawTrailers.length === 0 ? undefined : HeaderList.fromRaw(rawTrailers);
  };

  sendContinue(): void {
    if (this.#expectsContinue) {
      this.#expectsContinue = false;
      this.#response.writeContinue();
    }
  }

  async respond(head: ResponseHead, body: ResponseBody): Promise<SendResult> {
    const response = this.#response;
    if (response.destroyed) {
      return 'client-gone';
    }
    // A body that nobody asked for yet, or that is not read to its end, leaves the connection unusable.
    const isUnread = this.body !== undefined && !this.#request.readableEnded;
    if (this.#options.isDraining() || this.#expectsContinue || isUnread) {
      response.shouldKeepAlive = false;
    }
    response.writeHead(head.status, head.headers.toNode());
    if (body.kind === 'stream') {
      const { stream, trailers } = body;
      response.flushHeaders();
      return await pump(stream, response, () => {
        const fields = trailers();
        if (fields !== undefined && fields.size > 0) {
          response.addTrailers([...fields]);
        }
        response.end();
      });
    }
    const { promise, resolve } = Promise.withResolvers<SendResult>();
    response.once('finish', () => resolve('complete'));
    response.once('close', () => resolve('client-gone'));
    response.end(body.bytes);
    return await promise;
  }

  reset(): void {
    this.#response.destroy();
  }
}

/** A request without either field has none (RFC 9112 §6.3). */
function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** `close` follows and is what counts. */
function ignoreUntilClose(): void {}
