/** The dialling end of an HTTP/2 connection. */
import type { MeshError } from '@ambit/core';
import { H2Error } from '../errors.ts';
import { type ErrorNumber, PREFACE, STREAM_ID_MAX } from '../frames/protocol.ts';
import { type RequestHead, requestFields } from '../message.ts';
import { ClientStream, type ResponseSink } from './client-stream.ts';
import { SessionCore } from './core.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { Probe } from './pings.ts';
import type { Goaway, SessionOptions } from './session-options.ts';
import type { Stream } from './stream.ts';

export interface ClientSessionOptions extends SessionOptions {
  /**
   * Asked before a stream that is open is reset. True: for whoever uses it it is over, for the peer it stays open until `resetHeld`;
   * what comes for it is dropped, and its window stays closed.
   */
  readonly holdsReset?: (stream: ClientStream, code: ErrorNumber) => boolean;
}

/** What a server is taken to allow until it says (RFC 9113 §6.5.2 recommends no less). */
const STREAMS_ASSUMED = 100;

class ClientCore extends SessionCore {
  readonly #holdsReset: ClientSessionOptions['holdsReset'];
  #nextId = 1;

  constructor(options: ClientSessionOptions) {
    super(options, 'client');
    this.#holdsReset = options.holdsReset;
    this.startWith(PREFACE);
  }

  get room(): number {
    if (this.state !== 'open') {
      return 0;
    }
    const max = this.isEstablished ? this.peer.streamsMax : STREAMS_ASSUMED;
    return Math.max(0, max - this.streams.size);
  }

  request(head: RequestHead, sink: ResponseSink, endStream: boolean): ClientStream {
    if (this.state !== 'open') {
      throw refused('H2_CLOSED', 'the connection takes no more streams');
    }
    if (this.room === 0) {
      throw refused('H2_LIMIT', 'as many streams are open as the peer allows');
    }
    const streamId = this.#nextId;
    if (streamId > STREAM_ID_MAX) {
      // §5.1.1: numbers are not used twice.
      this.drain();
      throw refused('H2_LIMIT', 'the connection has used all its stream numbers');
    }
    const { neverIndexed } = head;
    this.sendBlock(requestFields(head), { streamId, endStream, neverIndexed });
    this.#nextId += 2;
    this.streams.use(streamId);
    const stream = new ClientStream(this.streamOptions(streamId), head.method, sink);
    this.addStream(stream);
    if (endStream) {
      stream.endSent();
    }
    return stream;
  }

  probe(probe: Probe): void {
    if (this.state === 'open' || this.state === 'draining') {
      this.pings.probe(probe);
    }
  }

  override sendReset(stream: Stream, code: ErrorNumber): void {
    const isOpen = this.streams.get(stream.id) === stream && stream instanceof ClientStream;
    if (!(isOpen && this.#holdsReset?.(stream, code) === true)) {
      super.sendReset(stream, code);
    }
  }

  resetHeld(stream: ClientStream, code: ErrorNumber): void {
    super.sendReset(stream, code);
  }

  /** §8.4: a server opens none, as we take no pushes. */
  override openStream(): undefined {
    return undefined;
  }
}

export class ClientSession {
  readonly #core: ClientCore;

  /** Takes over the transport and begins at once; requests need not wait for the peer. */
  constructor(options: ClientSessionOptions) {
    this.#core = new ClientCore(options);
  }

  /** Streams that are not over. */
  get openStreams(): number {
    return this.#core.streams.size;
  }

  /** HEADERS and DATA that have come, whether or not anybody has read them. */
  get messageFrames(): number {
    return this.#core.messageFrames;
  }

  /** Streams that may be opened now. 0 when draining. */
  get room(): number {
    return this.#core.room;
  }

  /** The peer's SETTINGS have come. */
  get isEstablished(): boolean {
    return this.#core.isEstablished;
  }

  get peerSettings(): Readonly<PeerSettings> {
    return this.#core.peer;
  }

  /** `drain` was called, or the peer said GOAWAY, or it is over: no new streams. */
  get isDraining(): boolean {
    return this.#core.state !== 'open';
  }

  get goaway(): Goaway | undefined {
    return this.#core.goaway;
  }

  /**
   * Opens a stream. `endStream`: there is no body. Throws H2Error: H2_CLOSED and H2_LIMIT (retryable, elsewhere),
   * H2_BAD_FIELD; nothing was sent then.
   */
  request(
    head: RequestHead,
    sink: ResponseSink,
    options: { readonly endStream?: boolean } = {},
  ): ClientStream {
    return this.#core.request(head, sink, options.endStream ?? false);
  }

  /**
   * Asks by PING whether the peer is there. Calls `onProbed` once: false after `ms` without an answer, or, with `isPatient`,
   * without anything at all. Not at all when the session ends before, or while another probe is under way.
   */
  probe(
    ms: number,
    onProbed: (isThere: boolean) => void,
    options: { readonly isPatient?: boolean } = {},
  ): void {
    this.#core.probe({ ms, onProbed, isPatient: options.isPatient ?? false });
  }

  /** Now, of a stream whose reset was held. Does nothing when the peer has ended it meanwhile, or the session. */
  resetHeld(stream: ClientStream, code: ErrorNumber): void {
    this.#core.resetHeld(stream, code);
  }

  /** No new streams; closes when the last one has ended. Idempotent. */
  drain(): void {
    this.#core.drain();
  }

  /** Now, after what was sent before, with a GOAWAY and without a reset of each stream that is open. Idempotent. */
  end(): void {
    this.#core.end();
  }

  /** Now. Idempotent; the first reason is the one reported. */
  destroy(reason?: MeshError): void {
    this.#core.destroy(reason);
  }
}

function refused(code: 'H2_CLOSED' | 'H2_LIMIT', message: string): H2Error {
  return new H2Error(code, message, { side: 'local', retryable: true });
}
