/**
 * The lab's name server: UDP and TCP 53 on the kube-dns address, in the fabric's namespace.
 *
 * Its clients are pods, so its input is untrusted: what does not parse is dropped and counted.
 */
import type { Socket as DatagramSocket } from 'node:dgram';
import type { Server, Socket } from 'node:net';
import { adoptListener, adoptUdp, bindUdp, listenTcp, type Netns } from '@ambit/netns';
import { decode, encode } from 'dns-packet';
import { DNS } from './addresses.ts';
import { answerQuery, type DnsZone } from './dns-answers.ts';

const PORT = 53;
const BACKLOG = 128;
/** A client that sends no whole query in this time is cut off. */
const TCP_IDLE_MS = 10_000;
const TCP_CONNECTIONS_MAX = 256;
const QUERY_BYTES_MAX = 4_096;
/** RFC 1035 §2.3.4: what fits a datagram without EDNS; more is asked again by TCP. */
const UDP_BYTES_MAX = 512;
const TRUNCATED = 0x02_00;

export class DnsServer {
  #zone: DnsZone = { addresses: new Map(), aliases: new Map() };
  readonly #udp: DatagramSocket[] = [];
  readonly #tcp: Server[] = [];
  readonly #connections = new Set<Socket>();
  /** Queries that did not parse. */
  malformed = 0;

  async start(netns: Netns): Promise<void> {
    for (const address of [DNS.v4, DNS.v6]) {
      const udp = await adoptUdp(bindUdp(netns, { address, port: PORT, reusePort: false }));
      udp.on('message', (message, from) => {
        const response = this.#respond(message, UDP_BYTES_MAX);
        if (response !== undefined) {
          udp.send(response, from.port, from.address, () => undefined); // the client asks again
        }
      });
      this.#udp.push(udp);
      const options = {
        address,
        port: PORT,
        backlog: BACKLOG,
        reusePort: false,
        transparent: false,
      };
      const tcp = await adoptListener(listenTcp(netns, options), { backlog: BACKLOG });
      tcp.maxConnections = TCP_CONNECTIONS_MAX;
      tcp.on('connection', (socket) => this.#serve(socket));
      this.#tcp.push(tcp);
    }
  }

  /** Replaces every name at once. */
  update(zone: DnsZone): void {
    this.#zone = zone;
  }

  close(): void {
    for (const socket of this.#udp) {
      socket.close();
    }
    for (const server of this.#tcp) {
      server.close();
    }
    for (const socket of this.#connections) {
      socket.destroy();
    }
  }

  #serve(socket: Socket): void {
    this.#connections.add(socket);
    let pending = Buffer.alloc(0);
    socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
    socket.on('close', () => this.#connections.delete(socket));
    socket.on('error', () => socket.destroy());
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const length = pending.readUInt16BE(0);
        const response = this.#respond(pending.subarray(2, 2 + length), Number.POSITIVE_INFINITY);
        pending = pending.subarray(2 + length);
        if (response === undefined) {
          socket.destroy();
          return;
        }
        const prefix = Buffer.alloc(2);
        prefix.writeUInt16BE(response.length);
        socket.write(Buffer.concat([prefix, response]));
      }
      if (pending.length > QUERY_BYTES_MAX) {
        socket.destroy();
      }
    });
  }

  #respond(message: Buffer, bytesMax: number): Buffer | undefined {
    try {
      const response = answerQuery(this.#zone, decode(message));
      const bytes = encode(response);
      if (bytes.length <= bytesMax) {
        return bytes;
      }
      return encode({ ...response, flags: (response.flags ?? 0) | TRUNCATED, answers: [] });
    } catch {
      // Untrusted bytes: nothing to answer that the client could match to its query.
      this.malformed += 1;
      return undefined;
    }
  }
}
