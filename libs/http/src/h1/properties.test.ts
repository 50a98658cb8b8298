/** What holds for any bytes and any messages. `AMBIT_FUZZ_FACTOR=100` takes a hundred times as many. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeRequestHead, encodeResponseHead } from './encode/head.ts';
import { MessageWriter } from './encode/message-writer.ts';
import { H1Error } from './errors.ts';
import {
  anyBytes,
  bodyText,
  fieldLines,
  mutated,
  pieceLengths,
  runs,
} from './fixtures/arbitraries.ts';
import { checkRequestBytes, checkResponseBytes, cut, endToEnd } from './fixtures/check.ts';
import { collectRequests, collectResponse } from './fixtures/collect.ts';
import { REQUEST_SEEDS, RESPONSE_SEEDS, WHOLE_REQUESTS } from './fixtures/seeds.ts';
import type { BodyFraming } from './message.ts';
import { RequestDecoder } from './request-decoder.ts';

const method = fc.constantFrom('GET', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'M-SEARCH');
const path = fc.stringMatching(/^\/[!"$-~]{0,20}$/);
const authority = fc.constantFrom('a', 'a:80', 'reviews.shop', '10.0.0.1:9080', '[fd00::1]:1');
const asked = fc.constantFrom(
  { method: 'GET' },
  { method: 'HEAD' },
  { method: 'CONNECT' },
  { method: 'GET', upgrade: 'websocket' },
);

function framingFor(kind: BodyFraming['kind'], text: string): BodyFraming {
  return kind === 'length' ? { kind, bytes: text.length } : { kind };
}

describe('any bytes', () => {
  it('of nobody: an error of the codec or messages, the same however they are cut', () => {
    fc.assert(fc.property(anyBytes, pieceLengths, checkRequestBytes), runs(2_000));
    fc.assert(
      fc.property(anyBytes, asked, pieceLengths, (bytes, request, lengths) => {
        checkResponseBytes(bytes, request, lengths);
      }),
      runs(1_000),
    );
  });

  it('near requests: the same however they are cut, and the same when written again', () => {
    fc.assert(
      fc.property(mutated(REQUEST_SEEDS, WHOLE_REQUESTS), pieceLengths, checkRequestBytes),
      runs(4_000),
    );
  });

  it('near responses: the same however they are cut, and the same when written again', () => {
    fc.assert(
      fc.property(mutated(RESPONSE_SEEDS), asked, pieceLengths, (bytes, request, lengths) => {
        checkResponseBytes(bytes, request, lengths);
      }),
      runs(3_000),
    );
  });

  it('never make a decoder hold more than it was given, nor more than its bounds', () => {
    const limits = { startLineBytesMax: 64, headerBytesMax: 128, heldBytesMax: 512 };
    fc.assert(
      fc.property(mutated(REQUEST_SEEDS, WHOLE_REQUESTS), pieceLengths, (bytes, lengths) => {
        const decoder = new RequestDecoder({ limits });
        let events = 0;
        try {
          for (const piece of cut(bytes, lengths)) {
            decoder.push(piece);
            while (decoder.read() !== undefined) {
              events += 1;
            }
            assert.ok(decoder.heldBytes <= limits.heldBytesMax);
          }
        } catch (error) {
          assert.ok(error instanceof H1Error, String(error));
          assert.equal(decoder.heldBytes, 0);
        }
        assert.ok(events <= bytes.length + 2);
      }),
      runs(1_000),
    );
  });
});

describe('any message', () => {
  const kinds = fc.constantFrom('none', 'length', 'chunked');

  it('is read from a request as it was written', () => {
    const message = fc.record({
      method,
      path,
      authority,
      fields: fieldLines,
      text: bodyText,
      trailers: fieldLines,
      kind: kinds,
    });
    fc.assert(
      fc.property(message, pieceLengths, (sent, lengths) => {
        const text = sent.kind === 'none' ? '' : sent.text;
        const body = framingFor(sent.kind as BodyFraming['kind'], text);
        const writer = new MessageWriter();
        writer.begin(encodeRequestHead({ ...sent, target: sent.path, body }), body);
        for (const piece of cut(Buffer.from(text, 'latin1'), lengths)) {
          writer.data(piece);
        }
        writer.end(sent.trailers);
        const { messages, refused } = collectRequests(cut(Buffer.concat(writer.take()), lengths));
        assert.equal(refused, undefined);
        const [read] = messages;
        assert.ok(read?.isWhole);
        assert.equal(read.head.method, sent.method);
        assert.equal(read.head.path, sent.path);
        assert.equal(read.head.authority, sent.authority);
        assert.deepEqual(endToEnd(read.head.fields, []), sent.fields);
        assert.deepEqual(read.head.body, body);
        assert.equal(read.body, text);
        assert.deepEqual(read.trailers, sent.kind === 'chunked' ? sent.trailers : []);
      }),
      runs(1_000),
    );
  });

  it('is read from a response as it was written', () => {
    const message = fc.record({
      status: fc.constantFrom(200, 201, 404, 503, 599),
      fields: fieldLines,
      text: bodyText,
      trailers: fieldLines,
      kind: fc.constantFrom('length', 'chunked', 'until-close'),
    });
    fc.assert(
      fc.property(message, pieceLengths, (sent, lengths) => {
        const body = framingFor(sent.kind as BodyFraming['kind'], sent.text);
        const writer = new MessageWriter();
        writer.begin(encodeResponseHead({ ...sent, body }), body);
        writer.data(Buffer.from(sent.text, 'latin1'));
        writer.end(sent.trailers);
        const { messages, refused } = collectResponse(cut(Buffer.concat(writer.take()), lengths));
        assert.equal(refused, undefined);
        assert.equal(messages[0]?.head.status, sent.status);
        assert.deepEqual(endToEnd(messages[0]?.head.fields ?? [], []), sent.fields);
        assert.equal(messages[0]?.body, sent.text);
        assert.deepEqual(messages[0]?.trailers, sent.kind === 'chunked' ? sent.trailers : []);
      }),
      runs(1_000),
    );
  });

  it('is refused at the writing, whatever is in it, or read as exactly one', () => {
    const anyText = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 12 }),
      fc.constantFrom('a\r\nb: c', 'a\0', '\u010a', 'x\r\n\r\nGET / HTTP/1.1'),
    );
    const message = fc.record({
      method: fc.oneof(anyText, fc.constant('GET')),
      target: fc.oneof(anyText, fc.constant('/')),
      authority: fc.oneof(anyText, fc.constant('a')),
      fields: fc
        .array(anyText, { maxLength: 4 })
        .map((all) => all.flatMap((text) => ['a', text, text, 'b'])),
    });
    fc.assert(
      fc.property(message, (sent) => {
        let text: string;
        try {
          text = encodeRequestHead({ ...sent, body: { kind: 'none' } });
        } catch (error) {
          assert.ok(error instanceof H1Error && error.code === 'H1_UNWRITABLE', String(error));
          return;
        }
        const { messages } = collectRequests([text]);
        assert.ok(messages.length <= 1, 'one head, one message');
        assert.match(text, /^(?:[\t\x20-\xff]*\r\n)+$/, 'no line but ours');
        assert.ok(text.split('\r\n').length <= sent.fields.length / 2 + 4);
      }),
      runs(1_000),
    );
  });
});
