/** Phase `respond`: response headers as the rule wants them, then the body as it comes and as the client takes it. */
import type { MeshError } from '@ambit/core';
import { applyHeaderOperations } from '@ambit/routing';
import type { BodySink, BodySource } from '../body.ts';
import { HttpError } from '../errors.ts';
import { readGrpcStatus } from '../grpc-status.ts';
import { type FieldLines, NO_FIELDS } from '../h1/message.ts';
import { HeaderList } from '../headers.ts';
import type { Reply } from '../local-reply.ts';
import type { EngineContext, Transaction } from '../transaction.ts';
import type { TryResponse } from '../upstream/try.ts';
import { variablesOf } from './variables.ts';

const NOTHING = new Uint8Array(0);

/** An answer of this proxy's own, whole. Throws a MeshError when it cannot be written. */
export function sendReply(tx: Transaction, reply: Reply, context: EngineContext): void {
  const { decision, exchange } = tx;
  const { status, headers, bytes } = reply;
  if (decision !== undefined && decision.kind !== 'route' && decision.headers.response.length > 0) {
    applyHeaderOperations(decision.headers.response, headers, variablesOf(tx, status));
  }
  addDate(headers, context);
  tx.status = status;
  tx.grpcStatus = reply.grpcStatus;
  tx.bytesSent = bytes.length;
  tx.body?.discard();
  const isBodiless = status === 204 || status === 304 || reply.grpcStatus !== undefined;
  const length = isBodiless && exchange.head.version === '2' ? undefined : bytes.length;
  exchange.respond(
    { status, fields: headers.lines, length: status === 304 ? undefined : length },
    bytes,
  );
}

/** Carries an upstream's response to the client. Ends with one call of `onDone`. */
export class ResponseRelay implements BodySink {
  readonly #tx: Transaction;
  readonly #onDone: (failure: HttpError | undefined) => void;
  #source: BodySource | undefined;
  /** All of the answer was sent with its head. */
  #isWhole = false;

  constructor(tx: Transaction, onDone: (failure: HttpError | undefined) => void) {
    this.#tx = tx;
    this.#onDone = onDone;
  }

  /** Throws a MeshError when the head cannot be written; nothing was sent then. */
  start(response: TryResponse, context: EngineContext): void {
    const tx = this.#tx;
    const { exchange } = tx;
    const { status, headers, body, isEmpty } = response;
    const length = lengthOf(tx, response);
    applyRules(tx, status, headers);
    addDate(headers, context);
    tx.status = status;
    this.#setGrpcStatus(headers.get('grpc-status'));
    const head = { status, fields: headers.lines, length, neverIndexed: headers.neverIndexed };
    if (isEmpty) {
      this.#isWhole = true;
      exchange.respond(head, NOTHING);
    } else {
      exchange.begin(head);
    }
    this.#source = body;
    body.start(this);
  }

  /** The client takes more. */
  onDrain(): void {
    this.#source?.resume();
  }

  /** The client is gone, or the request is over. */
  stop(): void {
    const source = this.#source;
    this.#source = undefined;
    source?.cancel();
  }

  onData(bytes: Uint8Array): void {
    if (this.#source === undefined || this.#isWhole) {
      return;
    }
    this.#tx.bytesSent += bytes.length;
    try {
      if (!this.#tx.exchange.write(bytes)) {
        this.#source?.pause();
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  onEnd(trailers: FieldLines): void {
    if (this.#source === undefined) {
      return;
    }
    try {
      this.#tx.exchange.end(trailers);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#source = undefined;
    if (trailers.length > 0) {
      this.#setGrpcStatus(HeaderList.of(trailers).get('grpc-status'));
    }
    this.#onDone(undefined);
  }

  onFailed(error: MeshError): void {
    if (this.#source === undefined) {
      return;
    }
    this.#source = undefined;
    if (this.#isWhole) {
      this.#onDone(undefined);
    } else {
      this.#cut(error);
    }
  }

  #fail(error: unknown): void {
    this.stop();
    this.#cut(error);
  }

  #cut(error: unknown): void {
    this.#tx.exchange.reset();
    this.#onDone(
      error instanceof HttpError
        ? error
        : new HttpError('HTTP_UPSTREAM_CLOSED', messageOf(error), {
            side: 'upstream',
            headersSent: true,
            cause: error,
          }),
    );
  }

  #setGrpcStatus(text: string | undefined): void {
    if (text !== undefined && this.#tx.isGrpc) {
      this.#tx.grpcStatus = readGrpcStatus(text);
    }
  }
}

/** What the upstream said of the body, whatever a rule makes of the fields. */
function lengthOf(tx: Transaction, response: TryResponse): number | undefined {
  const { contentLength, isEmpty, status } = response;
  const saysNothing = status === 204 || status === 304 || tx.exchange.head.method === 'HEAD';
  if (contentLength !== undefined || !isEmpty || saysNothing) {
    return contentLength;
  }
  // A trailers-only answer of gRPC has no body to speak of.
  return tx.isGrpc && tx.exchange.head.version === '2' ? undefined : 0;
}

function applyRules(tx: Transaction, status: number, headers: HeaderList): void {
  const share = tx.share?.headers.response ?? NO_OPERATIONS;
  const rule = tx.decision?.headers.response ?? NO_OPERATIONS;
  if (share.length === 0 && rule.length === 0) {
    return;
  }
  const length = headers.get('content-length');
  const lookup = variablesOf(tx, status);
  applyHeaderOperations(share, headers, lookup);
  applyHeaderOperations(rule, headers, lookup);
  // How long the body is says who sends it, and how it is sent is for each hop.
  headers.filter((name) => !FRAMING.has(name));
  if (length !== undefined) {
    headers.add('content-length', length);
  }
}

const FRAMING: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'upgrade',
]);
const NO_OPERATIONS: readonly never[] = NO_FIELDS as readonly never[];

let dateSecond = -1;
let dateText = '';

/** RFC 9110 §6.6.1: whoever has a clock says when the message was made, where nobody before did. */
function addDate(headers: HeaderList, { clock }: EngineContext): void {
  if (headers.has('date')) {
    return;
  }
  const second = Math.floor(clock.wallNow() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  headers.add('date', dateText);
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).slice(0, 200);
}
