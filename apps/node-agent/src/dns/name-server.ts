/**
 * The listening side of names in one pod's namespace: 127.0.0.1 and ::1, UDP and TCP.
 *
 * It runs on the main thread: a question costs microseconds, and names must go on while a worker is replaced.
 */
import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import type { Clock } from '@ambit/core';
import { adoptListener, adoptUdp, bindUdp, hearNoMore, listenTcp, type Netns } from '@ambit/netns';
import { DNS_PORT, PACKET_MARK } from '../capture/constants.ts';
import type { DnsMetrics } from './dns-metrics.ts';
import type { NameResponder } from './name-responder.ts';
import { TcpMessages } from './tcp-messages.ts';

/** RFC 7766 §6.2.3 leaves it to the server; ours serves one pod. */
const CONNECTIONS_MAX = 64;
const IDLE_MS = 15_000;
const BACKLOG = 64;
/** Answers that a client does not read may wait in memory up to this; then it is cut off. */
const UNREAD_BYTES_MAX = 256 * 1024;
/** What was asked before another agent took over is answered for so long. */
const LEAVE_MS = 2_000;
const LEAVE_CHECK_MS = 20;

export interface NameServerOptions {
  readonly ns: Netns;
  readonly addresses: readonly string[];
  readonly port?: number;
  readonly responder: NameResponder;
  readonly clock: Clock;
  readonly metrics: DnsMetrics;
}

export class NameServer implements AsyncDisposable {
  readonly #options: NameServerOptions;
  /** With their descriptors. */
  readonly #udp = new Map<DatagramSocket, number>();
  readonly #tcp: Server[] = [];
  readonly #connections = new Set<Socket>();
  /** Over UDP: since the start, and not answered yet. */
  #asked = 0;
  #unanswered = 0;

  private constructor(options: NameServerOptions) {
    this.#options = options;
  }

  /** All sockets or none. */
  static async listen(options: NameServerOptions): Promise<NameServer> {
    const server = new NameServer(options);
    try {
      for (const address of options.addresses) {
        await server.#open(address);
      }
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** Another agent answers in this namespace, too: takes no new questions, answers those that it has, and ends. */
  async leave(): Promise<void> {
    const { clock } = this.#options;
    for (const fd of this.#udp.values()) {
      hearNoMore(fd);
    }
    for (const server of this.#tcp) {
      server.close();
    }
    const deadline = clock.now() + LEAVE_MS;
    let asked: number;
    do {
      asked = this.#asked;
      await clock.sleep(LEAVE_CHECK_MS);
      // A loop that is late runs its timers before it reads sockets.
      await new Promise((resolve) => setImmediate(resolve));
    } while ((asked !== this.#asked || this.#unanswered > 0) && clock.now() < deadline);
    await this[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#options.responder.stop();
    for (const socket of this.#udp.keys()) {
      socket.close();
    }
    this.#udp.clear();
    for (const connection of this.#connections) {
      connection.destroy();
    }
    await Promise.all(
      this.#tcp.splice(0).map((server) => new Promise((resolve) => server.close(resolve))),
    );
  }

  async #open(address: string): Promise<void> {
    const { ns, port = DNS_PORT } = this.#options;
    const options = { address, port, mark: PACKET_MARK, reusePort: true };
    const fd = bindUdp(ns, options);
    const udp = await adoptUdp(fd);
    this.#udp.set(udp, fd);
    udp.on('message', (query, from) => void this.#answer(udp, query, from));
    // An ICMP error about an answer that nobody waits for any more.
    udp.on('error', () => undefined);
    const tcp = await adoptListener(
      listenTcp(ns, { ...options, backlog: BACKLOG, transparent: false }),
      { backlog: BACKLOG, noDelay: true },
    );
    this.#tcp.push(tcp);
    tcp.on('connection', (socket) => this.#serve(socket));
  }

  async #answer(
    udp: DatagramSocket,
    query: Buffer,
    from: { readonly address: string; readonly port: number },
  ): Promise<void> {
    this.#asked++;
    this.#unanswered++;
    const answer = await this.#options.responder.respond(query, 'udp');
    this.#unanswered--;
    if (answer !== undefined && this.#udp.has(udp)) {
      udp.send(answer, from.port, from.address);
    }
  }

  #serve(socket: Socket): void {
    const { metrics, responder } = this.#options;
    if (this.#connections.size >= CONNECTIONS_MAX) {
      metrics.refused.inc({ limit: 'tcp_connections' });
      socket.destroy();
      return;
    }
    this.#connections.add(socket);
    socket.once('close', () => this.#connections.delete(socket));
    socket.on('error', () => socket.destroy());
    const idle = new IdleLimit(this.#options.clock, () => socket.destroy());
    socket.once('close', () => idle.stop());
    const messages = new TcpMessages((query) => {
      idle.touch();
      void responder.respond(query, 'tcp').then((answer) => {
        if (answer === undefined || socket.writableLength > UNREAD_BYTES_MAX) {
          socket.destroy();
        } else if (!socket.destroyed) {
          socket.write(TcpMessages.frame(answer));
        }
      });
    });
    socket.on('data', (chunk: Buffer) => messages.push(chunk));
  }
}

/** Calls back when nothing was touched for IDLE_MS. */
class IdleLimit {
  readonly #stopped = new AbortController();
  readonly #clock: Clock;
  #touchedAt: number;

  constructor(clock: Clock, onIdle: () => void) {
    this.#clock = clock;
    this.#touchedAt = clock.now();
    void this.#watch(onIdle);
  }

  touch(): void {
    this.#touchedAt = this.#clock.now();
  }

  stop(): void {
    this.#stopped.abort();
  }

  async #watch(onIdle: () => void): Promise<void> {
    for (;;) {
      const leftMs = this.#touchedAt + IDLE_MS - this.#clock.now();
      if (leftMs <= 0) {
        onIdle();
        return;
      }
      try {
        await this.#clock.sleep(leftMs, this.#stopped.signal);
      } catch {
        // The connection ended first.
        return;
      }
    }
  }
}
