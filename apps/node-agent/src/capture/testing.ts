/** A pod and a peer, two namespaces joined by a cable; for lab tests only. */
import { once } from 'node:events';
import type { Server, Socket } from 'node:net';
import {
  adoptListener,
  createNetns,
  descriptorOf,
  dialFrom,
  listenTcp,
  type Netns,
  type OriginalDestination,
  originalDestination,
  runIp,
  tcpSocket,
} from '@ambit/netns';

export const POD = { v4: '10.77.0.2', v6: 'fd77::2' } as const;
export const PEER = { v4: '10.77.0.1', v6: 'fd77::1' } as const;

export interface Cable extends Disposable {
  readonly pod: Netns;
  readonly peer: Netns;
}

/** Sockets of `dial`; those that a failed test leaves open would keep the process alive. */
const dialled = new Set<Socket>();

export function closeDialled(): void {
  for (const socket of dialled) {
    socket.destroy();
  }
  dialled.clear();
}

export async function connectPodAndPeer(): Promise<Cable> {
  const pod = createNetns();
  const peer = createNetns();
  await runIp(pod, ['link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'cable']);
  await runIp(pod, ['link', 'set', 'cable', 'netns', `/proc/${process.pid}/fd/${peer.fd}`]);
  for (const [ns, link, own] of [
    [pod, 'eth0', POD],
    [peer, 'cable', PEER],
  ] as const) {
    await runIp(ns, ['link', 'set', 'lo', 'up']);
    await runIp(ns, ['addr', 'add', `${own.v4}/24`, 'dev', link]);
    await runIp(ns, ['addr', 'add', `${own.v6}/64`, 'dev', link, 'nodad']);
    await runIp(ns, ['link', 'set', link, 'up']);
  }
  await runIp(pod, ['route', 'add', 'default', 'via', PEER.v4]);
  await runIp(pod, ['-6', 'route', 'add', 'default', 'via', PEER.v6]);
  return {
    pod,
    peer,
    [Symbol.dispose]: () => {
      closeDialled();
      pod[Symbol.dispose]();
      peer[Symbol.dispose]();
    },
  };
}

export interface Arrival {
  readonly from: string;
  readonly originally: OriginalDestination | undefined;
  readonly socket: Socket;
}

/** Accepts, notes who came and echoes every byte with a prefix. */
export class EchoServer {
  readonly arrivals: Arrival[] = [];
  readonly #server: Server;
  #answer: ((socket: Socket) => (chunk: Buffer) => void) | undefined;

  private constructor(server: Server, prefix: string) {
    this.#server = server;
    server.on('connection', (socket) => {
      this.arrivals.push({
        from: (socket.remoteAddress ?? '').replace('::ffff:', ''),
        originally: originalDestination(descriptorOf(socket) ?? -1),
        socket,
      });
      socket.on('error', () => socket.destroy());
      const echo = (chunk: Buffer): void => void socket.write(`${prefix}${chunk.toString()}`);
      socket.on('data', this.#answer?.(socket) ?? echo);
    });
  }

  static async listen(ns: Netns, port: number, prefix: string): Promise<EchoServer> {
    const fd = listenTcp(ns, {
      address: '::',
      port,
      backlog: 16,
      reusePort: true,
      transparent: false,
    });
    return await EchoServer.adopt(fd, prefix);
  }

  static async adopt(fd: number, prefix: string): Promise<EchoServer> {
    return new EchoServer(await adoptListener(fd, { backlog: 16 }), prefix);
  }

  /** Does something else than echo with the bytes of connections that come from now on. */
  answerWith(answer: (socket: Socket) => (chunk: Buffer) => void): void {
    this.#answer = answer;
  }

  /** Stops listening; open connections stay. */
  close(): void {
    this.#server.close();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const { socket } of this.arrivals) {
      socket.destroy();
    }
    await closed;
  }
}

export interface DialFrom {
  readonly address: string;
  readonly port: number;
  readonly mark?: number;
  readonly sourceAddress?: string;
}

/** Resolves when connected, rejects when refused. */
export async function dial(ns: Netns, { address, port, ...options }: DialFrom): Promise<Socket> {
  const fd = tcpSocket(ns, { family: address.includes(':') ? 6 : 4, ...options });
  const socket = dialFrom(fd, { address, port });
  dialled.add(socket);
  await once(socket, 'connect');
  return socket;
}

/** Sends text and returns what comes back. */
export async function ask(socket: Socket, text: string): Promise<string> {
  const answer = once(socket, 'data') as Promise<[Buffer]>;
  socket.write(text);
  const [bytes] = await answer;
  return bytes.toString();
}
