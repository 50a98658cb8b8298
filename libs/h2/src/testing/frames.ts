/** Frames as tests write and read them. */

import { writeU24, writeU32 } from '../frames/bytes.ts';
import type { FrameSink } from '../frames/frame-decoder.ts';
import { type ErrorNumber, errorName, FRAME_HEADER_BYTES } from '../frames/protocol.ts';

/** A frame as it is on the wire. `payload` as text: one byte a character. */
export function frame(
  type: number,
  streamId: number,
  payload: Uint8Array | string = '',
  flags = 0,
): Buffer {
  const body = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + body.length);
  writeU24(bytes, 0, body.length);
  bytes[3] = type;
  bytes[4] = flags;
  writeU32(bytes, 5, streamId);
  bytes.set(body, FRAME_HEADER_BYTES);
  return bytes;
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** Writes down what a decoder says. */
export class EventLog implements FrameSink {
  readonly events: string[] = [];

  onDataBegin(streamId: number, flowBytes: number, endStream: boolean): void {
    this.events.push(`data ${streamId} flow ${flowBytes}${endStream ? ' ends' : ''}`);
  }

  onDataPiece(piece: Uint8Array): void {
    this.events.push(`piece ${latin1(piece)}`);
  }

  onDataEnd(paddingBytes: number): void {
    this.events.push(`data end +${paddingBytes}`);
  }

  onHeaders(streamId: number, block: Uint8Array, endStream: boolean, dependsOn: number): void {
    const on = dependsOn === -1 ? '' : ` on ${dependsOn}`;
    this.events.push(`headers ${streamId} ${latin1(block)}${endStream ? ' ends' : ''}${on}`);
  }

  onPriority(streamId: number, dependsOn: number): void {
    this.events.push(`priority ${streamId} on ${dependsOn}`);
  }

  onReset(streamId: number, code: ErrorNumber): void {
    this.events.push(`reset ${streamId} ${code}`);
  }

  onSettings(entries: Uint8Array): void {
    this.events.push(`settings ${Buffer.from(entries).toString('hex')}`);
  }

  onSettingsAck(): void {
    this.events.push('settings ack');
  }

  onPing(payload: Uint8Array, isAck: boolean): void {
    this.events.push(`ping ${isAck ? 'ack ' : ''}${latin1(payload)}`);
  }

  onGoaway(lastStreamId: number, code: ErrorNumber, debug: Uint8Array): void {
    this.events.push(`goaway ${lastStreamId} ${code} ${latin1(debug)}`);
  }

  onWindowUpdate(streamId: number, increment: number): void {
    this.events.push(`window ${streamId} +${increment}`);
  }

  onUnknown(type: number): void {
    this.events.push(`unknown ${type}`);
  }

  onStreamError(streamId: number, code: ErrorNumber): void {
    this.events.push(`stream ${streamId} ${errorName(code)}`);
  }

  onConnectionError(code: ErrorNumber): void {
    this.events.push(`connection ${errorName(code)}`);
  }
}
