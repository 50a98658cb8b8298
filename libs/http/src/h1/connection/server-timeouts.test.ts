/** What a client's connection waits for, and how long. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { connPair, Recorder } from '@ambit/proxy/testing';
import { answerAtOnce, GET, OK, POST, Seen, serve, type World } from '../fixtures/served.ts';
import { H1ServerConnection } from './server-connection.ts';
import { Sweeper } from './sweeper.ts';

describe('H1ServerConnection in time', () => {
  const advance = async ({ clock, settle }: World, ms: number): Promise<void> => {
    clock.advance(ms);
    await settle();
  };

  it('closes in silence who says nothing', async () => {
    const world = serve();
    await advance(world, 9_999);
    assert.deepEqual(world.client.events, []);
    await advance(world, 1_000);
    assert.deepEqual(world.client.events, ['end']);
  });

  it('answers 408 to a head that trickles (slowloris)', async () => {
    const world = serve();
    for (const byte of GET.slice(0, 8)) {
      world.send(byte);
      await world.settle();
      await advance(world, 1_200);
    }
    await advance(world, 1_000);
    assert.match(world.client.text, /^HTTP\/1.1 408 /);
    assert.equal(world.refusals.of('H1_HEAD_TIMEOUT'), 1);
  });

  it('closes what is idle between requests', async () => {
    const world = serve({ onSeen: answerAtOnce });
    world.send(GET);
    await world.settle();
    await advance(world, 59_000);
    assert.equal(world.client.events.includes('end'), false);
    await advance(world, 1_000);
    assert.equal(world.client.events.includes('end'), true);
  });

  it('answers 408 to a body that does not come, unless nobody wants it', async () => {
    const world = serve();
    world.send(POST);
    await world.settle();
    world.send('a');
    await world.settle();
    await advance(world, 20_000);
    assert.equal(world.client.text, '', 'one byte came in the first window');
    await advance(world, 20_000);
    assert.match(world.client.text, /^HTTP\/1.1 408 /);
    assert.equal(world.requests[0]?.gone?.code, 'H1_BODY_TIMEOUT');
    const held = serve({ onSeen: (seen) => seen.exchange.pause() });
    held.send(`${POST}a`);
    await held.settle();
    await advance(held, 100_000);
    assert.equal(held.client.text, '');
    const expecting = serve();
    expecting.send(POST.replace('Host', 'Expect: 100-continue\r\nHost'));
    await expecting.settle();
    await advance(expecting, 100_000);
    assert.equal(expecting.client.text, '');
  });

  it('leaves alone who is answered before the body is whole', async () => {
    const world = serve();
    world.send(`${POST}a`);
    await world.settle();
    world.requests[0]?.exchange.begin(OK);
    world.requests[0]?.exchange.write(Buffer.from('first'));
    await advance(world, 10_000_000);
    assert.equal(world.requests[0]?.gone, undefined);
    world.requests[0]?.exchange.write(Buffer.from('second'));
    await world.settle();
    assert.match(world.client.text, /first.*second/s);
  });

  it('waits for an answer as long as it takes', async () => {
    const world = serve();
    world.send(GET);
    await world.settle();
    await advance(world, 10_000_000);
    world.requests[0]?.exchange.respond(OK, Buffer.alloc(0));
    await world.settle();
    assert.match(world.client.text, /^HTTP\/1.1 200 /);
  });

  it('cuts who does not take the answer', async () => {
    const clock = new FakeClock();
    const [near, far] = connPair();
    near.pause();
    const client = Recorder.on(near);
    const seen: Seen[] = [];
    new H1ServerConnection(far, {
      sweeper: new Sweeper(clock),
      timeouts: { writeMs: 5_000 },
      onRequest: (exchange) => {
        const one = new Seen(exchange);
        seen.push(one);
        return one;
      },
    }).start();
    near.write(Buffer.from(GET));
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    seen[0]?.exchange.begin(OK);
    seen[0]?.exchange.write(Buffer.alloc(200_000));
    for (const ms of [1_000, 4_000, 1_000]) {
      assert.equal(seen[0]?.gone, undefined);
      clock.advance(ms);
      for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    }
    assert.equal(seen[0]?.gone?.code, 'H1_WRITE_TIMEOUT');
    assert.ok((await client.closed) !== undefined);
  });

  it('reads on for a while after a last answer, and not for ever', async () => {
    const world = serve();
    world.send(`${POST}a`);
    await world.settle();
    world.requests[0]?.exchange.respond(OK, Buffer.from('enough'));
    await world.client.ended;
    world.send('b'.repeat(1000));
    await world.settle();
    assert.equal(world.closed(), 0);
    await advance(world, 6_000);
    assert.equal(world.closed(), 1);
    const flood = serve({ timeouts: { lingerBytesMax: 10 } });
    flood.send('\0');
    await flood.client.ended;
    flood.send('b'.repeat(11));
    await flood.settle();
    assert.equal(flood.closed(), 1);
  });
});
