/** A peer in memory that speaks frame by frame, for what no well-behaved one would say. */
import { type ByteConn, type ByteSink, writeAll } from '@ambit/proxy';
import { readU32 } from '../frames/bytes.ts';
import { FrameDecoder } from '../frames/frame-decoder.ts';
import { errorName, FLAG, FRAME, FRAME_BYTES_MAX, PREFACE } from '../frames/protocol.ts';
import { HpackDecoder } from '../hpack/decoder.ts';
import { EventLog, frame } from './frames.ts';

/** A block of literals without indexing: it needs no state at either end. */
export function block(fields: readonly string[]): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    parts.push(Buffer.from([0]));
    for (const text of [fields[at] ?? '', fields[at + 1] ?? '']) {
      const length = text.length < 127 ? [text.length] : [127, ...varint(text.length - 127)];
      parts.push(Buffer.from(length), Buffer.from(text, 'latin1'));
    }
  }
  return Buffer.concat(parts);
}

function varint(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...varint(value >>> 7)];
}

export const GET: readonly string[] = [
  ':method',
  'GET',
  ':scheme',
  'http',
  ':path',
  '/',
  ':authority',
  'a',
];

/** HEADERS with END_HEADERS. */
export function headers(streamId: number, fields: readonly string[], flags = 0): Buffer {
  return frame(FRAME.HEADERS, streamId, block(fields), FLAG.END_HEADERS | flags);
}

export const get = (streamId: number): Buffer => headers(streamId, GET, FLAG.END_STREAM);
export const post = (streamId: number, more: readonly string[] = []): Buffer =>
  headers(streamId, [':method', 'POST', ...GET.slice(2), ...more]);

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export const data = (streamId: number, payload: Uint8Array | string, flags = 0): Buffer =>
  frame(FRAME.DATA, streamId, payload, flags);
export const reset = (streamId: number, code = 8): Buffer =>
  frame(FRAME.RST_STREAM, streamId, u32(code));
export const windowUpdate = (streamId: number, increment: number): Buffer =>
  frame(FRAME.WINDOW_UPDATE, streamId, u32(increment));
export const goaway = (last: number, code = 0): Buffer =>
  frame(FRAME.GOAWAY, 0, Buffer.concat([u32(last), u32(code)]));
export const ping = (payload = 'abcdefgh', flags = 0): Buffer =>
  frame(FRAME.PING, 0, payload, flags);
export const SETTINGS_ACK = frame(FRAME.SETTINGS, 0, '', FLAG.ACK);

export function settings(...entries: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(entries.length * 6);
  for (const [index, [id, value]] of entries.entries()) {
    bytes.writeUInt16BE(id, index * 6);
    bytes.writeUInt32BE(value, index * 6 + 2);
  }
  return frame(FRAME.SETTINGS, 0, bytes);
}

/** Says frames in words. */
class FrameText extends EventLog {
  readonly #hpack = new HpackDecoder({
    tableBytesMax: 4096,
    listBytesMax: 1 << 20,
    fieldsMax: 999,
  });
  dataBytes = 0;
  #data = '';

  override onDataBegin(streamId: number, flowBytes: number, endStream: boolean): void {
    this.dataBytes += flowBytes;
    this.#data = `DATA ${streamId} ${flowBytes}${endStream ? ' end' : ''}`;
  }

  override onDataPiece(): void {}

  override onDataEnd(): void {
    this.events.push(this.#data);
  }

  override onHeaders(streamId: number, bytes: Uint8Array, endStream: boolean): void {
    const { fields } = this.#hpack.decode(bytes);
    const text = fields.map((part, at) => (at % 2 === 0 ? ` ${part}=` : part)).join('');
    this.events.push(`HEADERS ${streamId}${text}${endStream ? ' end' : ''}`);
  }

  override onReset(streamId: number, code: number): void {
    this.events.push(`RST_STREAM ${streamId} ${errorName(code)}`);
  }

  override onSettings(entries: Uint8Array): void {
    const pairs: string[] = [];
    for (let at = 0; at < entries.length; at += 6) {
      pairs.push(` ${entries[at + 1]}=${readU32(entries, at + 2)}`);
    }
    this.events.push(`SETTINGS${pairs.join('')}`);
  }

  override onSettingsAck(): void {
    this.events.push('SETTINGS ack');
  }

  override onPing(payload: Uint8Array, isAck: boolean): void {
    this.events.push(`PING${isAck ? ' ack' : ''} ${Buffer.from(payload).toString('latin1')}`);
  }

  override onGoaway(last: number, code: number): void {
    this.events.push(`GOAWAY ${last} ${errorName(code)}`);
  }

  override onWindowUpdate(streamId: number, increment: number): void {
    this.events.push(`WINDOW_UPDATE ${streamId} ${increment}`);
  }
}

const UNLIMITED = {
  frameBytesMax: FRAME_BYTES_MAX,
  headerBlockBytesMax: 1 << 20,
  continuationsMax: 1000,
  settingsPerFrameMax: 100,
};

export class RawPeer implements ByteSink {
  readonly #conn: ByteConn;
  readonly #text = new FrameText();
  readonly #decoder: FrameDecoder;
  #seen = 0;
  isEnded = false;
  isClosed = false;

  /** `role`: which side this peer plays. */
  constructor(conn: ByteConn, role: 'client' | 'server') {
    this.#conn = conn;
    this.#decoder = new FrameDecoder({
      sink: this.#text,
      limits: UNLIMITED,
      expectsPreface: role === 'server',
    });
    conn.start(this);
  }

  /** Everything that came, DATA by its length. */
  get frames(): readonly string[] {
    return this.#text.events;
  }

  get dataBytes(): number {
    return this.#text.dataBytes;
  }

  /** False: the other side does not read. */
  send(...frames: readonly Uint8Array[]): boolean {
    return writeAll(this.#conn, frames);
  }

  /** Preface, SETTINGS, and the acknowledgement of theirs. */
  greetAsClient(...entries: readonly (readonly [number, number])[]): void {
    this.send(PREFACE, settings(...entries), SETTINGS_ACK);
  }

  greetAsServer(...entries: readonly (readonly [number, number])[]): void {
    this.send(settings(...entries), SETTINGS_ACK);
  }

  /** What came since the last call, when everything has been said. */
  async answers(): Promise<string[]> {
    await settled();
    const answers = this.frames.slice(this.#seen);
    this.#seen = this.frames.length;
    return answers;
  }

  /** Stops reading, as a peer whose buffers are full. */
  pause(): void {
    this.#conn.pause();
  }

  resume(): void {
    this.#conn.resume();
  }

  end(): void {
    this.#conn.end();
  }

  destroy(): void {
    this.#conn.destroy();
  }

  onData(chunk: Uint8Array): void {
    this.#decoder.push(chunk);
  }

  onEnd(): void {
    this.isEnded = true;
    this.#conn.end();
  }

  onDrain(): void {}

  onClose(): void {
    this.isClosed = true;
  }
}

/** Turns of the loop until nothing in memory moves any more. */
export async function settled(turns = 12): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise<void>((resolve) => setImmediate(resolve));
  }
}
