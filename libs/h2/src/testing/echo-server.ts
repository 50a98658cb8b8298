/** A small server on loopback TCP, for tools that speak HTTP/2 from outside. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

import { systemClock } from '@ambit/core';
import { SocketConn } from '@ambit/proxy';
import { type H2Counters, newH2Counters } from '../session/counters.ts';
import { type H2Limits, MESH_LIMITS } from '../session/limits.ts';
import { ServerSession } from '../session/server-session.ts';
import type { ServerStream } from '../session/server-stream.ts';

export interface TestServerOptions {
  readonly onStream?: (stream: ServerStream) => void;
  readonly limits?: H2Limits;
}

/** Answers every request with 200 and what it sent, or with a greeting. */
export function echo(stream: ServerStream): void {
  stream.respond({ status: 200, fields: ['content-type', 'text/plain'] });
  let bytes = 0;
  stream.start({
    onData: (chunk) => {
      bytes += chunk.length;
      if (!stream.write(chunk)) {
        stream.pause();
      }
    },
    onDrain: () => stream.resume(),
    onEnd: () => {
      if (bytes === 0) {
        stream.write(Buffer.from('nothing was sent'));
      }
      if (stream.trailers === undefined) {
        stream.end();
      } else {
        stream.sendTrailers(stream.trailers);
      }
    },
    onClose: () => undefined,
  });
}

export class TestServer {
  readonly counters: H2Counters = newH2Counters();
  readonly sessions = new Set<ServerSession>();
  readonly #listener: Server;

  private constructor(options: TestServerOptions) {
    this.#listener = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      const session = new ServerSession({
        transport: new SocketConn(socket, { side: 'downstream' }),
        clock: systemClock,
        limits: options.limits ?? MESH_LIMITS,
        counters: this.counters,
        onStream: options.onStream ?? echo,
        onClose: () => this.sessions.delete(session),
      });
      this.sessions.add(session);
    });
  }

  static async listen(options: TestServerOptions = {}): Promise<TestServer> {
    const server = new TestServer(options);
    server.#listener.listen(0, '127.0.0.1');
    await once(server.#listener, 'listening');
    return server;
  }

  get port(): number {
    const address = this.#listener.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const session of this.sessions) {
      session.destroy();
    }
    await closed;
  }
}
