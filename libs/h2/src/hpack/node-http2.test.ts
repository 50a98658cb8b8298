/** Header blocks of node:http2 (nghttp2) and ours, over loopback: what one packs the other unpacks, and both refuse alike. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import {
  connect,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { SocketConn } from '@ambit/proxy';
import fc from 'fast-check';
import { FrameDecoder } from '../frames/frame-decoder.ts';
import { FLAG, FRAME, PREFACE } from '../frames/protocol.ts';
import { ClientSession } from '../session/client-session.ts';
import { MESH_LIMITS } from '../session/limits.ts';
import { TestServer } from '../testing/echo-server.ts';
import { EventLog, frame } from '../testing/frames.ts';
import { block, GET, SETTINGS_ACK, settings } from '../testing/raw-peer.ts';

const BLOCKS = 300;

/** The same each time: names from a few, so that tables are used, values that are short, long, repeated and odd. */
const name = fc.constantFrom(
  'accept',
  'authorization',
  'etag',
  'x-a',
  'x-b',
  'x-long',
  'user-agent',
);
const value = fc.oneof(
  fc.constantFrom('1', 'application/json', 'a, b', '', 'é', '~'.repeat(300)),
  fc
    .string({ unit: fc.constantFrom(...'abcdefg ,;=%"\\{}|~0123456789'), maxLength: 80 })
    .map((text) => text.trim()),
);
const lists = fc.sample(
  fc.uniqueArray(fc.tuple(name, value), { selector: ([key]) => key, maxLength: 7 }),
  { numRuns: BLOCKS, seed: 7541 },
);

const pairsOf = (fields: readonly string[]): [string, string][] =>
  fields.flatMap((text, at) =>
    at % 2 === 0 ? [[text, fields[at + 1] ?? ''] satisfies [string, string]] : [],
  );

describe('HPACK and node:http2', () => {
  it(`unpacks ${BLOCKS} blocks that it packed`, async () => {
    const seen: [string, string][][] = [];
    await using server = await TestServer.listen({
      onStream: (stream) => {
        seen.push(pairsOf(stream.request.fields));
        stream.respond({ status: 204, fields: [] }, { end: true });
      },
    });
    const session = connect(`http://127.0.0.1:${server.port}`);
    for (const list of lists) {
      const stream = session.request({ ':path': '/', ...Object.fromEntries(list) });
      await once(stream.resume(), 'close');
    }
    session.destroy();
    assert.deepEqual(seen, lists);
  });

  it(`packs ${BLOCKS} blocks that it unpacks`, async () => {
    const seen: IncomingHttpHeaders[] = [];
    const server = createServer();
    server.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      seen.push(headers);
      stream.respond({ ':status': 204 }, { endStream: true });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const socket = connectTcp({ port: portOf(server.address()), host: '127.0.0.1' });
    await once(socket, 'connect');
    const session = new ClientSession({
      transport: new SocketConn(socket, { side: 'upstream' }),
      clock: systemClock,
      limits: MESH_LIMITS,
    });
    for (const list of lists) {
      const done = Promise.withResolvers<void>();
      session.request(
        { method: 'GET', scheme: 'http', authority: 'a', path: '/', fields: list.flat() },
        {
          onResponse: () => done.resolve(),
          onNoResponse: (error) => done.reject(error ?? new Error('none')),
        },
        { endStream: true },
      );
      await done.promise;
    }
    session.destroy();
    server.close();
    const plain = seen.map((headers) =>
      Object.entries(headers).filter(([key]) => !key.startsWith(':')),
    );
    assert.deepEqual(plain, lists);
  });
});

