/** A server of HTTP/2 that falls silent with requests on it: when it is asked, and what becomes of them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { data, goaway, headers, ping, settled, windowUpdate } from '@ambit/h2/testing';
import { http2Rig } from '../fixtures/http2-rig.ts';
import { Answer } from '../fixtures/upstream.ts';
import { PING_TIMEOUT_MS, SELDOM_MS } from './silence.ts';

const SWEEP_MS = 10_000;
const ACK = 0x1;
const END = 0x1;
const OK = [':status', '200'];

/** A session with a request on it, that the server has said its SETTINGS on. */
async function rig() {
  const { ask, peer, pool, clock, server } = http2Rig();
  const running = pool.run();
  const { answer } = ask();
  await settled();
  const remote = peer(0);
  await settled();
  /** Of PING, so far. */
  const pings = (): string[] => remote.frames.filter((text) => /^PING (?!ack)/.test(text));
  const sweep = async (times = 1): Promise<void> => {
    for (let done = 0; done < times; done += 1) {
      clock.advance(SWEEP_MS);
      await settled(3);
    }
  };
  /** If there is one. */
  const answerLast = async (): Promise<void> => {
    const payload = pings().at(-1)?.replace('PING ', '');
    if (payload !== undefined) {
      remote.send(ping(payload, ACK));
      await settled();
    }
  };
  const end = async (): Promise<void> => {
    pool.destroy();
    await running;
  };
  return { ask, answer, remote, pool, server, clock, pings, sweep, answerLast, end };
}

describe('Http2Pool: a silent server', () => {
  it('is asked, and when it does not answer the session ends and says why', async () => {
    const { ask, answer, pool, server, clock, pings, sweep, end } = await rig();
    await sweep();
    assert.deepEqual(pings(), [], 'not silent for long');
    await sweep();
    assert.equal(pings().length, 1);
    const late = ask().answer;
    clock.advance(PING_TIMEOUT_MS - 1);
    await settled();
    assert.deepEqual([answer.summary, late.summary], ['nothing', 'nothing']);
    clock.advance(1);
    await settled();
    for (const { summary, error } of [answer, late]) {
      assert.equal(summary, 'HTTP_UPSTREAM_CLOSED 503 UC sent');
      assert.match(String(error), /answered no PING in time/);
    }
    assert.deepEqual([pool.size, pool.counters.pingTimeouts], [0, 1]);
    ask();
    await settled();
    assert.equal(server.conns.length, 2);
    await end();
  });

  it('that answers keeps its requests, and is asked twice in a silence, then seldom', async () => {
    const { answer, remote, pool, pings, sweep, answerLast, end } = await rig();
    await sweep(2);
    await answerLast();
    await sweep(1);
    assert.equal(pings().length, 2);
    await answerLast();
    await sweep(SELDOM_MS / SWEEP_MS - 1);
    assert.equal(pings().length, 2);
    await sweep();
    assert.equal(pings().length, 3);
    await answerLast();
    remote.send(headers(1, OK));
    await settled();
    await sweep(2);
    assert.equal(pings().length, 3, 'it has spoken');
    await sweep();
    assert.equal(pings().length, 4, 'a silence of its own');
    await answerLast();
    remote.send(data(1, 'x', END));
    await settled();
    assert.deepEqual([answer.summary, pool.size, pool.counters.pingTimeouts], ['200 x', 1, 0]);
    await end();
  });

  it('that owes nothing is not asked', async () => {
    const { remote, pings, sweep, pool, end } = await rig();
    remote.send(headers(1, OK, END));
    await settled();
    await sweep(10);
    assert.deepEqual([pings(), pool.size], [[], 1]);
    await end();
  });

  it('that says anything now and then is not asked', async () => {
    const { remote, pings, sweep, end } = await rig();
    remote.send(headers(1, OK));
    for (let round = 0; round < 5; round += 1) {
      remote.send(data(1, 'x'));
      await settled();
      await sweep();
    }
    assert.deepEqual(pings(), []);
    await end();
  });

  it('that takes the body and says nothing else is asked no more often', async () => {
    const { remote, pings, sweep, answerLast, end } = await rig();
    for (let round = 0; round < 8; round += 1) {
      remote.send(windowUpdate(0, 1_000));
      await settled();
      await sweep();
      await answerLast();
    }
    assert.equal(pings().length, 2);
    await end();
  });

  it('that shows that it takes the body is not gone because it has not come to the PING', async () => {
    const { remote, answer, pings, sweep, pool, end } = await rig();
    for (let round = 0; round < 12; round += 1) {
      await sweep();
      remote.send(windowUpdate(0, 1_000));
      await settled();
    }
    assert.deepEqual([pings().length, answer.summary], [1, 'nothing']);
    await sweep((2 * PING_TIMEOUT_MS) / SWEEP_MS);
    assert.equal(answer.summary, 'HTTP_UPSTREAM_CLOSED 503 UC sent');
    assert.equal(pool.counters.pingTimeouts, 1);
    await end();
  });

  it('is asked no more often where its client takes slowly what came long ago', async () => {
    const { ask, remote, pings, sweep, answerLast, end } = await rig();
    const slow = new Answer({ reads: false });
    ask({}, undefined, slow);
    await settled();
    remote.send(headers(3, OK), ...Array.from({ length: 12 }, () => data(3, Buffer.alloc(5_000))));
    await settled();
    const body = slow.response?.body;
    const sink = { onData: () => body?.pause(), onEnd: () => undefined, onFailed: () => undefined };
    body?.start(sink);
    for (let round = 0; round < 10; round += 1) {
      await settled();
      await sweep();
      await answerLast();
      body?.resume();
    }
    assert.equal(pings().length, 2);
    await end();
  });

  it('is asked also on a session that takes no more requests', async () => {
    const { remote, answer, pings, sweep, pool, end } = await rig();
    remote.send(goaway(1));
    await settled();
    await sweep(2);
    assert.equal(pings().length, 1);
    await sweep(PING_TIMEOUT_MS / SWEEP_MS);
    assert.equal(answer.summary, 'HTTP_UPSTREAM_CLOSED 503 UC sent');
    assert.deepEqual([pool.size, pool.counters.pingTimeouts], [0, 1]);
    await end();
  });
});
