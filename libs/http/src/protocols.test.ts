/** HTTP/2, gRPC, WebSocket, raw bytes and TCP through the engine. */
import assert from 'node:assert/strict';
import { createServer as createHttpServer } from 'node:http';
import {
  type ClientHttp2Session,
  connect as connectHttp2,
  createServer as createHttp2Server,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { ask } from './fixtures/client.ts';
import { listen, startBackend, startHarness } from './fixtures/harness.ts';

interface H2Answer {
  readonly headers: IncomingHttpHeaders;
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly body: string;
}

function askHttp2(
  session: ClientHttp2Session,
  headers: OutgoingHttpHeaders,
  body?: string,
): Promise<H2Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<H2Answer>();
  const stream = session.request(
    { ':authority': 'reviews', ...headers },
    { endStream: body === undefined },
  );
  let head: IncomingHttpHeaders = {};
  let trailers: IncomingHttpHeaders | undefined;
  let text = '';
  stream.setEncoding('utf8');
  stream.once('response', (fields) => {
    head = fields;
  });
  stream.once('trailers', (fields) => {
    trailers = fields;
  });
  stream.on('data', (chunk: string) => {
    text += chunk;
  });
  stream.once('end', () => resolve({ headers: head, trailers, body: text }));
  stream.once('error', reject);
  if (body !== undefined) {
    stream.end(body);
  }
  return promise;
}

async function startHttp2Backend(
  handler: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
) {
  const server = createHttp2Server();
  server.on('stream', (stream: ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined);
    handler(stream, headers);
  });
  const sessions = new Set<{ destroy(): void }>();
  server.on('session', (session) => sessions.add(session));
  const port = await listen(server);
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const session of sessions) {
        session.destroy();
      }
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A gRPC method that answers with a message and a status in trailers: the one asked for, or 0. */
function grpcEcho(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
  stream.once('wantTrailers', () => {
    stream.sendTrailers({
      'grpc-status': String(headers['x-status'] ?? '0'),
      'grpc-message': 'fine',
      'x-te': String(headers['te']),
    });
  });
  stream.pipe(stream);
}

const GRPC = {
  ':method': 'POST',
  ':path': '/shop.Reviews/Get',
  'content-type': 'application/grpc',
  te: 'trailers',
};

describe('HTTP/2 through the engine', () => {
  it('carries gRPC with its trailers', async () => {
    await using backend = await startHttp2Backend(grpcEcho);
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      protocol: 'GRPC',
    });
    const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
    const answers = await Promise.all(
      ['one', 'two', 'three'].map(async (text) => await askHttp2(session, GRPC, text)),
    );
    assert.deepEqual(
      answers.map((answer) => answer.body),
      ['one', 'two', 'three'],
    );
    assert.equal(answers[0]?.trailers?.['grpc-status'], '0');
    assert.equal(answers[0]?.trailers?.['x-te'], 'trailers');
    assert.equal(harness.plane.dials, 1, 'one session for all');
    const record = await harness.nextRequest();
    assert.deepEqual([record.grpcStatus, record.isGrpc, record.status], [0, true, 200]);
    session.close();
  });

  it('records a status of gRPC that is one, and no other', async () => {
    await using backend = await startHttp2Backend(grpcEcho);
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      protocol: 'GRPC',
    });
    const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
    const recorded: unknown[] = [];
    for (const sent of ['16', 'abc', '1e300', '123', '-1']) {
      const { trailers } = await askHttp2(session, { ...GRPC, 'x-status': sent }, 'x');
      assert.equal(trailers?.['grpc-status'], sent, 'the client gets what the backend sent');
      recorded.push((await harness.nextRequest()).grpcStatus);
    }
    assert.deepEqual(recorded, [16, undefined, undefined, undefined, undefined]);
    session.close();
  });

  it('answers gRPC with trailers only when policy denies or nobody is there', async () => {
    await using backend = await startHttp2Backend(grpcEcho);
    const deny = {
      kind: 'AuthorizationPolicy',
      spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/shop.Reviews/Get'] } }] }] },
    };
    await using denied = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      protocol: 'GRPC',
      objects: [deny],
    });
    await using empty = await startHarness({ backends: [], protocol: 'GRPC' });
    for (const [harness, status] of [
      [denied, '7'],
      [empty, '14'],
    ] as const) {
      const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
      const answer = await askHttp2(session, GRPC, 'x');
      assert.equal(answer.headers[':status'], 200);
      assert.equal(answer.headers['grpc-status'], status);
      assert.equal(answer.body, '');
      session.close();
    }
  });

  it('serves HTTP/2 clients from an HTTP/1.1 upstream', async () => {
    await using backend = await startBackend((request, response) => {
      response.setHeader('x-version', request.httpVersion);
      request.pipe(response);
    });
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
    const answer = await askHttp2(session, { ':method': 'POST', ':path': '/' }, 'body');
    assert.deepEqual([answer.headers['x-version'], answer.body], ['1.1', 'body']);
    session.close();
  });

  it('sends a stream that was refused again, elsewhere', async () => {
    let count = 0;
    await using backend = await startHttp2Backend((stream) => {
      count += 1;
      if (count === 1) {
        stream.close(7);
      } else {
        stream.respond({ ':status': 200 }, { endStream: true });
      }
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      protocol: 'HTTP2',
    });
    assert.equal((await ask({ port: harness.port })).status, 200);
    assert.equal(count, 2);
  });

  it('answers 431 to too many headers', async () => {
    await using harness = await startHarness({ backends: [] });
    const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
    const many = Object.fromEntries(Array.from({ length: 120 }, (_, index) => [`x-${index}`, '1']));
    const answer = await askHttp2(session, { ':method': 'GET', ':path': '/', ...many });
    assert.equal(answer.headers[':status'], 431);
    session.close();
  });
});

