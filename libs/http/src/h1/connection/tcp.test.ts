/** Over TCP, between a client and a server of node:http: what both halves carry, with real backpressure and real ends. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  Agent,
  createServer as createHttpServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
  type Server,
} from 'node:http';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { copyBoth, SocketConn } from '@ambit/proxy';
import { withoutHopByHop } from '../encode/hop-by-hop.ts';
import { H1ClientConnection } from './client-connection.ts';
import { H1ServerConnection } from './server-connection.ts';
import type { ServerExchange } from './server-exchange.ts';
import { Sweeper } from './sweeper.ts';

const LARGE = randomBytes(6 * 1024 * 1024);

function portOf(server: { address(): AddressInfo | string | null }): number {
  const address = server.address();
  return address !== null && typeof address === 'object' ? address.port : 0;
}

/** Answers with what it got; by path also without a body, with trailers, or by an upgrade. */
function makeOrigin(): Server {
  const origin = createHttpServer((request, response) => {
    response.setHeader('x-seen', `${request.method} ${request.url}`);
    if (request.url === '/304') {
      response.writeHead(304).end();
    } else if (request.url === '/cut') {
      response.writeHead(200, { 'content-length': 10 });
      response.write('half', () => response.destroy());
    } else if (request.url === '/hints') {
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      response.end('hinted');
    } else {
      request.on('end', () => {
        response.addTrailers({ 'x-trailer': request.trailers['x-sum'] ?? 'none' });
        response.end();
      });
      request.pipe(response, { end: false });
    }
  });
  origin.on('upgrade', (_request, socket) => {
    socket.write('HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello ');
    socket.pipe(socket);
  });
  return origin;
}

