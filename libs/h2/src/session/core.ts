/**
 * What a session does with the frames of its peer and the wishes of its streams; client and server share it
 * (RFC 9113 §5, §6).
 */
import type { MeshError } from '@ambit/core';
import { H2Error, protocolError, resetByPeer } from '../errors.ts';
import { FrameDecoder } from '../frames/frame-decoder.ts';
import {
  ERROR,
  type ErrorNumber,
  FLAG,
  FRAME,
  HEADER_TABLE_BYTES_DEFAULT,
} from '../frames/protocol.ts';
import type { DecodedFields } from '../hpack/decoder.ts';
import type { Fields } from '../message.ts';
import { type BlockOptions, FieldWriter } from './field-writer.ts';
import { Inbound, type InboundHost } from './inbound.ts';
import { Lifecycle } from './lifecycle.ts';
import { localSettings } from './local-settings.ts';
import type { Outgoing } from './outgoing.ts';
import { applySettings, defaultPeerSettings, type PeerSettings } from './peer-settings.ts';
import { ReceiveFlow } from './receive-flow.ts';
import type { ReceiveWindow } from './receive-window.ts';
import type { SessionOptions } from './session-options.ts';
import type { Stream } from './stream.ts';
import type { StreamHost, StreamOptions } from './stream-host.ts';
import { QUANTUM_BYTES } from './turns.ts';
import { threadWindowGrowth } from './window-growth.ts';

export abstract class SessionCore extends Lifecycle implements InboundHost, StreamHost {
  readonly flow: ReceiveFlow;
  readonly peer: PeerSettings = defaultPeerSettings();
  readonly #inbound = new Inbound(this, HEADER_TABLE_BYTES_DEFAULT);
  readonly #decoder: FrameDecoder;
  readonly #fields = new FieldWriter();

