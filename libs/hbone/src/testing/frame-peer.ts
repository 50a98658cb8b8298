/**
 * Either end of a tunnel session over TLS, that speaks in frames as they are, and hears in words: for what was recorded, and for what
 * no program of ours would say.
 */
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import {
  connect,
  createServer,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from 'node:tls';

import { RawPeer } from '@ambit/h2/testing';
import { TlsConn } from '@ambit/proxy';
import { type TlsIdentity, tlsContextOptions } from '../tls.ts';
import { eventually } from './eventually.ts';
import { FRAME_TYPES, PREFACE } from './raw-peer.ts';

const FRAME_HEADER_BYTES = 9;

export class FramePeer extends RawPeer {
  /** Of DATA, by stream. */
  readonly #texts = new Map<number, string>();
  #pending: Buffer = Buffer.alloc(0);
  /** Of the other end's preface. */
  #skipped: number;

  constructor(socket: TLSSocket, role: 'client' | 'server') {
    // A connection that was reset is over for these tests, whoever did it.
    socket.on('error', () => undefined);
    super(new TlsConn(socket, { side: role === 'client' ? 'upstream' : 'downstream' }), role);
    this.#skipped = role === 'server' ? PREFACE.length : 0;
  }

  /** `otherwise`: where its TLS differs from ours. */
  static async connect(
    port: number,
    identity: TlsIdentity,
    otherwise: SecureContextOptions = {},
  ): Promise<FramePeer> {
    const socket = connect({
      socket: connectTcp({ port, host: '127.0.0.1' }),
      ...tlsContextOptions(identity),
      ...otherwise,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    return new FramePeer(socket, 'client');
  }

  /** All that came on a stream. */
  textOf(stream: number): string {
    return this.#texts.get(stream) ?? '';
  }

  /** Until a frame has come, in words, that begins so. */
  async heard(words: string, times = 1): Promise<void> {
    const count = (): number => this.frames.filter((said) => said.startsWith(words)).length;
    await eventually(() => count() >= times, `${words}: of ${this.frames.join('; ')}`);
  }

  override onData(chunk: Uint8Array): void {
    this.#keepTexts(chunk);
    super.onData(chunk);
  }

  #keepTexts(chunk: Uint8Array): void {
    let pending = Buffer.concat([this.#pending, chunk]);
    if (pending.length < this.#skipped) {
      this.#pending = pending;
      return;
    }
    pending = pending.subarray(this.#skipped);
    this.#skipped = 0;
    while (pending.length >= FRAME_HEADER_BYTES) {
      const end = FRAME_HEADER_BYTES + pending.readUIntBE(0, 3);
      if (pending.length < end) {
        break;
      }
      if (FRAME_TYPES[pending[3] ?? 0] === 'DATA') {
        const stream = pending.readUInt32BE(5);
        const payload = pending.toString('latin1', FRAME_HEADER_BYTES, end);
        this.#texts.set(stream, this.textOf(stream) + payload);
      }
      pending = pending.subarray(end);
    }
    this.#pending = pending;
  }
}

/** Takes what connects, and says nothing by itself. */
export class FrameServer implements AsyncDisposable {
  readonly #server: Server;
  readonly #peers: FramePeer[] = [];

  private constructor(options: SecureContextOptions) {
    this.#server = createServer({
      ...options,
      requestCert: true,
      ALPNProtocols: ['h2'],
    });
    this.#server.on('secureConnection', (socket) => {
      this.#peers.push(new FramePeer(socket, 'server'));
    });
  }

  /** `otherwise`: where its TLS differs from ours. */
  static async start(
    identity: TlsIdentity,
    otherwise: SecureContextOptions = {},
  ): Promise<FrameServer> {
    const server = new FrameServer({ ...tlsContextOptions(identity), ...otherwise });
    server.#server.listen(0, '127.0.0.1');
    await once(server.#server, 'listening');
    return server;
  }

  /** A connected raw socket to it. */
  async dial(): Promise<Socket> {
    const address = this.#server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }

  /** The connection that came as number `at`, from 0. */
  async peer(at = 0): Promise<FramePeer> {
    await eventually(() => this.#peers.length > at, `connection ${at}`);
    const peer = this.#peers[at];
    if (peer === undefined) {
      throw new Error(`no connection ${at}`);
    }
    return peer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) {
      peer.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }
}
