/** A bare proxy of both halves carries any messages as they are. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { connPair, Recorder } from '@ambit/proxy/testing';
import fc from 'fast-check';
import { withoutHopByHop } from '../encode/hop-by-hop.ts';
import { bodyText, fieldLines, pieceLengths, runs } from '../fixtures/arbitraries.ts';
import { cut, endToEnd, plainRequest, writeRequests } from '../fixtures/check.ts';
import { collectRequests, collectResponse, type Message } from '../fixtures/collect.ts';
import type { FieldLines, H1RequestHead } from '../message.ts';
import { H1ClientConnection } from './client-connection.ts';
import { H1ServerConnection } from './server-connection.ts';
import { Sweeper } from './sweeper.ts';

async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn += 1) {
    await Promise.resolve();
  }
}

/** Passes each request of `client` on to `origin` and its answer back, with nothing between. */
function proxy(options: { readonly origin: H1ClientConnection }) {
  const { origin } = options;
  const [near, far] = connPair();
  new H1ServerConnection(far, {
    sweeper: new Sweeper(new FakeClock()),
    onRequest: (exchange) => {
      const { head } = exchange;
      origin.request(
        {
          method: head.method,
          target: head.path,
          authority: head.authority,
          fields: withoutHopByHop(head.fields, head.connection),
          body: head.body,
        },
        {
          onInterim: ({ status, fields }) => exchange.sendInterim(status, fields),
          onHead: ({ status, fields, connection, contentLength }) =>
            exchange.begin({
              status,
              fields: withoutHopByHop(fields, connection),
              length: contentLength,
            }),
          onData: (bytes) => exchange.write(bytes) || origin.pause(),
          onEnd: (trailers) => exchange.end(trailers),
          onDrain: () => exchange.resume(),
          onFailed: (error) => exchange.reset(error),
        },
      );
      return {
        onData: (bytes) => origin.write(bytes) || exchange.pause(),
        onEnd: (trailers) => origin.end(trailers),
        onDrain: () => origin.resume(),
        onGone: (error) => origin.destroy(error),
      };
    },
  }).start();
  return near;
}

describe('a bare proxy of both halves', () => {
  const request = fc.record({
    method: fc.constantFrom('GET', 'POST', 'HEAD'),
    path: fc.constantFrom('/a', '/b?c'),
    fields: fieldLines,
    text: bodyText,
    trailers: fieldLines,
    kind: fc.constantFrom('none', 'length', 'chunked'),
  });

  it('carries any requests, however they are cut, and any answers', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(request, { minLength: 1, maxLength: 4 }),
        pieceLengths,
        async (requests, lengths) => {
          const messages = requests.map((sent) => messageOf(sent));
          const seen = await carry(writeRequests(messages), lengths);
          assert.deepEqual(seen.requests.map(plainRequest), messages.map(plainRequest));
          let left = seen.answers;
          for (const [index, { head }] of messages.entries()) {
            const read = collectResponse([left], { method: head.method }, { ends: false });
            assert.equal(read.messages[0]?.isWhole, true, `answer ${index}`);
            assert.deepEqual(endToEnd(read.messages[0]?.head.fields ?? [], []), ['n', `${index}`]);
            assert.equal(read.messages[0]?.body, head.method === 'HEAD' ? '' : `${index}`);
            left = left.slice(read.messages[0]?.end);
          }
          assert.equal(left, '');
        },
      ),
      // A message that gets stuck is a counterexample, not a test that hangs.
      { ...runs(60), timeout: 10_000 },
    );
  });
});

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly fields: FieldLines;
  readonly text: string;
  readonly trailers: FieldLines;
  readonly kind: string;
}

function messageOf({ method, path, fields, text, trailers, kind }: Sent): Message<H1RequestHead> {
  const body =
    kind === 'chunked'
      ? ({ kind: 'chunked' } as const)
      : kind === 'length'
        ? ({ kind: 'length', bytes: text.length } as const)
        : ({ kind: 'none' } as const);
  return {
    head: {
      version: '1.1',
      method,
      target: path,
      form: 'origin',
      path,
      authority: 'a',
      fields,
      body,
      connection: [],
      keepAlive: true,
      takesTrailers: false,
      upgrade: undefined,
      expectsContinue: false,
    },
    body: kind === 'none' ? '' : text,
    trailers: kind === 'chunked' ? trailers : [],
    isWhole: true,
    end: 0,
  };
}

/** Through the proxy to an origin that numbers its answers; each second one in chunks. */
async function carry(bytes: Uint8Array, lengths: readonly number[]) {
  const [near, far] = connPair();
  const origin = new H1ClientConnection(near);
  origin.start();
  const got = Recorder.on(far);
  const client = proxy({ origin });
  const answers = Recorder.on(client);
  for (const piece of cut(bytes, lengths)) {
    client.write(piece);
  }
  const count = collectRequests([bytes], { ends: false }).messages.length;
  for (let index = 0; index < count; index += 1) {
    await got.until(
      () =>
        collectRequests([got.text], { ends: false }).messages.filter((m) => m.isWhole).length >
        index,
    );
    const head = collectRequests([got.text], { ends: false }).messages[index]?.head;
    const body = `${index}`;
    const text =
      head?.method === 'HEAD' || index % 2 === 0
        ? `HTTP/1.1 200 OK\r\nN: ${index}\r\nContent-Length: ${body.length}\r\n\r\n`
        : `HTTP/1.1 200 OK\r\nN: ${index}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n`;
    const rest = head?.method === 'HEAD' ? '' : index % 2 === 0 ? body : `${body}\r\n0\r\n\r\n`;
    far.write(Buffer.from(text + rest));
  }
  await settle();
  await settle();
  return {
    requests: collectRequests([got.text], { ends: false }).messages,
    answers: answers.text,
  };
}
