/**
 * A client's connection: requests one after another, each answered before the next is read.
 *
 * Rule: one state, moved by events of the transport, of the exchange in work and of the clock; whatever comes too late for the
 * state changes nothing. What is wrong is answered once, if an answer can still be told apart, and ends the connection.
 */
import { MeshError, type RosterMember } from '@ambit/core';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import { H1Error, type H1ErrorCode, type H1Refusals } from '../errors.ts';
import type { H1Limits } from '../limits.ts';
import type { H1RequestHead } from '../message.ts';
import { RequestDecoder } from '../request-decoder.ts';
import { HandedConn } from './handed-conn.ts';
import { Outgoing } from './outgoing.ts';
import { Patience } from './patience.ts';
import { writeRefusal } from './refusal.ts';
import { type RequestSink, ServerExchange } from './server-exchange.ts';
import type { Sweeper, Sweeping, Swept } from './sweeper.ts';
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

/** `linger`: our direction has ended; what still comes is dropped. */
type State = 'idle' | 'head' | 'work' | 'linger' | 'over';

export class H1ServerConnection implements ByteSink, Swept, RosterMember {
  rosterSlot = -1;
  readonly conn: ByteConn;
  readonly outgoing: Outgoing;
  readonly #options: ServerConnectionOptions;
  readonly #timeouts: H1Timeouts;
  readonly #patience: Patience;
  #sweeping: Sweeping | undefined;
  readonly #decoder: RequestDecoder;
  #state: State = 'idle';
  #exchange: ServerExchange | undefined;
  /** Who gets the events of the transport since the connection became something else. */
  #heir: ByteSink | undefined;
  #isPumping = false;
  #isReading = true;
  #isLeaving = false;
  #hasPeerEnded = false;
  #lingerBytes = 0;

  /** Takes over the connection, which nobody has started. */
  constructor(conn: ByteConn, options: ServerConnectionOptions) {
    const { sweeper } = options;
    this.conn = conn;
    this.outgoing = new Outgoing(conn);
    this.#options = options;
    this.#timeouts = { ...H1_TIMEOUTS, ...options.timeouts };
    this.#patience = new Patience(sweeper, this.#timeouts);
    this.#decoder = new RequestDecoder(options);
  }

  start(): void {
    this.#sweeping = this.#options.sweeper.add(this);
    this.#patience.begin(this.#timeouts.headMs);
    this.conn.start(this);
  }

  /** Nothing of a request has come that is not over. */
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

  /** Now. Idempotent; no effect on what the connection became. */
  destroy(reason?: MeshError): void {
    if (this.#heir === undefined) {
      this.conn.destroy(reason);
      this.#onOver(reason);
    }
  }

  onData(chunk: Uint8Array): void {
    if (this.#isOpen()) {
      this.#patience.received(chunk.length);
      this.#run(chunk);
    } else if (this.#heir !== undefined) {
      this.#heir.onData(chunk);
    } else if (this.#state === 'linger') {
      this.#lingerBytes += chunk.length;
      if (this.#lingerBytes > this.#timeouts.lingerBytesMax) {
        this.destroy();
      }
    }
  }

  onEnd(): void {
    this.#heir?.onEnd();
    this.#hasPeerEnded = true;
    // With both directions ended the transport closes by itself, when all of ours is sent.
    if (this.#isOpen()) {
      this.#decoder.end();
      this.#run();
    }
    if (this.#state === 'idle') {
      this.#close();
    }
  }

  onDrain(): void {
    this.#heir?.onDrain();
    this.outgoing.unblock();
    this.#patience.unblock();
    if (this.#state === 'linger') {
      this.#patience.begin(this.#timeouts.lingerMs);
    }
    this.#exchange?.sink?.onDrain();
  }

  onClose(error?: Error): void {
    this.#heir?.onClose(error);
    this.#onOver(error);
  }

  sweep(nowMs: number): void {
    const verdict = this.#patience.judge(nowMs, this.outgoing.isBlocked);
    if (verdict === 'not-taken') {
      this.#cut(this.#timeout('H1_WRITE_TIMEOUT'));
    } else if (verdict === 'due') {
      this.#onDue();
    }
  }

  /** For the exchange: what it wants of the request's body has changed. */
  readOn(): void {
    this.#run();
  }

  /** For the exchange: the answer is whole. */
  onAnswered(isLast: boolean): void {
    this.#exchange = undefined;
    if (isLast || this.isLeaving || !this.#decoder.canContinue) {
      this.#close();
      return;
    }
    this.#decoder.next();
    this.#wait('idle', this.#timeouts.idleMs);
    this.#run();
  }

