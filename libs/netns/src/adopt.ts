/**
 * From descriptors to Node's sockets and back. Whoever adopts a descriptor hands it over: Node closes it, also when
 * the adoption fails.
 */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { once } from 'node:events';
import {
  createServer,
  type Server,
  type ServerOpts,
  Socket,
  type SocketConstructorOpts,
} from 'node:net';
import { addressFamily } from './socket-address.ts';
import { closeFd, localAddressOf } from './sockets.ts';

export interface AdoptListenerOptions extends ServerOpts {
  /** Of listen(2), which is called again. */
  readonly backlog: number;
}

/** A server that accepts from a listening descriptor. `server.close()` closes the descriptor. */
export async function adoptListener(fd: number, options: AdoptListenerOptions): Promise<Server> {
  const { backlog, ...serverOptions } = options;
  const server = createServer(serverOptions);
  const listening = once(server, 'listening');
  server.listen({ fd, backlog });
  await listening;
  return server;
}

export interface DialOptions extends Pick<SocketConstructorOpts, 'allowHalfOpen' | 'signal'> {
  /** An IP address: names would be resolved outside the namespace. */
  readonly address: string;
  readonly port: number;
}

/** Connects a descriptor of `tcpSocket` from where it was made. Listen for `connect` and `error` on the result. */
export function dialFrom(fd: number, { address, port, ...options }: DialOptions): Socket {
  let family: 4 | 6;
  try {
    family = addressFamily(address);
  } catch (error) {
    closeFd(fd);
    throw error;
  }
  // `manualStart` keeps Node from reading before there is a connection, which would fail with ENOTCONN.
  const adopted: SocketConstructorOpts & { readonly manualStart: true } = {
    ...options,
    fd,
    readable: true,
    writable: true,
    manualStart: true,
  };
  return new Socket(adopted).connect({ host: address, port, family });
}

/** A datagram socket on a descriptor of `bindUdp`. */
export async function adoptUdp(fd: number): Promise<DatagramSocket> {
  const isV4 = localAddressOf(fd)?.address.includes('.') ?? false;
  const socket = createSocket(isV4 ? 'udp4' : 'udp6');
  const listening = once(socket, 'listening');
  socket.bind({ fd, exclusive: true });
  await listening;
  return socket;
}

/** The descriptor under a connected socket, for `originalDestination`; undefined once it is closed. */
export function descriptorOf(socket: Socket): number | undefined {
  // Node has no public accessor; `_handle.fd` has been there since 0.x and is -1 after the close.
  const handle: unknown = Reflect.get(socket, '_handle');
  if (typeof handle !== 'object' || handle === null || !('fd' in handle)) {
    return undefined;
  }
  return typeof handle.fd === 'number' && handle.fd >= 0 ? handle.fd : undefined;
}
