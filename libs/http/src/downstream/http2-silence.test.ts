/** How long the body of a stream is waited for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { newH2Counters } from '@ambit/h2';
import { data, post, RawPeer } from '@ambit/h2/testing';
import { connPair } from '@ambit/proxy/testing';
import { TestSink } from '../fixtures/bodies.ts';
import { Sweeper } from '../h1/connection/sweeper.ts';
import { HTTP_LIMITS } from '../limits.ts';
import type { Exchange } from '../message.ts';
import { serveHttp2, sessionLimits } from './http2.ts';

const WINDOW_MS = 20_000;

/** A client that has sent the beginning of a body, to a reader that wants all of it. */
async function begun(fields: readonly string[] = []) {
  const clock = new FakeClock();
  const [near, far] = connPair();
  const exchanges: Exchange[] = [];
  const limits = { ...HTTP_LIMITS, bodyWindowMs: WINDOW_MS };
  serveHttp2(far, {
    sweeper: new Sweeper(clock),
    limits,
    session: sessionLimits(limits),
    counters: newH2Counters(),
    host: {
      onExchange: (exchange) => {
        exchange.listen({ onDrain: () => undefined, onGone: () => undefined });
        exchanges.push(exchange);
      },
      onRefused: () => undefined,
      onClosed: () => undefined,
    },
  });
  const client = new RawPeer(near, 'client');
  client.greetAsClient();
  client.send(post(1, fields), data(1, 'a'));
  await client.answers();
  const [exchange] = exchanges;
  assert.ok(exchange);
  const sink = TestSink.of(exchange.body);
  const wait = async (ms: number): Promise<readonly string[]> => {
    clock.advance(ms);
    return await client.answers();
  };
  // The window in which the first byte came.
  await wait(WINDOW_MS);
  return { exchange, sink, wait };
}

describe('the body of a stream', () => {
  it('is not waited for when nothing of it comes', async () => {
    const { sink, wait } = await begun();
    assert.deepEqual(await wait(WINDOW_MS), ['RST_STREAM 1 CANCEL']);
    assert.ok(sink.error !== undefined);
  });

  it('may be silent for ever once the answer has begun', async () => {
    const { exchange, sink, wait } = await begun();
    exchange.begin({ status: 200, fields: [], length: undefined });
    for (let window = 0; window < 5; window += 1) {
      assert.doesNotMatch((await wait(WINDOW_MS)).join('\n'), /RST_STREAM/);
    }
    assert.equal(sink.error, undefined);
  });

  it('may be silent for ever in a call of gRPC', async () => {
    const { sink, wait } = await begun(['content-type', 'application/grpc+proto']);
    for (let window = 0; window < 5; window += 1) {
      assert.deepEqual(await wait(WINDOW_MS), []);
    }
    assert.equal(sink.error, undefined);
  });

  it('is answered for as long as somebody takes it', async () => {
    const { exchange, wait } = await begun();
    exchange.begin({ status: 200, fields: [], length: undefined });
    // More than the window of the stream, which the client does not open again.
    exchange.write(Buffer.alloc(100_000));
    const pausedMs = HTTP_LIMITS.writeStallMs - 60_000;
    assert.doesNotMatch((await wait(pausedMs)).join('\n'), /RST_STREAM/);
    const more: string[] = [];
    for (let waitedMs = 0; waitedMs < 2 * HTTP_LIMITS.writeStallMs; waitedMs += 30_000) {
      more.push(...(await wait(30_000)));
    }
    assert.match(more.join('\n'), /RST_STREAM 1 /);
  });
});
