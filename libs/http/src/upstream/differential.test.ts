/** The same exchanges with servers of node:http and node:http2 on loopback: what they read is what was asked, and the answer theirs. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import type { AddressInfo, Server } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import fc from 'fast-check';
import { Answer, GivenBody, requestOf, tcpEndpoint } from '../fixtures/upstream.ts';
import type { FieldLines } from '../h1/message.ts';
import { Http1Pool } from './http1-pool.ts';
import { Http2Pool } from './http2-pool.ts';
import type { UpstreamLink } from './message.ts';
import type { TryPool } from './try.ts';

interface Exchange {
  readonly method: string;
  readonly path: string;
  readonly fields: FieldLines;
  readonly pieces: readonly Uint8Array[];
  readonly hasLength: boolean;
  readonly status: number;
  readonly answerFields: FieldLines;
  readonly answerPieces: readonly Uint8Array[];
  readonly answerHasLength: boolean;
  readonly trailers: FieldLines;
}

/** What a server saw, as far as it is the sender's to choose. */
interface Seen {
  readonly method: string;
  readonly path: string;
  readonly fields: FieldLines;
  readonly body: string;
  readonly length: string | undefined;
}

const NOT_COMPARED: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'date',
  'host',
  'keep-alive',
  'trailer',
  'transfer-encoding',
]);

const digest = (pieces: readonly Uint8Array[]): string =>
  createHash('sha256').update(Buffer.concat(pieces)).digest('hex');
const lengthOf = (pieces: readonly Uint8Array[]): number =>
  pieces.reduce((sum, piece) => sum + piece.length, 0);

/** In the order of their names, because an object has no other. */
function compared(flat: FieldLines): FieldLines {
  const pairs = pairsOf(flat)
    .map(([field, text]): [string, string] => [field.toLowerCase(), text])
    .filter(([field]) => !field.startsWith(':') && !NOT_COMPARED.has(field));
  return pairs.sort(([a], [b]) => (a < b ? -1 : Number(a > b))).flat();
}

/** A field once: an object holds no more. */
function unique(pairs: readonly (readonly [string, string])[]): FieldLines {
  return [...new Map(pairs)].flat();
}

const name = fc.stringMatching(/^x-[a-z]{1,8}$/);
const value = fc.stringMatching(/^[!-~]([ -~]{0,20}[!-~])?$/);
const lines = fc.array(fc.tuple(name, value), { maxLength: 6 }).map(unique);
const pieces = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40_000 }), { maxLength: 5 });

const exchanges: fc.Arbitrary<Exchange> = fc.record({
  method: fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS'),
  path: fc.stringMatching(/^\/[a-z0-9/%.~_-]{0,30}(\?[a-z0-9=&%]{0,10})?$/),
  fields: lines,
  pieces,
  hasLength: fc.boolean(),
  status: fc.constantFrom(200, 201, 204, 304, 404, 503),
  answerFields: lines,
  answerPieces: pieces,
  answerHasLength: fc.boolean(),
  trailers: lines,
});

const hasNoContent = ({ method, status }: Exchange): boolean =>
  method === 'HEAD' || status === 204 || status === 304;

class NodeServers {
  now: Exchange | undefined;
  seen: Seen | undefined;
  readonly http1 = createServer((request, response) => void this.#serve(request, response));
  /** Its messages have what is used here of the others. */
  readonly http2 = createHttp2Server(
    (request, response) =>
      void this.#serve(
        request as unknown as IncomingMessage,
        response as unknown as ServerResponse,
      ),
  );

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { now } = this;
    assert.ok(now);
    const body = (await request.toArray()) as Uint8Array[];
    this.seen = {
      method: request.method ?? '',
      path: request.url ?? '',
      fields: compared(request.rawHeaders),
      body: digest(body),
      length: request.headers['content-length'],
    };
    for (const [field, text] of pairsOf(now.answerFields)) {
      response.setHeader(field, text);
    }
    if (now.answerHasLength && now.status !== 204) {
      response.setHeader('content-length', lengthOf(now.answerPieces));
    }
    response.writeHead(now.status);
    if (!hasNoContent(now)) {
      for (const piece of now.answerPieces) {
        response.write(piece);
      }
      if (!now.answerHasLength) {
        response.addTrailers(Object.fromEntries(pairsOf(now.trailers)));
      }
    }
    response.end();
  }
}

function pairsOf(flat: FieldLines): [string, string][] {
  const pairs: [string, string][] = [];
  for (let index = 0; index < flat.length; index += 2) {
    pairs.push([flat[index] ?? '', flat[index + 1] ?? '']);
  }
  return pairs;
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

describe('with servers of Node', () => {
  const servers = new NodeServers();
  const clock = new FakeClock();
  const http1 = new Http1Pool({ clock, idleMax: 8 });
  const http2 = new Http2Pool({ clock, sessionsMax: 8 });
  let ports: { readonly http1: number; readonly http2: number };
  before(async () => {
    ports = { http1: await listen(servers.http1), http2: await listen(servers.http2) };
  });
  after(() => {
    http1.destroy();
    http2.destroy();
    servers.http1.close();
    servers.http2.close();
  });

  async function check(pool: TryPool, link: UpstreamLink, exchange: Exchange): Promise<void> {
    const answer = new Answer();
    const { method, path, fields, pieces: sent, hasLength } = exchange;
    const body = sent.length === 0 ? undefined : new GivenBody(sent);
    const contentLength = body === undefined || !hasLength ? undefined : lengthOf(sent);
    servers.now = exchange;
    pool.request(link, requestOf({ method, path, fields, body, contentLength }), answer);
    await answer.settled;
    assert.equal(answer.error, undefined);
    assert.equal(answer.bodyError, undefined);
    assert.deepEqual(servers.seen, {
      method,
      path,
      fields: compared(fields),
      body: digest(sent),
      length: contentLength?.toString(),
    });
    const isBare = hasNoContent(exchange);
    const { response } = answer;
    assert.equal(response?.status, exchange.status);
    assert.deepEqual(compared(response?.headers.lines ?? []), compared(exchange.answerFields));
    assert.equal(answer.bytes, isBare ? 0 : lengthOf(exchange.answerPieces));
    const hasTrailers = !isBare && !exchange.answerHasLength;
    assert.deepEqual(
      compared(answer.trailers ?? []),
      hasTrailers ? compared(exchange.trailers) : [],
    );
  }

  it('exchanges anything over HTTP/1, on connections that stay', async () => {
    const link = tcpEndpoint(ports.http1, clock).link();
    await fc.assert(
      fc.asyncProperty(exchanges, async (exchange) => await check(http1, link, exchange)),
      { numRuns: 50 },
    );
    assert.ok(http1.counters.reused > 40, `${http1.counters.reused} were used again`);
  });

  it('exchanges anything over HTTP/2, on one session', async () => {
    const endpoint = tcpEndpoint(ports.http2, clock);
    await fc.assert(
      fc.asyncProperty(
        exchanges,
        async (exchange) => await check(http2, endpoint.link(), exchange),
      ),
      { numRuns: 50 },
    );
    assert.equal(endpoint.dials, 1);
  });
});