  constructor(options: SessionOptions, role: 'client' | 'server') {
    super(options, role);
    const { clock, limits, writer, pings } = this;
    const growth = options.growth ?? threadWindowGrowth;
    this.flow = new ReceiveFlow({ clock, limits, writer, pings, growth });
    this.#decoder = new FrameDecoder({
      sink: this.#inbound,
      limits,
      expectsPreface: role === 'server',
    });
  }

  get messageFrames(): number {
    return this.#inbound.messageFrames;
  }

  get sendBufferBytes(): number {
    return this.limits.sendBufferBytes;
  }

  /** Says our part of the preface (§3.4) and begins to read. */
  protected startWith(preface: Uint8Array | undefined): void {
    const { out } = this.writer;
    if (preface !== undefined) {
      out.append(preface);
    }
    out.settings(localSettings(this.limits, this.role));
    this.flow.start();
    this.begin();
  }

  protected override onBytes(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  protected override stopReading(): void {
    this.#decoder.stop();
  }

  // What the frames of the peer do.

  abstract openStream(
    streamId: number,
    decoded: DecodedFields,
    endStream: boolean,
  ): Stream | undefined;

  protected streamOptions(id: number): StreamOptions {
    return {
      id,
      host: this,
      sendWindow: this.peer.windowBytes,
      receiveWindow: this.flow.newStreamWindow(),
    };
  }

  protected addStream(stream: Stream): void {
    this.counters.streams += 1;
    this.streams.add(stream);
  }

  resetForError(streamId: number, code: ErrorNumber, message: string): void {
    if (!this.allow('streamErrors')) {
      return;
    }
    this.counters.streamErrors += 1;
    const stream = this.streams.get(streamId);
    this.resetStream(streamId, code);
    stream?.close(protocolError(code, message, this.side));
    this.endIfDone();
  }

  closeReset(stream: Stream, code: ErrorNumber): void {
    this.streams.end(stream.id, 'reset-there');
    stream.close(resetByPeer(code, this.side), code);
    this.endIfDone();
    this.allow('resets');
  }

  onSettings(entries: Uint8Array): void {
    const { peer } = this;
    const windowBefore = peer.windowBytes;
    const problem = applySettings(peer, entries, this.role);
    if (problem !== undefined) {
      this.fail(problem.code, problem.message);
      return;
    }
    this.established();
    this.#fields.tableBytes = peer.headerTableBytes;
    for (const stream of peer.windowBytes === windowBefore ? [] : this.streams.all()) {
      // §6.9.2: the difference counts for every open stream, and may make a window negative.
      if (!stream.openWindow(peer.windowBytes - windowBefore)) {
        this.fail(ERROR.FLOW_CONTROL_ERROR, 'a window beyond 2^31-1');
        return;
      }
    }
    this.writer.out.frame(FRAME.SETTINGS, FLAG.ACK, 0, 0);
    this.#reply();
    this.options.onSettings?.(peer);
  }

  onPing(payload: Uint8Array): void {
    this.writer.out.ping(payload, true);
    this.#reply();
  }

  /** §6.8. */
  onGoaway(lastStreamId: number, code: ErrorNumber, debug: Uint8Array): void {
    const text = Buffer.from(debug).toString('latin1');
    const goaway = { lastStreamId, code, debug: text.replace(/[^\x20-\x7e]/g, '.') };
    this.goawayReceived(goaway);
    if (this.role === 'client') {
      this.#refuseBeyond(lastStreamId);
    }
    this.options.onGoaway?.(goaway);
    this.endIfDone();
  }

  #refuseBeyond(lastStreamId: number): void {
    for (const stream of this.streams.all()) {
      if (stream.id > lastStreamId) {
        const message = 'the peer ends the connection and has not processed the stream';
        const number = ERROR.REFUSED_STREAM;
        this.streams.end(stream.id, 'reset-here');
        stream.close(
          new H2Error('H2_REFUSED', message, { side: this.side, number, retryable: true }),
        );
      }
    }
  }

  openConnectionWindow(increment: number): void {
    if (!this.writer.openWindow(increment)) {
      this.fail(ERROR.FLOW_CONTROL_ERROR, 'the window of the connection is beyond 2^31-1');
    }
  }

  #reply(): void {
    if (!this.writer.scheduleReply()) {
      this.fail(ERROR.ENHANCE_YOUR_CALM, 'too many answers wait for the peer');
    }
  }

  protected resetStream(streamId: number, code: ErrorNumber): void {
    this.streams.end(streamId, 'reset-here');
    this.writer.out.numberFrame(FRAME.RST_STREAM, streamId, code);
    this.writer.schedule();
  }

  // What streams ask for.

  wantSend(stream: Stream): void {
    this.writer.enqueue(stream);
  }

  sendAtOnce(stream: Stream, outgoing: Outgoing, chunk: Uint8Array): number {
    const { writer } = this;
    const bytes = Math.min(chunk.length, outgoing.openBytes, writer.openBytes);
    if (bytes === 0) {
      return 0;
    }
    const now = bytes === chunk.length ? chunk : chunk.subarray(0, bytes);
    const options = { streamId: stream.id, frameBytes: QUANTUM_BYTES };
    const frames = outgoing.sendAtOnce(writer.out, now, options);
    const takesMore = writer.wrote(bytes, frames);
    if (!takesMore && bytes === chunk.length && outgoing.askToWait()) {
      writer.drainLater(stream);
    }
    return bytes;
  }

  sendFields(
    stream: Stream,
    fields: Fields,
    options: { readonly endStream: boolean; readonly neverIndexed?: readonly string[] | undefined },
  ): void {
    const { endStream, neverIndexed } = options;
    this.sendBlock(fields, { streamId: stream.id, endStream, neverIndexed });
  }

  /** Throws H2Error H2_BAD_FIELD, and nothing was sent. */
  protected sendBlock(fields: Fields, options: BlockOptions): void {
    this.#fields.write(this.writer.out, fields, options);
    this.writer.schedule();
  }

  sendReset(stream: Stream, code: ErrorNumber): void {
    if (this.streams.get(stream.id) === stream) {
      this.resetStream(stream.id, code);
      this.endIfDone();
    }
  }

  onBothEnded(stream: Stream): void {
    if (this.streams.get(stream.id) === stream) {
      this.streams.end(stream.id, 'ended');
      stream.close(undefined);
      this.endIfDone();
    }
  }

  protected override abandon(stream: Stream, error: MeshError): void {
    this.sendReset(stream, ERROR.CANCEL);
    stream.close(error);
  }

  addHeld(bytes: number): void {
    this.flow.addHeld(bytes);
  }

  closeWindow(window: ReceiveWindow, heldBytes: number): void {
    this.flow.closeWindow(window, heldBytes);
  }

  sendWindow(stream: Stream, window: ReceiveWindow, heldBytes: number): void {
    this.flow.updateStream(stream.id, window, heldBytes);
  }
}
