/**
 * A client's connection: requests one after another, each answered before the next is read.
 *
 * Rule: one state, moved by events of the transport, of the exchange in work and of the clock; whatever comes too late for the
 * state changes nothing. What is wrong is answered once, if an answer can still be told apart, and ends the connection.
 */
import { MeshError } from '@ambit/core';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import { encodeResponseHead } from '../encode/head.ts';
import { reasonOf } from '../encode/reasons.ts';
import { H1Error, type H1ErrorCode, type H1Refusals } from '../errors.ts';
import type { H1Limits } from '../limits.ts';
import type { H1RequestHead } from '../message.ts';
import { RequestDecoder } from '../request-decoder.ts';
import { HandedConn } from './handed-conn.ts';
import { Outgoing } from './outgoing.ts';
import { type RequestSink, ServerExchange } from './server-exchange.ts';
import type { Sweeper, Swept } from './sweeper.ts';
import { H1_TIMEOUTS, type H1Timeouts } from './timeouts.ts';

export interface ServerConnectionOptions {
  readonly sweeper: Sweeper;
  readonly limits?: Partial<H1Limits>;
  readonly timeouts?: Partial<H1Timeouts>;
  readonly refusals?: H1Refusals;
  /** A request's head has come. The sink gets its body; the exchange answers it. Must not throw. */
  readonly onRequest: (exchange: ServerExchange) => RequestSink;
  /** Something that the codec refused, or a timeout; it was answered if it could be. */
  readonly onRefused?: (error: H1Error) => void;
  /** Over, or handed over. Once. */
  readonly onClosed?: () => void;
}

type State = 'idle' | 'head' | 'work' | 'linger' | 'handed' | 'closed';

export class H1ServerConnection implements ByteSink, Swept {
  readonly conn: ByteConn;
  readonly outgoing: Outgoing;
  readonly #options: ServerConnectionOptions;
  readonly #timeouts: H1Timeouts;
  readonly #decoder: RequestDecoder;
  #state: State = 'idle';
  #dueAt: number;
  #exchange: ServerExchange | undefined;
  #handed: HandedConn | undefined;
  #isPumping = false;
  #isReading = true;
  #isLeaving = false;
  #hasPeerEnded = false;
  #lingerBytes = 0;
  #windowBytes = 0;
  #blockedSince: number | undefined;