/** Sends raw bytes and returns everything until the server ends. */
function raw(port: number, bytes: string): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
  });
  socket.on('error', () => undefined);
  socket.once('end', () => socket.end());
  socket.once('close', () => resolve(text));
  socket.write(bytes);
  return promise;
}

describe('HTTP/1.1 bytes', () => {
  const many = Array.from({ length: 101 }, (_, index) => `x-${index}: 1\r\n`).join('');
  const cases: readonly (readonly [string, string, number])[] = [
    [
      'both lengths',
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
    ],
    [
      'two content lengths',
      'POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc',
      400,
    ],
    // RFC 9112 §6.1: a coding that is not understood is 501.
    ['another transfer coding', 'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: x\r\n\r\n', 501],
    [
      'a transfer coding in two ways',
      'POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, chunked\r\n\r\n',
      400,
    ],
    ['two hosts', 'GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\nconnection: close\r\n\r\n', 400],
    ['no host', 'GET / HTTP/1.1\r\nconnection: close\r\n\r\n', 400],
    ['a bad host', 'GET / HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n', 400],
    [
      'another host in the URI',
      'GET http://b/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n',
      400,
    ],
    ['a bare line feed in a header', 'GET / HTTP/1.1\r\nhost: a\r\nx: a\nb: c\r\n\r\n', 400],
    ['a space before the colon', 'GET / HTTP/1.1\r\nhost: a\r\nx : a\r\n\r\n', 400],
    ['HTTP/1.0', 'GET / HTTP/1.0\r\nhost: a\r\n\r\n', 426],
    ['CONNECT', 'CONNECT a:1 HTTP/1.1\r\nhost: a:1\r\n\r\n', 405],
    ['no HTTP at all', '\x16\x03\x01\x02\x00\x01\x00', 400],
    ['101 headers', `GET / HTTP/1.1\r\nhost: a\r\n${many}connection: close\r\n\r\n`, 431],
    ['70 KB of headers', `GET / HTTP/1.1\r\nhost: a\r\nx: ${'y'.repeat(70_000)}\r\n\r\n`, 431],
    ['a fragment', 'GET /a#b HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n', 400],
    ['a good request', 'GET http://a/ HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n', 200],
  ];
  for (const [what, bytes, status] of cases) {
    it(`answers ${status} to ${what}`, async () => {
      await using backend = await startBackend((_request, response) => response.end('ok'));
      await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
      assert.match(await raw(harness.port, bytes), new RegExp(`^HTTP/1.1 ${status} `));
    });
  }
});

