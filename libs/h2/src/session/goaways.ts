/**
 * What both sides have said of the session's end by GOAWAY (RFC 9113 §6.8).
 *
 * Rule: a server that drains says so twice, with a PING between, so that a request that is on its way is not lost: the first
 * names no stream, the second the last one that is processed.
 */
import { ERROR, type ErrorNumber, STREAM_ID_MAX } from '../frames/protocol.ts';
import type { AlarmKind, Alarms } from './alarms.ts';
import type { Pings } from './pings.ts';
import type { Goaway } from './session-options.ts';
import type { StreamTable } from './stream-table.ts';
import type { Writer } from './writer.ts';

/** How long a PING may take that shows that the peer has seen our first GOAWAY. */
const DRAIN_PING_MS = 1_000;

export interface GoawaysOptions {
  readonly role: 'client' | 'server';
  readonly alarms: Alarms<AlarmKind>;
  readonly pings: Pings;
  readonly streams: StreamTable;
  readonly writer: Writer;
}

export class Goaways {
  /** The peer's. */
  received: Goaway | undefined;
  readonly #options: GoawaysOptions;
  #isDrainAsked = false;
  /** The highest stream that we have said we process. */
  #promisedId = STREAM_ID_MAX;

  constructor(options: GoawaysOptions) {
    this.#options = options;
  }

  /** `askToDrain` was called. */
  get isDrainAsked(): boolean {
    return this.#isDrainAsked;
  }

  /** The peer may not have seen our first one yet. */
  get isUnderWay(): boolean {
    return this.#options.alarms.isSet('drain');
  }

  /** A stream with a number beyond that is not processed. */
  isPromised(streamId: number): boolean {
    return streamId <= this.#promisedId;
  }

  /** The first of a server; a client has nothing to say until the end. */
  askToDrain(): void {
    const { role, writer, pings, alarms } = this.#options;
    this.#isDrainAsked = true;
    if (role === 'server') {
      writer.out.goaway(STREAM_ID_MAX, ERROR.NO_ERROR, '');
      pings.send('drain');
      alarms.set('drain', DRAIN_PING_MS);
    }
  }

  /** The second. False: it was said before. */
  promiseLast(): boolean {
    const { streams, writer } = this.#options;
    if (this.#promisedId !== STREAM_ID_MAX) {
      return false;
    }
    this.#promisedId = streams.lastId;
    writer.out.goaway(this.#promisedId, ERROR.NO_ERROR, '');
    writer.schedule();
    return true;
  }

  /** At the end, unless the last stream was named before. */
  sayDone(): void {
    if (this.#promisedId === STREAM_ID_MAX) {
      this.say(ERROR.NO_ERROR, '');
    }
  }

  /** Names the last stream of the peer. A server begins none. */
  say(code: ErrorNumber, message: string): void {
    const { role, streams, writer } = this.#options;
    writer.out.goaway(role === 'server' ? streams.lastId : 0, code, message);
  }
}