class BareProxy {
  readonly #sweeper = new Sweeper(systemClock);
  readonly #free: H1ClientConnection[] = [];
  readonly #originPort: () => number;
  readonly server = createServer({ allowHalfOpen: true }, (socket) => this.#serve(socket));
  readonly #sockets = new Set<Socket>();
  dialled = 0;

  constructor(originPort: () => number) {
    this.#originPort = originPort;
  }

  close(): void {
    this.server.close();
    for (const socket of this.#sockets) {
      socket.destroy();
    }
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    new H1ServerConnection(new SocketConn(socket, { side: 'downstream' }), {
      sweeper: this.#sweeper,
      onRequest: (exchange) => this.#pass(exchange),
    }).start();
  }

  #take(): H1ClientConnection {
    for (let free = this.#free.pop(); free !== undefined; free = this.#free.pop()) {
      if (free.isFree) return free;
    }
    this.dialled += 1;
    const socket = connect({ port: this.#originPort(), host: '127.0.0.1', allowHalfOpen: true });
    this.#sockets.add(socket);
    const client: H1ClientConnection = new H1ClientConnection(
      new SocketConn(socket, { side: 'upstream' }),
      { onFree: () => this.#free.push(client) },
    );
    client.start();
    return client;
  }

  #pass(exchange: ServerExchange) {
    const { head } = exchange;
    const origin = this.#take();
    const { upgrade } = head;
    let switched = 0;
    const target = head.path;
    const fields = withoutHopByHop(head.fields, head.connection);
    exchange.sendContinue();
    origin.request(
      { method: head.method, target, authority: head.authority, fields, body: head.body, upgrade },
      {
        onInterim: (answer) => exchange.sendInterim(answer.status, answer.fields),
        onHead: (answer) => {
          switched = answer.status === 101 ? 101 : 0;
          if (switched === 0) {
            exchange.begin({
              status: answer.status,
              fields: withoutHopByHop(answer.fields, answer.connection),
              length: answer.contentLength,
            });
          }
        },
        onData: (bytes) => exchange.write(bytes) || origin.pause(),
        onEnd: (trailers) => {
          const client = switched === 101 ? exchange.switchTo(upgrade ?? '', []) : undefined;
          if (client === undefined) exchange.end(trailers);
          else copyBoth(client, origin.handOver(), { onDone: () => undefined });
        },
        onDrain: () => exchange.resume(),
        onFailed: (error) => exchange.reset(error),
      },
    );
    return {
      onData: (bytes: Uint8Array) => void (origin.write(bytes) || exchange.pause()),
      onEnd: (trailers: readonly string[]) => origin.end(trailers),
      onDrain: () => origin.resume(),
      onGone: () => origin.destroy(),
    };
  }
}

interface Answer {
  readonly response: IncomingMessage;
  readonly body: Buffer;
}

describe('HTTP/1.1 over TCP', () => {
  const origin = makeOrigin();
  const proxy = new BareProxy(() => portOf(origin));
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });

  before(async () => {
    origin.listen(0, '127.0.0.1');
    proxy.server.listen(0, '127.0.0.1');
    await Promise.all([once(origin, 'listening'), once(proxy.server, 'listening')]);
  });
  after(() => {
    agent.destroy();
    proxy.close();
    origin.closeAllConnections();
    origin.close();
  });

  async function ask(
    options: RequestOptions,
    body?: Uint8Array,
    trailer?: string,
  ): Promise<Answer> {
    const client = httpRequest({
      agent,
      port: portOf(proxy.server),
      host: '127.0.0.1',
      ...options,
    });
    // Whoever waits for the answer hears of it.
    client.on('error', () => undefined);
    if (body !== undefined) client.write(body);
    if (trailer !== undefined) client.addTrailers({ 'X-Sum': trailer });
    client.end();
    const [response] = (await once(client, 'response')) as [IncomingMessage];
    const parts: Buffer[] = [];
    for await (const part of response) parts.push(part as Buffer);
    return { response, body: Buffer.concat(parts) };
  }

  it('keeps connections, whatever the requests are', async () => {
    const dialledBefore = proxy.dialled;
    for (const [method, path, length] of [
      ['GET', '/', 0],
      ['POST', '/a?b', 3],
      ['HEAD', '/', 0],
      ['GET', '/304', 0],
      ['PUT', '/', 70_000],
      ['DELETE', '/', 0],
    ] as const) {
      const sent = LARGE.subarray(0, length);
      const { response, body } = await ask({ method, path }, length > 0 ? sent : undefined);
      assert.equal(response.headers['x-seen'], `${method} ${path}`);
      assert.equal(response.statusCode, path === '/304' ? 304 : 200);
      assert.ok(body.equals(sent), `${method} ${path}: ${body.length}`);
    }
    assert.equal(proxy.dialled - dialledBefore, 1);
  });

  it('carries much, both ways at once, in chunks and by length, held back by who is slow', async () => {
    const lengths = [{}, { 'content-length': String(LARGE.length) }];
    const answers = await Promise.all(
      [...lengths, ...lengths].map((headers) => ask({ method: 'POST', path: '/', headers }, LARGE)),
    );
    for (const { body } of answers) {
      assert.ok(body.equals(LARGE));
    }
  });

  it('carries trailers and Expect', async () => {
    const headers = { expect: '100-continue', trailer: 'X-Sum', te: 'trailers' };
    const { response, body } = await ask(
      { method: 'POST', path: '/', headers },
      LARGE.subarray(0, 9),
      '7',
    );
    assert.equal(body.length, 9);
    assert.equal(response.trailers['x-trailer'], '7');
  });

  it('passes interim responses on', async () => {
    const client = httpRequest({ agent, port: portOf(proxy.server), path: '/hints' });
    const links: unknown[] = [];
    client.on('information', (head) => links.push(head.headers['link']));
    client.end();
    const [response] = (await once(client, 'response')) as [IncomingMessage];
    response.resume();
    await once(response, 'end');
    assert.deepEqual(links, ['</a>; rel=preload']);
  });

  it('does not pass a part of an answer for all of it', async () => {
    await assert.rejects(ask({ path: '/cut' }), /ECONNRESET|aborted/);
  });

  it('joins both sides of an upgrade', async () => {
    const client = httpRequest({
      port: portOf(proxy.server),
      path: '/ws',
      headers: { connection: 'Upgrade', upgrade: 'echo' },
    });
    client.end();
    const [response, socket, first] = (await once(client, 'upgrade')) as [
      IncomingMessage,
      Socket,
      Buffer,
    ];
    assert.equal(response.headers.upgrade, 'echo');
    let text = first.toString();
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString();
    });
    socket.write('world');
    while (text !== 'hello world') await once(socket, 'data');
    socket.destroy();
  });
});
