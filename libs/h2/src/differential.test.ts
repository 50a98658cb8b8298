/** Conversations with node:http2 in both roles over loopback TCP: each side understands the other in all it says. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectNode,
  constants,
  createServer as createNodeServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { SocketConn } from '@ambit/proxy';
import type { ResponseHead } from './message.ts';
import { ClientSession } from './session/client-session.ts';
import type { ClientStream } from './session/client-stream.ts';
import { MESH_LIMITS } from './session/limits.ts';
import { TestServer, type TestServerOptions } from './testing/echo-server.ts';

const SIZES = [0, 1, 16_374, 16_375, 16_376, 65_535, 65_536, 1_000_003] as const;

/** Bytes that tell where they belong. */
function pattern(length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) {
    bytes[at] = (at * 31 + (at >> 8)) & 0xff;
  }
  return bytes;
}

/** The value is in the bytes, or not; the message of a failure need not hold a megabyte. */
function assertSame(actual: Buffer, expected: Buffer, what: string): void {
  assert.ok(actual.equals(expected), `${what}: ${actual.length} of ${expected.length} bytes`);
}

interface NodeAnswer {
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly trailers: IncomingHttpHeaders | undefined;
}

async function answerOf(stream: ClientHttp2Stream): Promise<NodeAnswer> {
  const parts: Buffer[] = [];
  let trailers: IncomingHttpHeaders | undefined;
  stream.on('trailers', (fields) => {
    trailers = fields;
  });
  const [headers] = (await once(stream, 'response')) as [IncomingHttpHeaders];
  for await (const chunk of stream) {
    parts.push(chunk as Buffer);
  }
  return { headers, body: Buffer.concat(parts), trailers };
}

async function nodeClient(
  options: TestServerOptions,
  talk: (session: ClientHttp2Session, server: TestServer) => Promise<void>,
): Promise<void> {
  await using server = await TestServer.listen(options);
  const session = connectNode(`http://127.0.0.1:${server.port}`);
  session.on('error', () => undefined);
  try {
    await talk(session, server);
  } finally {
    session.destroy();
  }
}

