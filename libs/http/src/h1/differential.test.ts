/**
 * Against node:http's parser (llhttp, strict): what we accept, it reads the same; what we write, it reads as we meant it.
 *
 * We may refuse more. Where it refuses what we accept, the difference stands in `NODE_REFUSES` with its reason.
 */
import assert from 'node:assert/strict';
import { METHODS } from 'node:http';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { mutated, runs } from './fixtures/arbitraries.ts';
import {
  endToEnd,
  plainRequest,
  plainResponse,
  sendable,
  writeRequests,
  writeResponse,
} from './fixtures/check.ts';
import { collectRequests, collectResponse, type Message } from './fixtures/collect.ts';
import { type NodeMessage, readRequestsByNode, readResponseByNode } from './fixtures/node-http.ts';
import { REQUEST_SEEDS, RESPONSE_SEEDS, WHOLE_REQUESTS } from './fixtures/seeds.ts';
import { type FieldLines, fieldValue, type H1RequestHead } from './message.ts';

/** llhttp's codes for what we read and it does not. */
const NODE_REFUSES: ReadonlySet<string> = new Set([
  // A tab behind `chunked` is white space around a value (RFC 9110 §5.5); llhttp takes spaces only.
  'HPE_INVALID_TRANSFER_ENCODING',
  // It knows a list of methods; any token in capitals is one here.
  'HPE_INVALID_METHOD',
  // It wants a name in a chunk extension; extensions are bounded and dropped here, whatever they say.
  'HPE_STRICT',
]);

function without(fields: FieldLines, name: string): FieldLines {
  const kept: string[] = [];
  for (let index = 0; index < fields.length; index += 2) {
    if (fields[index] !== name) {
      kept.push(fields[index] ?? '', fields[index + 1] ?? '');
    }
  }
  return kept;
}

function compare(ours: Message<H1RequestHead>, theirs: NodeMessage): void {
  assert.deepEqual([ours.head.method, ours.head.target], theirs.start);
  assert.deepEqual(ours.head.fields, without(theirs.fields, 'host'));
  const isConnect = ours.head.method === 'CONNECT';
  assert.equal(ours.body, isConnect ? '' : theirs.body);
  assert.deepEqual(ours.trailers, theirs.trailers);
  assert.equal(theirs.isWhole, true);
  if (ours.head.form === 'origin' && ours.head.authority !== '') {
    assert.equal(ours.head.authority, fieldValue(theirs.fields, 'host'));
  }
}

async function compareRequests(bytes: Uint8Array): Promise<void> {
  const ours = collectRequests([bytes], { stopsAtUpgrade: true }).messages.filter((m) => m.isWhole);
  const last = ours.at(-1);
  if (last === undefined) {
    return;
  }
  // What comes behind would end its connection before it says what it read.
  const { messages, refused } = await readRequestsByNode(bytes.subarray(0, last.end));
  for (const [index, message] of ours.entries()) {
    const theirs = messages[index];
    if (theirs === undefined || !theirs.isWhole) {
      assert.ok(refused !== undefined && NODE_REFUSES.has(refused), `node:http says ${refused}`);
      return;
    }
    compare(message, theirs);
  }
}

async function compareWritten(bytes: Uint8Array): Promise<void> {
  const accepted = sendable(collectRequests([bytes], { stopsAtUpgrade: true })).filter(({ head }) =>
    METHODS.includes(head.method),
  );
  if (accepted.length === 0) {
    return;
  }
  const { messages, refused } = await readRequestsByNode(writeRequests(accepted));
  assert.equal(refused, undefined);
  assert.equal(messages.length, accepted.length);
  for (const [index, message] of accepted.entries()) {
    const theirs = messages[index];
    assert.ok(theirs?.isWhole);
    const { start, fields, body, trailers } = plainRequest(message);
    const target = message.head.method === 'CONNECT' ? message.head.authority : start[1];
    assert.deepEqual([start[0], target], theirs.start);
    assert.equal(fieldValue(theirs.fields, 'host'), start[2]);
    assert.deepEqual(endToEnd(without(theirs.fields, 'host'), []), fields);
    assert.deepEqual([body, trailers], [theirs.body, theirs.trailers]);
  }
}

describe('node:http', () => {
  it('reads every seed that we accept as we do', async () => {
    for (const seed of REQUEST_SEEDS) {
      await compareRequests(Buffer.from(seed, 'latin1'));
    }
  });

  it('reads what we accept as we do', async () => {
    await fc.assert(
      fc.asyncProperty(mutated(REQUEST_SEEDS, WHOLE_REQUESTS), compareRequests),
      runs(500),
    );
  });

  it('reads what we write as it was meant', async () => {
    await fc.assert(
      fc.asyncProperty(mutated(REQUEST_SEEDS, WHOLE_REQUESTS), compareWritten),
      runs(500),
    );
  });

  it('reads responses that we write as they were meant', async () => {
    const method = fc.constantFrom('GET', 'HEAD');
    await fc.assert(
      fc.asyncProperty(mutated(RESPONSE_SEEDS), method, async (bytes, asked) => {
        const [message] = collectResponse([bytes], { method: asked }).messages;
        if (message === undefined || !message.isWhole) {
          return;
        }
        const { start, fields, body, trailers } = plainResponse(message);
        const read = await readResponseByNode(writeResponse(message, asked), asked);
        assert.equal(read.refused, undefined);
        const [theirs] = read.messages;
        assert.ok(theirs?.isWhole);
        assert.deepEqual(theirs.start, start);
        assert.deepEqual(endToEnd(theirs.fields, []), fields);
        assert.deepEqual([theirs.body, theirs.trailers], [body, trailers]);
      }),
      runs(300),
    );
  });
});
