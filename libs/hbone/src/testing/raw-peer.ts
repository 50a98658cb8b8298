/** A peer that speaks HTTP/2 frame by frame, for what no well-behaved client would send. */
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { connect, type TLSSocket } from 'node:tls';
import { type TlsIdentity, tlsContextOptions } from '../tls.ts';

export const FRAME_TYPES = [
  'DATA',
  'HEADERS',
  'PRIORITY',
  'RST_STREAM',
  'SETTINGS',
  'PUSH_PROMISE',
  'PING',
  'GOAWAY',
  'WINDOW_UPDATE',
  'CONTINUATION',
] as const;
export type FrameType = (typeof FRAME_TYPES)[number];

export interface RawFrame {
  readonly type: FrameType;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const ACK = 1;
export const END_STREAM = 1;
export const END_HEADERS = 4;

export function frame(
  type: FrameType,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
  flags = 0,
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = FRAME_TYPES.indexOf(type);
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** CONNECT without Huffman and without the dynamic table. */
export function connectHeaders(
  authority: string,
  extra: Readonly<Record<string, string>> = {},
): Buffer {
  const literal = (name: string, value: string): Buffer =>
    Buffer.concat([
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]);
  return Buffer.concat([
    literal(':method', 'CONNECT'),
    literal(':authority', authority),
    ...Object.entries(extra).map(([name, value]) => literal(name, value)),
  ]);
}

export class RawPeer {
  readonly frames: RawFrame[] = [];
  readonly closed: Promise<void>;
  readonly #socket: TLSSocket;
  #pending: Buffer = Buffer.alloc(0);
  #wake = Promise.withResolvers<void>();

  private constructor(socket: TLSSocket) {
    this.#socket = socket;
    const closed = Promise.withResolvers<void>();
    this.closed = closed.promise;
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('close', () => {
      closed.resolve();
      this.#note();
    });
  }

  /** `from`: an address of loopback. */
  static async connect(port: number, identity: TlsIdentity, from = '127.0.0.1'): Promise<RawPeer> {
    const raw = connectTcp({ port, host: '127.0.0.1', localAddress: from });
    const socket = connect({
      socket: raw,
      ...tlsContextOptions(identity),
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    return new RawPeer(socket);
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /** Bytes as they are. */
  send(...parts: readonly Uint8Array[]): void {
    if (!this.#socket.destroyed) {
      this.#socket.write(Buffer.concat(parts));
    }
  }

  /** Preface, empty SETTINGS, and the acknowledgement of the server's. */
  greet(): void {
    this.send(PREFACE, frame('SETTINGS', 0), frame('SETTINGS', 0, undefined, ACK));
  }

  /** Resolves when a frame matches, or with undefined when the connection ends before. */
  async next(isWanted: (frame: RawFrame) => boolean): Promise<RawFrame | undefined> {
    for (;;) {
      const found = this.frames.find(isWanted);
      if (found !== undefined || this.isClosed) {
        return found;
      }
      await this.#wake.promise;
    }
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #read(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk]);
    while (this.#pending.length >= 9) {
      const length = this.#pending.readUIntBE(0, 3);
      if (this.#pending.length < 9 + length) {
        break;
      }
      const type = FRAME_TYPES[this.#pending[3] ?? 0] ?? 'DATA';
      this.frames.push({
        type,
        flags: this.#pending[4] ?? 0,
        stream: this.#pending.readUInt32BE(5),
        payload: this.#pending.subarray(9, 9 + length),
      });
      this.#pending = this.#pending.subarray(9 + length);
    }
    this.#note();
  }

  #note(): void {
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }
}
