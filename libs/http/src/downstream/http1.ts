/** Phase `decode` of HTTP/1.1: a connection of the codec, and its requests in the one request model. */
import type { MeshError } from '@ambit/core';
import type { ByteConn } from '@ambit/proxy';
import type { BodySink, BodySource } from '../body.ts';
import { H1ServerConnection } from '../h1/connection/server-connection.ts';
import type { RequestSink, ServerExchange } from '../h1/connection/server-exchange.ts';
import type { Sweeper } from '../h1/connection/sweeper.ts';
import { withoutHopByHop } from '../h1/encode/hop-by-hop.ts';
import type { H1Error, H1Refusals } from '../h1/errors.ts';
import { type FieldLines, NO_FIELDS } from '../h1/message.ts';
import type { HttpLimits } from '../limits.ts';
import type { Exchange, ExchangeListener, RequestHead, ResponseHead } from '../message.ts';
import type { ClientConnection, ClientConnectionHost } from './client-connection.ts';

export interface Http1Options {
  readonly sweeper: Sweeper;
  readonly limits: HttpLimits;
  readonly refusals: H1Refusals;
  readonly host: ClientConnectionHost;
}

/** Takes over the connection, which nobody has started. */
export function serveHttp1(conn: ByteConn, options: Http1Options): ClientConnection {
  const { sweeper, limits, refusals, host } = options;
  const connection = new H1ServerConnection(conn, {
    sweeper,
    limits: { headerBytesMax: limits.headerBytesMax, headersMax: limits.headersMax },
    timeouts: {
      headMs: limits.headersTimeoutMs,
      idleMs: limits.idleTimeoutMs,
      bodyWindowMs: limits.bodyWindowMs,
      writeMs: limits.writeStallMs,
    },
    refusals,
    onRequest: (exchange) => {
      const own = new Http1Exchange(exchange, connection);
      host.onExchange(own);
      own.holdBody();
      return own;
    },
    onRefused: (error: H1Error) => host.onRefused(error),
    onClosed: () => host.onClosed(),
  });
  connection.start();
  return connection;
}

class Http1Exchange implements Exchange, BodySource, RequestSink {
  readonly head: RequestHead;
  readonly body: BodySource | undefined;
  readonly #exchange: ServerExchange;
  readonly #connection: H1ServerConnection;
  #listener: ExchangeListener | undefined;
  #sink: BodySink | undefined;
  #isCancelled = false;

  constructor(exchange: ServerExchange, connection: H1ServerConnection) {
    const { head } = exchange;
    this.#exchange = exchange;
    this.#connection = connection;
    this.head = {
      version: head.version,
      method: head.method,
      scheme: 'http',
      authority: head.authority,
      target: head.path,
      fields: withoutHopByHop(head.fields, head.connection),
      contentLength: head.body.kind === 'length' ? head.body.bytes : undefined,
      upgrade: head.upgrade,
      neverIndexed: undefined,
    };
    this.body = exchange.isRequestWhole ? undefined : this;
  }

  listen(listener: ExchangeListener): void {
    this.#listener = listener;
  }

  sendContinue(): void {
    this.#exchange.sendContinue();
  }

  sendInterim(status: number, fields: FieldLines): void {
    this.#exchange.sendInterim(status, fields);
  }

  respond(head: ResponseHead, bytes: Uint8Array): void {
    this.begin(head);
    this.write(bytes);
    this.end(NO_FIELDS);
  }

  begin(head: ResponseHead): void {
    // Whoever asked to switch may not wait for the answer; what follows could be read as a request.
    if (this.head.upgrade !== undefined) {
      this.#connection.leave();
    }
    this.#exchange.begin(head);
  }

  write(bytes: Uint8Array): boolean {
    return this.#exchange.write(bytes);
  }

  end(trailers: FieldLines): void {
    this.#listener = undefined;
    this.#sink = undefined;
    this.#exchange.end(trailers);
  }

  reset(error?: MeshError): void {
    this.#listener = undefined;
    this.#sink = undefined;
    this.#exchange.reset(error);
  }

  switchTo(protocol: string, fields: FieldLines): ByteConn | undefined {
    this.#listener = undefined;
    return this.head.upgrade === undefined ? undefined : this.#exchange.switchTo(protocol, fields);
  }

  start(sink: BodySink): void {
    this.#sink = sink;
    if (this.#exchange.isPaused) {
      this.#exchange.resume();
    }
  }

  pause(): void {
    this.#exchange.pause();
  }

  resume(): void {
    this.#exchange.resume();
  }

  /** The codec ends the connection with the answer, because what is not read cannot be told from a request. */
  cancel(): void {
    if (!this.#isCancelled) {
      this.#isCancelled = true;
      this.#sink = undefined;
      this.#exchange.pause();
    }
  }

  /** Nothing of the body comes before somebody wants it. */
  holdBody(): void {
    if (this.body !== undefined && this.#sink === undefined) {
      this.#exchange.pause();
    }
  }

  onData(bytes: Uint8Array): void {
    this.#sink?.onData(bytes);
  }

  onEnd(trailers: FieldLines): void {
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onEnd(trailers);
  }

  onDrain(): void {
    this.#listener?.onDrain();
  }

  onGone(error: MeshError): void {
    const listener = this.#listener;
    this.#listener = undefined;
    listener?.onGone(error);
    const sink = this.#sink;
    this.#sink = undefined;
    sink?.onFailed(error);
  }
}
