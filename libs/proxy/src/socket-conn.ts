/**
 * `ByteConn` on a TCP socket and on a TLS socket.
 *
 * Rule: a FIN of the peer never ends our direction (`allowHalfOpen`), and `destroy` with a reason is
 * an RST, so that the peer does not take a refusal for a complete answer.
 */
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

import type { MeshError } from '@ambit/core';
import { canonicalAddress } from './address.ts';
import { resetSocket } from './reset-socket.ts';
import { type ConnAddresses, StreamConn, type StreamConnOptions } from './stream-conn.ts';

/** Keepalive of the reference agent. */
const KEEPALIVE_IDLE_MS = 180_000;
const KEEPALIVE_INTERVAL_MS = 180_000;
const KEEPALIVE_PROBES = 9;

export interface SocketConnOptions extends StreamConnOptions {
  /** TCP keepalive 180 s / 180 s / 9; not on 15008, where HTTP/2 PING does it. Default true. */
  readonly keepAlive?: boolean;
}

function addressesOf(socket: Socket): ConnAddresses {
  return {
    remoteAddress: canonicalAddress(socket.remoteAddress),
    remotePort: socket.remotePort ?? 0,
    localAddress: canonicalAddress(socket.localAddress),
    localPort: socket.localPort ?? 0,
  };
}

/** Where Node keeps what it was asked, in an object each, for as long as the socket lives. */
const NODES_COPIES = ['_peername', '_sockname'];

/** Of which there may be thousands, each for one stream; of TLS sockets there are few, and who accepted one may ask it again. */
function dropCopies(socket: Socket): void {
  for (const name of NODES_COPIES) {
    if (Reflect.has(socket, name)) {
      Reflect.set(socket, name, undefined);
    }
  }
}

function prepare(socket: Socket, keepAlive: boolean): void {
  socket.allowHalfOpen = true;
  socket.setNoDelay(true);
  if (keepAlive) {
    socket.setKeepAlive(true, KEEPALIVE_IDLE_MS, KEEPALIVE_INTERVAL_MS, KEEPALIVE_PROBES);
  }
}

/** Takes over a connected socket that nobody reads yet. */
export class SocketConn extends StreamConn<Socket> {
  constructor(socket: Socket, options: SocketConnOptions) {
    prepare(socket, options.keepAlive ?? true);
    super(socket, addressesOf(socket), options);
    dropCopies(socket);
  }

  protected override destroyStream(reason: MeshError | undefined): void {
    if (reason === undefined) {
      this.stream.destroy();
    } else {
      resetSocket(this.stream);
    }
  }
}

/** Takes over a TLS socket after its handshake. `end` sends close_notify and FIN. */
export class TlsConn extends StreamConn<TLSSocket> {
  constructor(socket: TLSSocket, options: SocketConnOptions) {
    prepare(socket, options.keepAlive ?? true);
    super(socket, addressesOf(socket), options);
  }
}
