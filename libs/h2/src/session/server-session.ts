/** The accepting end of an HTTP/2 connection. */
import type { MeshError } from '@ambit/core';
import { ERROR, type ErrorNumber } from '../frames/protocol.ts';
import type { DecodedFields } from '../hpack/decoder.ts';
import { Malformed, readRequest, responseFields } from '../message.ts';
import { SessionCore } from './core.ts';
import type { PeerSettings } from './peer-settings.ts';
import { ServerStream } from './server-stream.ts';
import type { SessionOptions } from './session-options.ts';
import type { Stream } from './stream.ts';

export interface ServerSessionOptions extends SessionOptions {
  /** A request. It stays open until both sides have ended or one resets it. */
  readonly onStream: (stream: ServerStream) => void;
}

/** RFC 6585 §5. */
const TOO_LARGE = responseFields({ status: 431, fields: [] });

class ServerCore extends SessionCore {
  readonly #onStream: (stream: ServerStream) => void;

  constructor(options: ServerSessionOptions) {
    super(options, 'server');
    this.#onStream = options.onStream;
    this.startWith(undefined);
  }

  override openStream(
    streamId: number,
    decoded: DecodedFields,
    endStream: boolean,
  ): Stream | undefined {
    if (!this.isPromised(streamId)) {
      // §6.8: it has come too late, and the peer knows.
      this.streams.end(streamId, 'reset-here');
      return undefined;
    }
    if (this.streams.size >= this.limits.streamsMax) {
      this.#refuse(streamId);
      return undefined;
    }
    if (decoded.isTooLarge) {
      this.#refuseTooLarge(streamId, endStream);
      return undefined;
    }
    const request = readRequest(decoded);
    if (request instanceof Malformed) {
      this.resetForError(streamId, ERROR.PROTOCOL_ERROR, request.reason);
      return undefined;
    }
    if (endStream && (request.contentLength ?? 0) > 0) {
      const message = 'content-length of a request without any';
      this.resetForError(streamId, ERROR.PROTOCOL_ERROR, message);
      return undefined;
    }
    const stream = new ServerStream(this.streamOptions(streamId), request, !endStream);
    this.addStream(stream);
    this.#onStream(stream);
    return stream;
  }

  /** A peer that takes back what it asks for, over and over, makes work and never waits for it. */
  override closeReset(stream: Stream, code: ErrorNumber): void {
    super.closeReset(stream, code);
    if (stream instanceof ServerStream && !stream.isAnswered) {
      this.allow('unansweredResets');
    }
  }

  /** §5.1.2. The peer may try again. */
  #refuse(streamId: number): void {
    if (this.allow('refusedStreams')) {
      this.counters.refusedStreams += 1;
      this.resetStream(streamId, ERROR.REFUSED_STREAM);
    }
  }

  #refuseTooLarge(streamId: number, endStream: boolean): void {
    if (!this.allow('oversizeHeaders')) {
      return;
    }
    this.counters.oversizeHeaders += 1;
    this.sendBlock(TOO_LARGE, { streamId, endStream: true, neverIndexed: undefined });
    if (endStream) {
      this.streams.end(streamId, 'ended');
    } else {
      this.resetStream(streamId, ERROR.NO_ERROR);
    }
  }
}

export class ServerSession {
  readonly #core: ServerCore;

  /** Takes over the transport and begins at once. */
  constructor(options: ServerSessionOptions) {
    this.#core = new ServerCore(options);
  }

  /** Streams that are not over. */
  get openStreams(): number {
    return this.#core.streams.size;
  }

  /** The peer's preface and SETTINGS have come. */
  get isEstablished(): boolean {
    return this.#core.isEstablished;
  }

  get peerSettings(): Readonly<PeerSettings> {
    return this.#core.peer;
  }

  /** `drain` was called, or the peer said GOAWAY, or it is over. */
  get isDraining(): boolean {
    return this.#core.state !== 'open';
  }

  /**
   * GOAWAY for all, a PING, GOAWAY for what came after the streams that arrived meanwhile; closes when the last
   * stream has ended. Idempotent.
   */
  drain(): void {
    this.#core.drain();
  }

  /** Now. Idempotent; the first reason is the one reported. */
  destroy(reason?: MeshError): void {
    this.#core.destroy(reason);
  }

  /** Ends with a GOAWAY that says why (§7), and every stream with it. */
  fail(code: ErrorNumber, message: string): void {
    this.#core.fail(code, message);
  }
}