/** The block of one request; `ours` where we are stricter, with the reason. */
const JUDGED: readonly {
  readonly what: string;
  readonly block: Uint8Array;
  readonly takes: boolean;
  readonly ours?: boolean;
}[] = [
  { what: 'a request', block: block(GET), takes: true },
  { what: 'a field with obs-text', block: block([...GET, 'x', 'é']), takes: true },
  { what: 'an empty value', block: block([...GET, 'x', '']), takes: true },
  { what: 'te: trailers', block: block([...GET, 'te', 'trailers']), takes: true },
  { what: 'a host like the authority', block: block([...GET, 'host', 'a']), takes: true },
  {
    what: 'an update of the table size',
    block: Buffer.concat([Buffer.from([0x20]), block(GET)]),
    takes: true,
  },
  { what: 'CONNECT', block: block([':method', 'CONNECT', ':authority', 'a:1']), takes: true },
  {
    what: 'OPTIONS *',
    block: block([':method', 'OPTIONS', ':scheme', 'http', ':path', '*', ':authority', 'a']),
    takes: true,
  },
  { what: 'an upper-case name', block: block([...GET, 'X', 'y']), takes: false },
  { what: 'connection', block: block([...GET, 'connection', 'close']), takes: false },
  {
    what: 'transfer-encoding',
    block: block([...GET, 'transfer-encoding', 'chunked']),
    takes: false,
  },
  { what: 'te: gzip', block: block([...GET, 'te', 'gzip']), takes: false },
  { what: 'a pseudo-header field after others', block: block(['x', 'y', ...GET]), takes: false },
  { what: ':path twice', block: block([...GET, ':path', '/b']), takes: false },
  { what: ':status in a request', block: block([...GET, ':status', '200']), takes: false },
  {
    what: 'no :path',
    block: block([':method', 'GET', ':scheme', 'http', ':authority', 'a']),
    takes: false,
  },
  {
    what: 'an empty :path',
    block: block([':method', 'GET', ':scheme', 'http', ':path', '', ':authority', 'a']),
    takes: false,
  },
  {
    what: 'CONNECT with :path',
    block: block([':method', 'CONNECT', ':authority', 'a:1', ':path', '/']),
    takes: false,
  },
  { what: 'userinfo', block: block([...GET.slice(0, 6), ':authority', 'u@a']), takes: false },
  {
    what: 'two lengths',
    block: block([...GET, 'content-length', '1', 'content-length', '2']),
    takes: false,
  },
  { what: 'index 0', block: Buffer.from([0x80]), takes: false },
  { what: 'an index that is not there', block: Buffer.from([0xbe]), takes: false },
  { what: 'a string that does not end', block: Buffer.from([0, 9, 0x61]), takes: false },
  // A server behind may read the first and a firewall the second.
  {
    what: 'a host unlike the authority',
    block: block([...GET, 'host', 'b']),
    takes: true,
    ours: false,
  },
  // RFC 9113 §8.2.1: malformed. nghttp2 leaves the field out and takes the rest.
  {
    what: 'a line break in a value',
    block: block([...GET, 'x', 'a\nb']),
    takes: true,
    ours: false,
  },
  { what: 'NUL in a value', block: block([...GET, 'x', 'a\0b']), takes: true, ours: false },
];

function portOf(address: string | object | null): number {
  return address !== null && typeof address === 'object' && 'port' in address
    ? Number(address.port)
    : 0;
}

/** True: HEADERS came back. False: a reset, GOAWAY or the end. */
async function isTaken(port: number, headerBlock: Uint8Array): Promise<boolean> {
  const socket = connectTcp({ port, host: '127.0.0.1' });
  socket.on('error', () => undefined);
  const sink = new EventLog();
  const decoder = new FrameDecoder({
    sink,
    limits: { ...MESH_LIMITS, frameBytesMax: 1 << 20 },
    expectsPreface: false,
  });
  const over = Promise.withResolvers<boolean>();
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk);
    const event = sink.events.find((text) => /^(headers|reset|goaway)/.test(text));
    if (event !== undefined) {
      over.resolve(event.startsWith('headers'));
    }
  });
  socket.on('close', () => over.resolve(false));
  await once(socket, 'connect');
  const request = frame(FRAME.HEADERS, 1, headerBlock, FLAG.END_HEADERS | FLAG.END_STREAM);
  socket.write(Buffer.concat([PREFACE, settings(), SETTINGS_ACK, request]));
  const taken = await over.promise;
  socket.destroy();
  return taken;
}

describe('requests that node:http2 and we judge', () => {
  for (const { what, block: headerBlock, takes, ours = takes } of JUDGED) {
    it(`${ours ? 'takes' : 'refuses'} ${what}${ours === takes ? ', as it does' : ', which it takes'}`, async () => {
      await using server = await TestServer.listen();
      const node = createServer();
      node.on('sessionError', () => undefined);
      node.on('stream', (stream: ServerHttp2Stream) => {
        stream.on('error', () => undefined);
        stream.respond({ ':status': 200 }, { endStream: true });
      });
      node.listen(0, '127.0.0.1');
      await once(node, 'listening');
      const answers = [
        await isTaken(portOf(node.address()), headerBlock),
        await isTaken(server.port, headerBlock),
      ];
      node.close();
      assert.deepEqual(answers, [takes, ours]);
    });
  }
});
