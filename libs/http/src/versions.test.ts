/** What a message is made of, between clients and servers of both versions: from end to end, the same. */
import assert from 'node:assert/strict';
import {
  type IncomingMessage,
  type RequestListener,
  request,
  type ServerResponse,
} from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { describe, it } from 'node:test';
import { listen, startBackend, startHarness } from './fixtures/harness.ts';

interface Sent {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Buffer;
  readonly trailers?: Readonly<Record<string, string>>;
}

interface Got {
  status: number;
  headers: Readonly<Record<string, unknown>>;
  body: Buffer;
  trailers: Readonly<Record<string, unknown>>;
  readonly interims: number[];
}

type Ask = (port: number, sent: Sent) => Promise<Got>;

const askHttp1: Ask = (port, { path, method = 'GET', headers = {}, body, trailers }) => {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const interims: number[] = [];
  const client = request({
    host: '127.0.0.1',
    port,
    path,
    method,
    agent: false,
    headers: { host: 'reviews', ...headers, ...(trailers && { 'transfer-encoding': 'chunked' }) },
  });
  client.on('information', ({ statusCode }) => interims.push(statusCode));
  client.on('continue', () => client.end(body));
  client.once('error', reject);
  client.once('response', (response: IncomingMessage) => {
    response.toArray().then((chunks: Buffer[]) => {
      const { statusCode: status = 0, headers: fields } = response;
      const all = Buffer.concat(chunks);
      resolve({ status, headers: fields, body: all, trailers: response.trailers, interims });
    }, reject);
  });
  if (trailers !== undefined) {
    client.write(body ?? '');
    client.addTrailers({ ...trailers });
    client.end();
  } else if (headers['expect'] === undefined) {
    client.end(body);
  } else {
    client.flushHeaders();
  }
  return promise;
};

const askHttp2: Ask = (port, { path, method = 'GET', headers = {}, body, trailers }) => {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  const stream = session.request(
    { ':authority': 'reviews', ':path': path, ':method': method, ...headers },
    { endStream: body === undefined, waitForTrailers: trailers !== undefined },
  );
  const got: Got = { status: 0, headers: {}, body: Buffer.alloc(0), trailers: {}, interims: [] };
  stream.on('headers', (fields) => got.interims.push(Number(fields[':status'])));
  stream.once('continue', () => stream.end(body));
  stream.once('response', (fields) => {
    got.status = Number(fields[':status']);
    got.headers = fields;
  });
  stream.once('trailers', (fields) => {
    got.trailers = fields;
  });
  stream.once('wantTrailers', () => stream.sendTrailers({ ...trailers }));
  stream.once('error', reject);
  stream.toArray().then((chunks: Buffer[]) => {
    got.body = Buffer.concat(chunks);
    session.close();
    resolve(got);
  }, reject);
  if (body !== undefined && headers['expect'] === undefined) {
    stream.end(body);
  }
  return promise;
};

/** Answers by path; the same program for both versions. */
function answer(request: IncomingMessage, response: ServerResponse): void {
  const { url = '' } = request;
  response.sendDate = false;
  switch (url) {
    case '/length':
      response.setHeader('content-length', '5');
      response.end('hello');
      return;
    case '/204':
    case '/304':
      response.statusCode = Number(url.slice(1));
      response.end();
      return;
    case '/date':
      response.setHeader('date', 'Thu, 01 Jan 1970 00:00:00 GMT');
      response.end();
      return;
    case '/hints':
      response.writeEarlyHints({ link: '</a>; rel=preload' });
      response.end('late');
      return;
    case '/refuse':
      response.statusCode = 413;
      response.end('too much');
      return;
    case '/trailers':
      request.resume().once('end', () => {
        response.writeHead(200);
        response.write('body');
        response.addTrailers({ 'x-heard': String(request.trailers['x-said']) });
        response.end();
      });
      return;
    default:
      request.pipe(response);
  }
}

async function startBoth(version: 'HTTP11' | 'HTTP2') {
  if (version === 'HTTP11') {
    return await startBackend(answer);
  }
  // The compatible interface of node:http2 has what is used here.
  const server = createHttp2Server(answer as unknown as RequestListener as never);
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

const BIG = Buffer.alloc(3 * 1024 * 1024, 'abcdefgh');

for (const [client, ask] of [
  ['HTTP/1.1', askHttp1],
  ['HTTP/2', askHttp2],
] as const) {
  for (const protocol of ['HTTP11', 'HTTP2'] as const) {
    describe(`from ${client} to ${protocol}`, () => {
      it('carries every part of a message', async () => {
        await using backend = await startBoth(protocol);
        await using harness = await startHarness({
          backends: [{ name: 'v1', port: backend.port }],
          protocol,
        });
        const { port } = harness;
        const whole = await ask(port, { path: '/length' });
        assert.deepEqual([whole.status, String(whole.body)], [200, 'hello']);
        assert.equal(whole.headers['content-length'], '5');
        assert.match(String(whole.headers['date']), / GMT$/, 'said where nobody said it');
        const head = await ask(port, { path: '/length', method: 'HEAD' });
        assert.deepEqual([head.status, head.body.length], [200, 0]);
        assert.equal(head.headers['content-length'], '5');
        for (const status of [204, 304]) {
          const bare = await ask(port, { path: `/${status}` });
          assert.deepEqual([bare.status, bare.body.length], [status, 0]);
        }
        const dated = await ask(port, { path: '/date' });
        assert.equal(dated.headers['date'], 'Thu, 01 Jan 1970 00:00:00 GMT');
        const hinted = await ask(port, { path: '/hints' });
        assert.deepEqual([hinted.interims, String(hinted.body)], [[103], 'late']);
        const trailed = await ask(port, {
          path: '/trailers',
          method: 'POST',
          headers: { te: 'trailers' },
          body: Buffer.from('body'),
          trailers: { 'x-said': 'this' },
        });
        assert.deepEqual([String(trailed.body), trailed.trailers['x-heard']], ['body', 'this']);
      });

      it('carries bodies both ways at once, and waits where it is told to', async () => {
        await using backend = await startBoth(protocol);
        await using harness = await startHarness({
          backends: [{ name: 'v1', port: backend.port }],
          protocol,
        });
        const { port } = harness;
        const echoed = await ask(port, { path: '/echo', method: 'POST', body: BIG });
        assert.ok(echoed.body.equals(BIG));
        const record = await harness.nextRequest();
        assert.deepEqual([record.bytesReceived, record.bytesSent], [BIG.length, BIG.length]);
        assert.deepEqual([record.phase, record.flags], ['respond', ['-']]);
        const asked = await ask(port, {
          path: '/echo',
          method: 'POST',
          headers: { expect: '100-continue' },
          body: Buffer.from('asked for'),
        });
        assert.equal(String(asked.body), 'asked for');
        await harness.nextRequest();
        const early = await ask(port, { path: '/refuse', method: 'POST', body: Buffer.alloc(9) });
        assert.deepEqual([early.status, String(early.body)], [413, 'too much']);
      });
    });
  }
}
