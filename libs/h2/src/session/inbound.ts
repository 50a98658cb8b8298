/**
 * What each frame of the peer does (RFC 9113 §5 and §6).
 *
 * Rule: every frame is either for an open stream, or its stream's state says what it means (§5.1): an error of the
 * connection, one of the stream, or nothing. Header blocks are decoded in every case, because they change the
 * table; DATA counts for the connection's window in every case.
 */
import type { FrameSink } from '../frames/frame-decoder.ts';
import { ERROR, type ErrorNumber } from '../frames/protocol.ts';
import { type DecodedFields, HpackDecoder } from '../hpack/decoder.ts';
import { HpackError } from '../hpack/hpack-error.ts';
import { Malformed } from '../message.ts';
import type { Flood, H2Limits } from './limits.ts';
import type { ReceiveFlow } from './receive-flow.ts';
import type { Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';

/** What the frames act upon. */
export interface InboundHost {
  readonly role: 'client' | 'server';
  readonly limits: H2Limits;
  readonly streams: StreamTable;
  readonly flow: ReceiveFlow;
  /** False: too many, and the session has ended. */
  allow(flood: Flood): boolean;
  /** HEADERS on a stream that was idle: a request, at a server. Undefined: it was refused. */
  openStream(streamId: number, decoded: DecodedFields, endStream: boolean): Stream | undefined;
  /** RST_STREAM because of what the peer sent; the stream may be open or not. */
  resetForError(streamId: number, code: ErrorNumber, message: string): void;
  closeReset(stream: Stream, code: ErrorNumber): void;
  onSettings(entries: Uint8Array): void;
  onSettingsAck(): void;
  onPing(payload: Uint8Array): void;
  onPingAck(payload: Uint8Array): void;
  onGoaway(lastStreamId: number, code: ErrorNumber, debug: Uint8Array): void;
  openConnectionWindow(increment: number): void;
  fail(code: ErrorNumber, message: string): void;
}

export class Inbound implements FrameSink {
  readonly #host: InboundHost;
  readonly #hpack: HpackDecoder;
  /** HEADERS and DATA that have come, on whatever stream. */
  messageFrames = 0;
  /** Of the DATA frame whose pieces come; undefined: they are for nobody. */
  #stream: Stream | undefined;
  #endStream = false;
  #pieces = 0;

  constructor(host: InboundHost, tableBytesMax: number) {
    this.#host = host;
    this.#hpack = new HpackDecoder({
      tableBytesMax,
      listBytesMax: host.limits.headerListBytesMax,
      fieldsMax: host.limits.headerFieldsMax,
    });
  }

  /** §6.1, §6.9.1. */
  onDataBegin(streamId: number, flowBytes: number, endStream: boolean): void {
    const host = this.#host;
    this.#stream = undefined;
    this.#endStream = endStream;
    this.#pieces = 0;
    this.messageFrames += 1;
    if (!host.flow.take(flowBytes)) {
      host.fail(ERROR.FLOW_CONTROL_ERROR, 'DATA beyond the window of the connection');
      return;
    }
    const stream = host.streams.get(streamId);
    if (stream === undefined) {
      this.#onLate(streamId, 'DATA');
    } else if (stream.peerEnded) {
      // §5.1: half-closed (remote).
      host.resetForError(streamId, ERROR.STREAM_CLOSED, 'DATA after END_STREAM');
    } else if (stream.takeWindow(flowBytes)) {
      this.#stream = stream;
    } else {
      host.resetForError(
        streamId,
        ERROR.FLOW_CONTROL_ERROR,
        'DATA beyond the window of the stream',
      );
    }
  }

  onDataPiece(piece: Uint8Array): void {
    const stream = this.#stream;
    this.#pieces += piece.length;
    if (stream !== undefined && !stream.isClosed && !stream.receiveData(piece)) {
      this.#stream = undefined;
      const message = 'DATA beyond content-length, or before HEADERS';
      this.#host.resetForError(stream.id, ERROR.PROTOCOL_ERROR, message);
    }
  }

  onDataEnd(paddingBytes: number): void {
    if (this.#pieces === 0 && !this.#endStream && !this.#host.allow('emptyData')) {
      return;
    }
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream === undefined || stream.isClosed) {
      return;
    }
    if (paddingBytes > 0) {
      stream.giveBack(paddingBytes);
    }
    if (this.#endStream) {
      this.#end(stream);
    }
  }

  /** §6.2, §8.1. */
  onHeaders(streamId: number, block: Uint8Array, endStream: boolean, dependsOn: number): void {
    this.messageFrames += 1;
    const decoded = this.#decode(block);
    if (decoded === undefined) {
      return;
    }
    const host = this.#host;
    const stream = host.streams.get(streamId);
    if (stream !== undefined) {
      this.#continueStream(stream, decoded, endStream);
      return;
    }
    if (host.streams.stateOf(streamId) !== 'idle') {
      this.#onLate(streamId, 'HEADERS');
      return;
    }
    if (host.role === 'client' || streamId % 2 === 0) {
      // §5.1.1: only a client opens streams here, and its numbers are odd.
      host.fail(ERROR.PROTOCOL_ERROR, `HEADERS open stream ${streamId}`);
      return;
    }
    host.streams.use(streamId);
    if (dependsOn === streamId) {
      this.#dependsOnItself(streamId);
      return;
    }
    const opened = host.openStream(streamId, decoded, endStream);
    if (opened !== undefined && endStream && !opened.isClosed) {
      this.#end(opened);
    }
  }

  /** §6.3, §5.3.2: without effect, but it may not name itself. */
  onPriority(streamId: number, dependsOn: number): void {
    if (this.#host.allow('priorities') && dependsOn === streamId) {
      this.#dependsOnItself(streamId);
    }
  }

  /** §6.4. */
  onReset(streamId: number, code: ErrorNumber): void {
    const host = this.#host;
    const stream = host.streams.get(streamId);
    if (stream !== undefined) {
      host.closeReset(stream, code);
      return;
    }
    const state = host.streams.stateOf(streamId);
    if (state === 'idle') {
      host.fail(ERROR.PROTOCOL_ERROR, 'RST_STREAM on an idle stream');
    } else if (host.allow('resets') && state === 'reset-here') {
      // §5.1: whatever the peer sends after its own RST_STREAM was not on its way when it saw ours.
      host.streams.end(streamId, 'reset-there');
    }
  }

  onSettings(entries: Uint8Array): void {
    if (this.#host.allow('settings')) {
      this.#host.onSettings(entries);
    }
  }

  onSettingsAck(): void {
    if (this.#host.allow('settings')) {
      this.#host.onSettingsAck();
    }
  }

  /** §6.7. */
  onPing(payload: Uint8Array, isAck: boolean): void {
    if (!this.#host.allow('pings')) {
      return;
    }
    if (isAck) {
      this.#host.onPingAck(payload);
    } else {
      this.#host.onPing(payload);
    }
  }

  onGoaway(lastStreamId: number, code: ErrorNumber, debug: Uint8Array): void {
    if (this.#host.allow('settings')) {
      this.#host.onGoaway(lastStreamId, code, debug);
    }
  }

  /** §6.9. */
  onWindowUpdate(streamId: number, increment: number): void {
    const host = this.#host;
    if (!host.allow('windowUpdates')) {
      return;
    }
    if (streamId === 0) {
      if (increment === 0) {
        host.fail(ERROR.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
      } else {
        host.openConnectionWindow(increment);
      }
      return;
    }
    const stream = host.streams.get(streamId);
    if (stream === undefined) {
      // §5.1: a stream that is over may get some for a while.
      if (host.streams.stateOf(streamId) === 'idle') {
        host.fail(ERROR.PROTOCOL_ERROR, 'WINDOW_UPDATE on an idle stream');
      }
    } else if (increment === 0) {
      host.resetForError(streamId, ERROR.PROTOCOL_ERROR, 'WINDOW_UPDATE of 0');
    } else if (!stream.openWindow(increment)) {
      host.resetForError(streamId, ERROR.FLOW_CONTROL_ERROR, 'a window beyond 2^31-1');
    }
  }

  /** §5.5. */
  onUnknown(): void {
    this.#host.allow('unknownFrames');
  }

  onStreamError(streamId: number, code: ErrorNumber, message: string): void {
    this.#host.resetForError(streamId, code, message);
  }

  onConnectionError(code: ErrorNumber, message: string): void {
    this.#host.fail(code, message);
  }

  #decode(block: Uint8Array): DecodedFields | undefined {
    try {
      return this.#hpack.decode(block);
    } catch (error) {
      if (!(error instanceof HpackError)) {
        throw error;
      }
      // §4.3.
      this.#host.fail(ERROR.COMPRESSION_ERROR, error.message);
      return undefined;
    }
  }

  /** HEADERS on an open stream: an answer, or trailers. */
  #continueStream(stream: Stream, decoded: DecodedFields, endStream: boolean): void {
    const host = this.#host;
    if (stream.peerEnded) {
      // §5.1: half-closed (remote).
      host.resetForError(stream.id, ERROR.STREAM_CLOSED, 'HEADERS after END_STREAM');
      return;
    }
    if (decoded.isTooLarge) {
      if (host.allow('oversizeHeaders')) {
        host.resetForError(stream.id, ERROR.ENHANCE_YOUR_CALM, 'more fields than are taken');
      }
      return;
    }
    const problem = stream.receiveFields(decoded, endStream);
    if (problem instanceof Malformed) {
      host.resetForError(stream.id, ERROR.PROTOCOL_ERROR, problem.reason);
    } else if (endStream && !stream.isClosed) {
      this.#end(stream);
    }
  }

  #end(stream: Stream): void {
    if (!stream.receiveEnd()) {
      const message = 'less DATA than content-length, or none of HEADERS';
      this.#host.resetForError(stream.id, ERROR.PROTOCOL_ERROR, message);
    }
  }

  /** §5.3.1 of RFC 7540; the scheme is gone, the error is not harmful. */
  #dependsOnItself(streamId: number): void {
    this.#host.resetForError(streamId, ERROR.PROTOCOL_ERROR, 'a stream that depends on itself');
  }

  /** §5.1: DATA or HEADERS on a stream that is not open. */
  #onLate(streamId: number, what: string): void {
    const host = this.#host;
    switch (host.streams.stateOf(streamId)) {
      case 'idle':
      case 'skipped':
        // §5.1.1: the use of a higher number has closed it.
        host.fail(ERROR.PROTOCOL_ERROR, `${what} on a stream that was never opened`);
        return;
      case 'ended':
        host.fail(ERROR.STREAM_CLOSED, `${what} after END_STREAM`);
        return;
      case 'reset-there':
      case 'forgotten':
        host.resetForError(streamId, ERROR.STREAM_CLOSED, `${what} on a stream that is over`);
        return;
      case 'reset-here':
        // The peer may not have seen our RST_STREAM when it sent this.
        return;
    }
  }
}
