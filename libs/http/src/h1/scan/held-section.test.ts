import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connPair } from '@ambit/proxy/testing';
import { H1ClientConnection } from '../connection/client-connection.ts';
import { H1_TIMEOUTS } from '../connection/timeouts.ts';
import { collectRequests, latin1 } from '../fixtures/collect.ts';
import { serve, type World } from '../fixtures/served.ts';
import { RequestDecoder } from '../request-decoder.ts';
import { HeldSection } from './held-section.ts';

const HEAD = 'GET / HTTP/1.1\r\nHost: a\r\n';
const CHUNKED = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n';

/** What the memory that is lent next for so many bytes has had in it, behind those. */
function lentNext(bytes = 1): string {
  const next = new HeldSection();
  next.add(Buffer.alloc(bytes), 0, bytes);
  const text = next.memory.toString('latin1', bytes);
  next.letGo();
  return text;
}

describe('HeldSection', () => {
  it('grows over all its sizes, and beyond, and says what was added', () => {
    for (const bytes of [1, 2_048, 2_049, 16_384, 16_385, 80 * 1024, 80 * 1024 + 1, 300_000]) {
      const whole = Buffer.from(Array.from({ length: bytes }, (_, at) => at % 251));
      const held = new HeldSection();
      for (let at = 0; at < bytes; at += 1_000) {
        held.add(whole, at, Math.min(bytes, at + 1_000));
      }
      assert.equal(held.bytes, bytes);
      assert.deepEqual(held.memory.subarray(0, bytes), whole);
      held.letGo();
      assert.equal(held.bytes, 0);
      held.letGo();
    }
  });

  it('lends no two owners the same memory', () => {
    const heads = Array.from(
      { length: 80 },
      (_, n) => `${HEAD}x-n: ${`${n} `.repeat(n * 20)}end\r\n\r\n`,
    );
    const decoders = heads.map(() => new RequestDecoder());
    const seen: unknown[] = heads.map(() => undefined);
    for (let at = 0; seen.includes(undefined); at += 97) {
      decoders.forEach((decoder, n) => {
        decoder.push(latin1(heads[n]?.slice(at, at + 97) ?? ''));
        const event = seen[n] === undefined ? decoder.read() : undefined;
        seen[n] ??= event?.kind === 'head' ? event.head.fields : undefined;
      });
    }
    assert.deepEqual(
      seen,
      heads.map((head) => collectRequests([head]).messages[0]?.head.fields),
    );
  });

  describe('is lent again', () => {
    const cases: readonly (readonly [string, string, (world: World) => void])[] = [
      ['when the head is whole', `${HEAD}x: MARK`, ({ send }) => send('\r\n\r\n')],
      [
        'when the head is not whole in time',
        `${HEAD}x: MARK`,
        ({ clock }) => clock.advance(H1_TIMEOUTS.headMs + 1_000),
      ],
      ['when the head is refused', `${HEAD}x: MARK`, ({ send }) => send('\0')],
      ['when the client resets', `${HEAD}x: MARK`, ({ reset }) => reset()],
      ['when the client ends', `${HEAD}x: MARK`, ({ end }) => end()],
      ['when we destroy it', `${HEAD}x: MARK`, ({ server }) => server.destroy()],
      ['when a client ends within trailers', `${CHUNKED}x: MARK`, ({ end }) => end()],
      ['when a client resets within trailers', `${CHUNKED}x: MARK`, ({ reset }) => reset()],
    ];
    for (const [when, begin, act] of cases) {
      it(when, async () => {
        const mark = `mark-${when.replaceAll(' ', '-')}`;
        const world = serve();
        world.send(begin.replace('MARK', mark));
        await world.settle();
        assert.equal(lentNext().includes(mark), false);
        act(world);
        await world.settle();
        assert.equal(lentNext().includes(mark), true);
        assert.equal(lentNext().includes(mark), true);
      });
    }

    it('when a head is refused at its bound', async () => {
      const world = serve();
      world.send(`${HEAD}x: ${'a'.repeat(50_000)}mark-at-the-bound`);
      await world.settle();
      assert.equal(lentNext(40_000).includes('mark-at-the-bound'), false);
      world.send('a'.repeat(20_000));
      await world.settle();
      assert.match(world.client.text, /^HTTP\/1.1 431 /);
      assert.equal(lentNext(40_000).includes('mark-at-the-bound'), true);
    });

    for (const who of ['a server resets', 'we destroy a connection to a server']) {
      it(`when ${who} within its head`, async () => {
        const [ours, theirs] = connPair();
        const connection = new H1ClientConnection(ours);
        connection.start();
        theirs.start({ onData() {}, onEnd() {}, onDrain() {}, onClose() {} });
        let failed: boolean | undefined;
        connection.request(
          { method: 'GET', target: '/', authority: 'a', fields: [], body: { kind: 'none' } },
          {
            ...{ onInterim() {}, onHead() {}, onData() {}, onEnd() {}, onDrain() {} },
            onFailed: (_error, hasBegun) => {
              failed = hasBegun;
            },
          },
        );
        connection.end();
        theirs.write(latin1(`HTTP/1.1 200 OK\r\nx: mark-of-${who}`));
        await new Promise((resolve) => setImmediate(resolve));
        if (who === 'a server resets') {
          theirs.destroy();
        } else {
          connection.destroy();
        }
        await new Promise((resolve) => setImmediate(resolve));
        assert.equal(failed, true);
        assert.equal(lentNext().includes(`mark-of-${who}`), true);
      });
    }
  });
});
