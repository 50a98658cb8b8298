/** What clients hear of an engine that is about to end, and that nothing of theirs is lost meanwhile. */
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { describe, it } from 'node:test';
import { ask } from './fixtures/client.ts';
import { startBackend, startHarness } from './fixtures/harness.ts';
import { settle } from './fixtures/upstream.ts';

async function start() {
  const backend = await startBackend((_, response) => response.end('served'));
  const harness = await startHarness({
    backends: [{ name: 'v1', port: backend.port }],
    objects: [],
  });
  return {
    engine: harness.engine,
    port: harness.port,
    [Symbol.asyncDispose]: async () => {
      await harness[Symbol.asyncDispose]();
      await backend[Symbol.asyncDispose]();
    },
  };
}

describe('HttpEngine that drains', () => {
  it('does not wait for a TCP connection that did not come about', async () => {
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: 1 }],
      protocol: 'TCP',
    });
    const { engine, plane } = harness;
    const dial = Promise.withResolvers<never>();
    plane.dial = () => dial.promise;
    const opening = engine.openTcp(plane, new AbortController().signal);
    let isDrained = false;
    const drained = engine.drain().then(() => {
      isDrained = true;
    });
    assert.equal(engine.live, 1);
    dial.reject(new Error('nobody listens'));
    await assert.rejects(opening, { code: 'HTTP_CONNECT_FAILURE' });
    await settle();
    assert.ok(isDrained);
    await drained;
  });
});

describe('HttpEngine that leaves', () => {
  it('makes each answer the last one of its connection, and serves new ones', async () => {
    await using harness = await start();
    const { port } = harness;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const before = await ask({ port, agent });
    assert.notEqual(before.headers.connection, 'close');
    harness.engine.leave();
    harness.engine.leave();
    for (const when of ['on the connection that was open', 'on a new one']) {
      const answer = await ask({ port, agent });
      assert.deepEqual(
        [answer.status, answer.body, answer.headers.connection],
        [200, 'served', 'close'],
        when,
      );
    }
    agent.destroy();
  });

  it('tells HTTP/2 clients to open no more streams there, and answers those that they have', async () => {
    await using harness = await start();
    const session = connectHttp2(`http://127.0.0.1:${harness.port}`);
    const askOn = async (): Promise<string> =>
      (
        await session
          .request({ ':authority': 'reviews', ':path': '/' })
          .setEncoding('utf8')
          .toArray()
      ).join('');
    assert.equal(await askOn(), 'served');
    const told = Promise.withResolvers<number>();
    session.once('goaway', (_, last) => told.resolve(last ?? 0));
    harness.engine.leave();
    assert.equal(await told.promise, 2 ** 31 - 1, 'no stream is refused');
    session.close();
  });
});