  /** Takes over the connection, which nobody has started. */
  constructor(conn: ByteConn, options: ServerConnectionOptions) {
    const { limits, refusals, sweeper } = options;
    this.conn = conn;
    this.outgoing = new Outgoing(conn);
    this.#options = options;
    this.#timeouts = { ...H1_TIMEOUTS, ...options.timeouts };
    this.#decoder = new RequestDecoder({
      ...(limits === undefined ? {} : { limits }),
      ...(refusals === undefined ? {} : { refusals }),
    });
    this.#dueAt = sweeper.now() + this.#timeouts.headMs;
  }

  start(): void {
    this.#options.sweeper.add(this);
    this.conn.start(this);
  }

  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  /** No further request is served on this connection. */
  get isLeaving(): boolean {
    return this.#isLeaving || this.#hasPeerEnded;
  }

  /** Each answer from now on is the connection's last. Idempotent. */
  leave(): void {
    this.#isLeaving = true;
  }

  /** As `leave`, and closes now where nothing is in work. */
  drain(): void {
    this.#isLeaving = true;
    if (this.#state === 'idle') {
      this.#close();
    }
  }

  /** Now. Idempotent. */
  destroy(reason?: MeshError): void {
    this.conn.destroy(reason);
    this.#onOver(reason);
  }

  onData(chunk: Uint8Array): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onData(chunk);
    } else if (this.#state === 'linger') {
      this.#lingerBytes += chunk.length;
      if (this.#lingerBytes > this.#timeouts.lingerBytesMax) {
        this.destroy();
      }
    } else if (this.#state !== 'closed') {
      this.#windowBytes += chunk.length;
      this.#run(() => this.#decoder.push(chunk));
    }
  }

  onEnd(): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onEnd();
      return;
    }
    this.#hasPeerEnded = true;
    // With both directions ended the transport closes by itself, when all of ours is sent.
    if (this.#isOpen) {
      this.#run(() => this.#decoder.end());
      if (this.#state === 'idle') {
        this.#close();
      }
    }
  }

  onDrain(): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onDrain();
      return;
    }
    this.outgoing.unblock();
    this.#blockedSince = undefined;
    if (this.#state === 'linger') {
      this.#wait('linger', this.#timeouts.lingerMs);
    }
    this.#exchange?.sink?.onDrain();
  }

  onClose(error?: Error): void {
    if (this.#state === 'handed') {
      this.#handed?.events.onClose(error);
      return;
    }
    this.#onOver(error);
  }

  sweep(nowMs: number): void {
    if (this.outgoing.isBlocked) {
      this.#blockedSince ??= nowMs;
      if (nowMs - this.#blockedSince >= this.#timeouts.writeMs) {
        this.#cut(this.#timeout('H1_WRITE_TIMEOUT'));
      }
      return;
    }
    if (nowMs < this.#dueAt) {
      return;
    }
    switch (this.#state) {
      case 'idle':
        this.#close();
        return;
      case 'head':
        this.#fail(this.#timeout('H1_HEAD_TIMEOUT'));
        return;
      case 'work':
        this.#checkBody(nowMs);
        return;
      case 'linger':
        this.destroy();
        return;
      case 'handed':
      case 'closed':
    }
  }

  /** For the exchange: its sink takes more of the body, or does not. */
  setReading(): void {
    this.#run(() => undefined);
  }

  /** For the exchange: the response is whole. */
  onAnswered(isLast: boolean): void {
    if (isLast || !this.#decoder.canContinue || this.isLeaving) {
      this.#exchange = undefined;
      this.#close();
      return;
    }
    this.#exchange = undefined;
    this.#decoder.next();
    this.#wait('idle', this.#timeouts.idleMs);
    this.#run(() => undefined);
  }

  /** For the exchange: the connection becomes something else. */
  handOver(): ByteConn {
    this.outgoing.flush();
    const handed = new HandedConn(this.conn, this.#decoder.takeRest(), this.#hasPeerEnded);
    this.#handed = handed;
    this.#exchange = undefined;
    this.#state = 'handed';
    this.#release();
    return handed;
  }

  #run(feed: () => void): void {
    try {
      feed();
      if (!this.#isPumping) {
        this.#isPumping = true;
        try {
          this.#pump();
        } finally {
          this.#isPumping = false;
        }
      }
    } catch (error) {
      if (!(error instanceof H1Error)) {
        throw error;
      }
      this.#fail(error);
    }
    this.#setReading();
  }

  #pump(): void {
    while (this.#exchange?.isPaused !== true && this.#isOpen) {
      const event = this.#decoder.read();
      if (event === undefined) {
        break;
      }
      switch (event.kind) {
        case 'head':
          this.#begin(event.head);
          break;
        case 'data':
          this.#exchange?.onData(event.bytes);
          break;
        case 'end':
          this.#exchange?.onEnd(event.trailers);
          break;
      }
    }
    if (this.#state === 'idle' && !this.#decoder.isIdle) {
      this.#wait('head', this.#timeouts.headMs);
    }
  }

  #begin(head: H1RequestHead): void {
    const exchange = new ServerExchange(this, head);
    this.#exchange = exchange;
    this.#wait('work', this.#timeouts.bodyWindowMs);
    if (exchange.isRequestWhole) {
      // Its end is read before anybody can answer, so that the answer need not be the last.
      this.#decoder.read();
    }
    exchange.attach(this.#options.onRequest(exchange));
  }

  get #isOpen(): boolean {
    return this.#state === 'idle' || this.#state === 'head' || this.#state === 'work';
  }

  /** Reads while somebody takes it; what is held until the answer is written holds the client back. */
  #setReading(): void {
    if (!this.#isOpen && this.#state !== 'linger') {
      return;
    }
    const isWanted = this.#state === 'linger' || this.#decoder.heldBytes === 0;
    const isReading = isWanted && this.#exchange?.isPaused !== true;
    if (isReading !== this.#isReading) {
      this.#isReading = isReading;
      if (isReading) {
        this.conn.resume();
      } else {
        this.conn.pause();
      }
    }
  }

  #checkBody(nowMs: number): void {
    const exchange = this.#exchange;
    const isAwaited = exchange?.awaitsBody === true && this.#isReading;
    if (isAwaited && this.#windowBytes < this.#timeouts.bodyBytesMin) {
      this.#fail(this.#timeout('H1_BODY_TIMEOUT'));
      return;
    }
    this.#windowBytes = 0;
    this.#dueAt = nowMs + this.#timeouts.bodyWindowMs;
  }

  #timeout(code: H1ErrorCode): H1Error {
    this.#options.refusals?.count(code);
    return new H1Error(code, 'downstream');
  }

  /** Answers where nothing of an answer was sent yet. */
  #fail(error: H1Error): void {
    if (!this.#isOpen) {
      return;
    }
    if (this.#exchange?.hasBegun === true) {
      this.#cut(error);
      return;
    }
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#refuse(error);
    this.#options.onRefused?.(error);
    exchange?.onGone(error);
  }

  #cut(error: H1Error): void {
    this.#options.onRefused?.(error);
    this.destroy(error);
  }

  #refuse({ status }: H1Error): void {
    const text = Buffer.from(reasonOf(status), 'latin1');
    const body = { kind: 'length', bytes: text.length } as const;
    const fields = ['content-type', 'text/plain'];
    this.outgoing.begin(encodeResponseHead({ status, fields, body, close: true }), body);
    this.outgoing.data(text);
    this.outgoing.end([]);
    this.#close();
  }

  /** Ends our direction, and reads on for a while: a reset would take away what the client has not read yet. */
  #close(): void {
    if (!this.#isOpen) {
      return;
    }
    this.#wait('linger', this.#timeouts.lingerMs);
    this.conn.end();
    this.#setReading();
  }

  #onOver(error: Error | undefined): void {
    if (this.#state === 'closed' || this.#state === 'handed') {
      return;
    }
    this.#state = 'closed';
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#release();
    exchange?.onGone(
      error instanceof MeshError ? error : new H1Error('H1_PEER_GONE', 'downstream'),
    );
  }

  #release(): void {
    this.#options.sweeper.delete(this);
    this.#options.onClosed?.();
  }

  #wait(state: State, ms: number): void {
    this.#state = state;
    this.#dueAt = this.#options.sweeper.now() + ms;
    this.#windowBytes = 0;
  }
}