describe('ServerSession, spoken to by node:http2', () => {
  for (const size of SIZES) {
    it(`gives ${size} bytes back`, async () => {
      await nodeClient({}, async (session) => {
        const body = pattern(size);
        const stream = session.request({ ':method': 'POST', ':path': '/', 'content-length': size });
        stream.end(body);
        const answer = await answerOf(stream);
        assert.equal(answer.headers[':status'], 200);
        assertSame(answer.body, size === 0 ? Buffer.from('nothing was sent') : body, 'body');
      });
    });
  }

  it('takes and gives trailers, cookies, repeated and never-indexed fields', async () => {
    const seen: (readonly string[])[] = [];
    const onStream: TestServerOptions['onStream'] = (stream) => {
      seen.push(stream.request.fields, stream.request.neverIndexed ?? []);
      stream.respond({ status: 200, fields: ['set-cookie', 'a=1', 'set-cookie', 'b=2', 'x', 'é'] });
      stream.start({
        onData: () => undefined,
        onEnd: () => stream.sendTrailers(stream.trailers ?? []),
        onDrain: () => undefined,
        onClose: () => undefined,
      });
    };
    await nodeClient({ onStream }, async (session) => {
      const stream = session.request(
        {
          ':method': 'POST',
          ':path': '/x?y',
          cookie: ['c=1', 'd=2'],
          authorization: 'secret',
          'x-a': ['1', '2'],
        },
        { waitForTrailers: true },
      );
      stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
      stream.end('body');
      const answer = await answerOf(stream);
      assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2']);
      assert.equal(answer.headers['x'], 'é');
      assert.equal(answer.trailers?.['x-end'], 'yes');
      const [fields = [], never = []] = seen;
      const valuesOf = (name: string): string[] =>
        fields.filter((_, at) => at % 2 === 1 && fields[at - 1] === name);
      assert.deepEqual(valuesOf('x-a'), ['1', '2']);
      assert.deepEqual(valuesOf('cookie').join('; '), 'c=1; d=2');
      assert.deepEqual(valuesOf('authorization'), ['secret']);
      assert.ok(never.includes('authorization'), never.join());
    });
  });

  it('serves a hundred streams at a time, each its own bytes', async () => {
    await nodeClient({}, async (session) => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, async (_, n) => {
          const stream = session.request({ ':method': 'POST', ':path': `/${n}` });
          const body = pattern(n * 2_111);
          stream.end(body);
          return { body, answer: await answerOf(stream) };
        }),
      );
      for (const [n, { body, answer }] of answers.entries()) {
        assertSame(answer.body, n === 0 ? Buffer.from('nothing was sent') : body, `stream ${n}`);
      }
    });
  });

  it('keeps a tunnel half open, and passes resets both ways', async () => {
    const over: string[] = [];
    const onStream: TestServerOptions['onStream'] = (stream) => {
      stream.whenClosed(() => over.push(stream.peerEnded ? 'in order' : 'reset here'));
      stream.respond({ status: 200, fields: [] });
      stream.start({
        onData: (chunk) => {
          if (chunk[0] === 0x21) {
            stream.reset(constants.NGHTTP2_INTERNAL_ERROR);
          }
        },
        onEnd: () => {
          stream.write(Buffer.from('after your end'));
          stream.end();
        },
        onDrain: () => undefined,
        onClose: () => undefined,
      });
    };
    await nodeClient({ onStream }, async (session, server) => {
      const tunnel = session.request({ ':method': 'CONNECT', ':authority': 'a:1' });
      tunnel.end('bytes');
      assert.equal((await answerOf(tunnel)).body.toString(), 'after your end');
      const broken = session.request(
        { ':method': 'CONNECT', ':authority': 'a:1' },
        { endStream: false },
      );
      broken.write('!');
      await assert.rejects(once(broken, 'end'), /INTERNAL_ERROR/);
      assert.deepEqual(over, ['in order', 'reset here']);
      assert.equal(server.counters.streamErrors, 0);
    });
  });

  it('drains while a request is under way', async () => {
    await nodeClient({}, async (session, server) => {
      const stream = session.request({ ':method': 'POST', ':path': '/' });
      stream.write('begun ');
      await once(stream, 'response');
      const said = once(session, 'goaway');
      for (const one of server.sessions) {
        one.drain();
      }
      await said;
      const closed = once(session, 'close');
      stream.end('ended');
      const parts: Buffer[] = [];
      for await (const chunk of stream) {
        parts.push(chunk as Buffer);
      }
      assert.equal(Buffer.concat(parts).toString(), 'begun ended');
      await closed;
    });
  });

  it('holds a fast client back while nobody reads', async () => {
    let resume = (): void => undefined;
    let bytes = 0;
    const onStream: TestServerOptions['onStream'] = (stream) => {
      stream.respond({ status: 200, fields: [] });
      resume = () => stream.resume();
      stream.pause();
      stream.start({
        onData: (chunk) => {
          bytes += chunk.length;
        },
        onEnd: () => stream.end(),
        onDrain: () => undefined,
        onClose: () => undefined,
      });
    };
    await nodeClient({ onStream }, async (session) => {
      const stream = session.request({ ':method': 'POST', ':path': '/' });
      stream.end(pattern(8_000_000));
      await once(stream, 'response');
      await new Promise<void>((resolve, reject) => {
        session.ping((error) => (error === null ? resolve() : reject(error)));
      });
      assert.equal(bytes, 0);
      resume();
      await once(stream.resume(), 'end');
      assert.equal(bytes, 8_000_000);
    });
  });
});

/** A server of node:http2 and a client of ours. */
async function nodeServer(
  onStream: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void,
  talk: (session: ClientSession, server: Http2Server) => Promise<void>,
): Promise<void> {
  const server = createNodeServer();
  server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    stream.on('error', () => undefined);
    onStream(stream, headers);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const socket = connectTcp({ port, host: '127.0.0.1', allowHalfOpen: true });
  await once(socket, 'connect');
  const closed = Promise.withResolvers<void>();
  const session = new ClientSession({
    transport: new SocketConn(socket, { side: 'upstream' }),
    clock: systemClock,
    limits: MESH_LIMITS,
    onClose: () => closed.resolve(),
  });
  try {
    await talk(session, server);
  } finally {
    session.destroy();
    await closed.promise;
    server.close();
  }
}