  /** For the exchange: the connection becomes something else. */
  handOver(): ByteConn {
    const handed = new HandedConn(this.conn, this.#decoder.takeRest(), this.#hasPeerEnded);
    this.#heir = handed.events;
    this.#exchange = undefined;
    this.#release();
    return handed;
  }

  #isOpen(): boolean {
    return this.#state === 'idle' || this.#state === 'head' || this.#state === 'work';
  }

  #run(chunk?: Uint8Array): void {
    try {
      if (chunk !== undefined) {
        this.#decoder.push(chunk);
      }
      // What happens inside the loop is seen by its next turn.
      if (!this.#isPumping) {
        this.#pump();
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
    this.#isPumping = true;
    try {
      while (this.#isOpen() && this.#exchange?.isPaused !== true && this.#readOne()) {}
    } finally {
      this.#isPumping = false;
    }
    if (this.#state === 'idle' && !this.#decoder.isIdle) {
      this.#wait('head', this.#timeouts.headMs);
    }
  }

  /** False: nothing more can be read now. */
  #readOne(): boolean {
    const event = this.#decoder.read();
    switch (event?.kind) {
      case undefined:
        return false;
      case 'head':
        this.#begin(event.head);
        return true;
      case 'data':
        this.#exchange?.onData(event.bytes);
        return true;
      case 'end':
        this.#exchange?.onEnd(event.trailers);
        return true;
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

  /** Reads while somebody takes it; what is held until the answer is written holds the client back. */
  #setReading(): void {
    if (this.#heir !== undefined || this.#state === 'over') {
      return;
    }
    const isTaken = this.#decoder.heldBytes === 0 && this.#exchange?.isPaused !== true;
    const isReading = this.#state === 'linger' || isTaken;
    if (isReading !== this.#isReading) {
      this.#isReading = isReading;
      if (isReading) {
        this.conn.resume();
      } else {
        this.conn.pause();
      }
    }
  }

  #onDue(): void {
    switch (this.#state) {
      case 'idle':
        this.#close();
        return;
      case 'head':
        this.#fail(this.#timeout('H1_HEAD_TIMEOUT'));
        return;
      case 'work': {
        // Once the answer has begun both talk to each other, and may be silent for as long as they like.
        const { awaitsBody = false, hasBegun = false } = this.#exchange ?? {};
        const isAwaited = awaitsBody && !hasBegun && this.#isReading;
        if (!this.#patience.nextWindow() && isAwaited) {
          this.#fail(this.#timeout('H1_BODY_TIMEOUT'));
        }
        return;
      }
      case 'linger':
        this.destroy();
        return;
      case 'over':
    }
  }

  #timeout(code: H1ErrorCode): H1Error {
    this.#options.refusals?.count(code);
    return new H1Error(code, 'downstream');
  }

  /** Answers where nothing of an answer was sent yet. */
  #fail(error: H1Error): void {
    if (!this.#isOpen()) {
      return;
    }
    const exchange = this.#exchange;
    if (exchange?.hasBegun === true) {
      this.#cut(error);
      return;
    }
    this.#exchange = undefined;
    writeRefusal(this.outgoing, error.status);
    this.#close();
    this.#options.onRefused?.(error);
    exchange?.onGone(error);
  }

  #cut(error: H1Error): void {
    this.#options.onRefused?.(error);
    this.destroy(error);
  }

  /** Ends our direction, and reads on for a while: a reset would take away what the client has not read yet. */
  #close(): void {
    if (this.#isOpen()) {
      this.#wait('linger', this.#timeouts.lingerMs);
      this.#decoder.close();
      this.conn.end();
      this.#setReading();
    }
  }

  #onOver(error: Error | undefined): void {
    if (this.#state === 'over') {
      return;
    }
    const exchange = this.#exchange;
    this.#exchange = undefined;
    this.#release();
    exchange?.onGone(
      error instanceof MeshError ? error : new H1Error('H1_PEER_GONE', 'downstream'),
    );
  }

  #release(): void {
    this.#state = 'over';
    this.#decoder.close();
    if (this.#sweeping !== undefined) {
      this.#options.sweeper.delete(this.#sweeping);
    }
    this.#options.onClosed?.();
  }

  #wait(state: State, ms: number): void {
    this.#state = state;
    this.#patience.begin(ms);
  }
}
