/** HTTP/2 clients, by node:http2 on any byte stream: one session a connection, one exchange a stream. */
import {
  constants,
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Duplex } from 'node:stream';
import { HeaderList } from '../headers.ts';
import type { HttpLimits } from '../limits.ts';
import type { Exchange, RequestHead, ResponseBody, ResponseHead, SendResult } from '../message.ts';
import { pump } from './pump.ts';

const WINDOW_BYTES = 1024 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * WINDOW_BYTES;
/** Fields beyond the engine's own limit that are still read, so that the answer can be 431. */
const EXTRA_PAIRS = 64;

export interface Http2ServerOptions {
  readonly limits: HttpLimits;
  readonly onExchange: (exchange: Exchange) => void;
}

/** Takes over the stream. The session ends with it. */
export function serveHttp2(socket: Duplex, options: Http2ServerOptions): ServerHttp2Session {
  const { limits } = options;
  const session = performServerHandshake(socket, {
    settings: {
      maxConcurrentStreams: limits.streamsPerConnectionMax,
      maxHeaderListSize: limits.headerBytesMax,
      initialWindowSize: WINDOW_BYTES,
    },
    maxHeaderListPairs: limits.headersMax + EXTRA_PAIRS,
    maxSettings: 32,
    maxOutstandingPings: 10,
    maxSessionInvalidFrames: 32,
    maxSessionRejectedStreams: 100,
    // Rapid reset: bounded by nghttp2.
    streamResetBurst: 200,
    streamResetRate: 33,
  });
  socket.on('error', ignoreUntilClose);
  session.on('error', ignoreUntilClose);
  session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
  session.on('stream', (stream, headers, flags) => {
    const hasEnded = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    options.onExchange(new Http2Exchange(stream, headers, hasEnded));
  });
  return session;
}

class Http2Exchange implements Exchange {
  readonly head: RequestHead;
  readonly body: ServerHttp2Stream | undefined;
  readonly gone: AbortSignal;
  readonly #stream: ServerHttp2Stream;
  #trailers: HeaderList | undefined;
  #expectsContinue: boolean;

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, hasEnded: boolean) {
    this.#stream = stream;
    const fields = HeaderList.fromNode(headers);
    const authority = String(headers[':authority'] ?? headers['host'] ?? '');
    fields.remove('host');
    this.#expectsContinue = fields.get('expect')?.toLowerCase() === '100-continue';
    this.head = {
      version: '2',
      method: String(headers[':method'] ?? ''),
      scheme: headers[':scheme'] === 'https' ? 'https' : 'http',
      authority,
      target: String(headers[':path'] ?? ''),
      headers: fields,
    };
    this.body = hasEnded ? undefined : stream;
    const gone = new AbortController();
    this.gone = gone.signal;
    stream.on('error', ignoreUntilClose);
    stream.once('trailers', (trailers) => {
      this.#trailers = HeaderList.fromNode(trailers);
    });
    stream.once('close', () => {
      if (!stream.writableFinished) {
        gone.abort();
      }
    });
    if (hasEnded) {
      stream.resume();
    }
  }

  readonly requestTrailers = (): HeaderList | undefined => this.#trailers;

  sendContinue(): void {
    if (this.#expectsContinue && this.#isOpen()) {
      this.#expectsContinue = false;
      this.#stream.additionalHeaders({ ':status': 100 });
    }
  }

  async respond(head: ResponseHead, body: ResponseBody): Promise<SendResult> {
    const stream = this.#stream;
    if (!this.#isOpen()) {
      return 'client-gone';
    }
    const headers = { ...head.headers.toNode(), ':status': head.status };
    const { promise, resolve } = Promise.withResolvers<SendResult>();
    if (body.kind === 'bytes') {
      stream.once('finish', () => resolve('complete'));
      stream.once('close', () => resolve('client-gone'));
      if (body.bytes.length === 0 || this.head.method === 'HEAD') {
        stream.respond(headers, { endStream: true });
      } else {
        stream.respond(headers);
        stream.end(body.bytes);
      }
      return await promise;
    }
    const { stream: source, trailers } = body;
    stream.respond(headers, { waitForTrailers: true });
    stream.once('wantTrailers', () => {
      // Without fields this is an empty DATA frame with END_STREAM.
      stream.sendTrailers(trailers()?.toNode() ?? {});
    });
    return await pump(source, stream, () => stream.end());
  }

  reset(): void {
    if (!this.#stream.destroyed) {
      this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  #isOpen(): boolean {
    return !this.#stream.destroyed && !this.#stream.closed && !this.#stream.aborted;
  }
}

/** `close` follows and is what counts. */
function ignoreUntilClose(): void {}