interface OurAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer;
  readonly error: Error | undefined;
  readonly stream: ClientStream;
}

/** Sends `body` as the windows allow, and reads everything. */
function ask(session: ClientSession, method: string, body: Buffer, path = '/'): Promise<OurAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<OurAnswer>();
  const isTunnel = method === 'CONNECT';
  const parts: Uint8Array[] = [];
  let head: ResponseHead | undefined;
  const stream = session.request(
    {
      method,
      scheme: isTunnel ? undefined : 'http',
      authority: 'a:1',
      path: isTunnel ? undefined : path,
      fields: ['x-a', '1'],
    },
    {
      onResponse: (response) => {
        head = response;
      },
      onNoResponse: (error) => reject(error ?? new Error('none')),
    },
  );
  let sent = 0;
  const send = (): void => {
    while (sent < body.length) {
      const part = body.subarray(sent, sent + 40_000);
      sent += part.length;
      if (!stream.write(part)) {
        return;
      }
    }
    stream.end();
  };
  stream.start({
    onData: (chunk) => void parts.push(chunk),
    onEnd: () => undefined,
    onDrain: send,
    onClose: (error) => {
      if (head !== undefined) {
        resolve({ head, body: Buffer.concat(parts), error, stream });
      }
    },
  });
  send();
  return promise;
}

const echoNode = (stream: ServerHttp2Stream): void => {
  stream.respond({ ':status': 200, 'x-b': ['1', '2'] }, { waitForTrailers: true });
  stream.on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }));
  stream.pipe(stream);
};

describe('ClientSession, speaking to node:http2', () => {
  for (const size of SIZES) {
    it(`gets ${size} bytes back, and trailers`, async () => {
      await nodeServer(echoNode, async (session) => {
        const body = pattern(size);
        const answer = await ask(session, 'POST', body);
        assert.equal(answer.head.status, 200);
        assertSame(answer.body, body, 'body');
        assert.deepEqual(answer.stream.trailers, ['x-end', 'yes']);
        assert.equal(answer.error, undefined);
      });
    });
  }

  it('carries a hundred streams at a time', async () => {
    await nodeServer(echoNode, async (session) => {
      const answers = await Promise.all(
        Array.from({ length: 100 }, async (_, n) => {
          const body = pattern(n * 2_111);
          return { body, answer: await ask(session, 'POST', body) };
        }),
      );
      for (const [n, { body, answer }] of answers.entries()) {
        assertSame(answer.body, body, `stream ${n}`);
      }
    });
  });

  it('hears 1xx, resets, GOAWAY and keeps a tunnel half open', async () => {
    const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
      switch (headers[':path'] ?? 'tunnel') {
        case 'tunnel':
          stream.respond({ ':status': 200 });
          stream.on('data', () => undefined);
          stream.on('end', () => stream.end('after your end'));
          return;
        case '/refused':
          stream.close(constants.NGHTTP2_REFUSED_STREAM);
          return;
        case '/cut':
          stream.respond({ ':status': 200 });
          stream.write('half');
          setImmediate(() => stream.destroy(new Error('cut')));
          return;
        default:
          stream.additionalHeaders({ ':status': 103, link: 'x' });
          stream.respond({ ':status': 204 }, { endStream: true });
      }
    };
    await nodeServer(onStream, async (session) => {
      const tunnel = await ask(session, 'CONNECT', Buffer.from('bytes'));
      assert.deepEqual([tunnel.body.toString(), tunnel.error], ['after your end', undefined]);
      await assert.rejects(ask(session, 'POST', pattern(10), '/refused'), { code: 'H2_REFUSED' });
      const cut = await ask(session, 'POST', pattern(10), '/cut').catch((error: unknown) => ({
        error,
      }));
      assert.ok(cut.error instanceof Error && 'code' in cut.error);
      assert.equal(cut.error.code, 'H2_STREAM_RESET');
      const none = await ask(session, 'POST', Buffer.alloc(0), '/hints');
      assert.equal(none.head.status, 204);
    });
  });
});