describe('WebSocket through the engine', () => {
  async function startWebSocket(accept: boolean) {
    const server = createHttpServer();
    server.on('upgrade', (request, socket: Socket) => {
      socket.on('error', () => undefined);
      if (!accept) {
        socket.end('HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\nno');
        return;
      }
      const caller = request.headers['x-forwarded-client-cert'] ?? '';
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\nx-caller: ${String(caller)}\r\n\r\n`,
      );
      socket.pipe(socket);
    });
    const port = await listen(server);
    return {
      port,
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }
  const upgrade =
    'GET /ws HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-key: x\r\n\r\n';

  it('joins both sides after 101', async () => {
    await using backend = await startWebSocket(true);
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    const socket = connect(harness.port, '127.0.0.1');
    socket.setEncoding('latin1');
    let text = '';
    const answered = Promise.withResolvers<void>();
    const echoed = Promise.withResolvers<void>();
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (text.includes('\r\n\r\n')) {
        answered.resolve();
      }
      if (text.endsWith('ping')) {
        echoed.resolve();
      }
    });
    socket.write(upgrade);
    await answered.promise;
    assert.match(text, /^HTTP\/1.1 101 /);
    assert.match(text, /x-caller: By=.*sa\/client/);
    socket.write('ping');
    await echoed.promise;
    socket.destroy();
    assert.equal((await harness.nextRequest()).status, 101);
  });

  it('is cut when a new policy forbids it', async () => {
    await using backend = await startWebSocket(true);
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    const socket = connect(harness.port, '127.0.0.1');
    socket.on('error', () => undefined);
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const answered = new Promise((resolve) => socket.once('data', resolve));
    socket.write(upgrade);
    await answered;
    assert.equal(harness.engine.recheck(), 0);
    harness.plane.policies = [
      {
        name: 'nobody',
        namespace: 'shop',
        scope: 'NAMESPACE',
        action: 'DENY',
        dryRun: false,
        rules: [{ clauses: [] }],
      },
    ];
    assert.equal(harness.engine.recheck(), 1);
    await closed;
    const record = await harness.nextRequest();
    assert.equal(record.status, 101);
    assert.equal(record.verdict?.by?.policy, 'shop/nobody');
  });

  it('passes on a server that does not want to switch', async () => {
    await using backend = await startWebSocket(false);
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    assert.match(await raw(harness.port, upgrade), /^HTTP\/1.1 401 [\s\S]*no$/);
    assert.equal((await harness.nextRequest()).status, 401);
  });

  it('is refused by policy like any request', async () => {
    await using backend = await startWebSocket(true);
    const deny = {
      kind: 'AuthorizationPolicy',
      spec: { action: 'DENY', rules: [{ to: [{ operation: { paths: ['/ws'] } }] }] },
    };
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [deny],
    });
    assert.match(await raw(harness.port, upgrade), /^HTTP\/1.1 403 [\s\S]*RBAC: access denied$/);
  });
});

describe('TCP through the engine', () => {
  async function startEchoServer() {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.pipe(socket);
    });
    const port = await listen(server);
    return {
      port,
      [Symbol.asyncDispose]: async () => {
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }

  it('passes on what is not HTTP where nothing is declared', async () => {
    await using backend = await startEchoServer();
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      protocol: 'UNKNOWN',
    });
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect(harness.port, '127.0.0.1');
    socket.on('data', (chunk) => resolve(chunk.toString()));
    socket.on('error', () => undefined);
    socket.write('\x00binary');
    assert.equal(await promise, '\x00binary');
    socket.destroy();
  });

  it('closes what HTTP rules cannot allow', async () => {
    await using backend = await startEchoServer();
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      protocol: 'UNKNOWN',
      objects: [
        {
          kind: 'AuthorizationPolicy',
          spec: { rules: [{ to: [{ operation: { methods: ['GET'] } }] }] },
        },
      ],
    });
    assert.equal(await raw(harness.port, '\x00binary'), '');
    assert.equal(
      harness.connections[0]?.error?.message,
      'allow policies exist, but none allowed: shop/authorizationpolicy-0 (rule 0 of shop/authorizationpolicy-0 fails at to)',
    );
  });
});
