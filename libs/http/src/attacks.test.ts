/**
 * Attacks on the engine by clients of HTTP/1.1 and HTTP/2, with a healthy client beside: each ends at its bound and is counted,
 * the client notices nothing, and no memory stays.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { heldBytes } from '@ambit/core/fuzzing';
import {
  attackByHttp2,
  H2_ATTACKS,
  H2_STREAM_ATTACKS,
  headers,
  RawPeer,
  settled,
} from '@ambit/h2/testing';
import { SocketConn } from '@ambit/proxy';
import { connPair } from '@ambit/proxy/testing';
import { H1_ATTACKS, type H1Attack } from './fixtures/attacks.ts';
import { ask } from './fixtures/client.ts';
import { type Backend, type Harness, startBackend, startHarness } from './fixtures/harness.ts';

const GROWTH_BYTES_MAX = 5_000_000;
const REQUEST = [':method', 'POST', ':scheme', 'http', ':path', '/', ':authority', 'reviews'];
const BY_HTTP2 = [...H2_ATTACKS, ...H2_STREAM_ATTACKS];
/** A field of an answer to `/large`. */
const LARGE = 'y'.repeat(8_000);
const END_STREAM = 1;
const SLOW = 200;
const SENT_BYTES_MAX = 4_000_000;

describe('the engine under attack', () => {
  let backend: Backend;
  let harness: Harness;
  const sockets: Socket[] = [];
  before(async () => {
    backend = await startBackend((request, response) => {
      if (request.url === '/large') {
        response.setHeader('x-large', LARGE);
      }
      request.resume().on('end', () => response.end('ok'));
    });
    harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    // Code is compiled and pools are filled before anything is compared.
    for (const attack of BY_HTTP2) {
      await attackByHttp2(await open(), attack, REQUEST);
    }
    for (const attack of H1_ATTACKS) {
      await attackByHttp1(attack);
    }
  });
  after(async () => {
    for (const socket of sockets) {
      socket.destroy();
    }
    await harness[Symbol.asyncDispose]();
    await backend[Symbol.asyncDispose]();
  });

  /** Each attacker has an address of its own: one that comes back is on probation, which is tested elsewhere. */
  let attackers = 1;
  const dial = async (again?: string): Promise<Socket> => {
    attackers += again === undefined ? 1 : 0;
    const localAddress = again ?? `127.1.${attackers >> 8}.${attackers & 255}`;
    const socket = connect({ port: harness.port, host: '127.0.0.1', localAddress });
    socket.on('error', () => undefined);
    sockets.push(socket);
    await once(socket, 'connect');
    return socket;
  };
  const open = async (again?: string): Promise<SocketConn> =>
    new SocketConn(await dial(again), { side: 'upstream' });

  /** Sends until the connection is closed; what came back. */
  const attackByHttp1 = async ({ begin, more }: H1Attack): Promise<string> => {
    const socket = await dial();
    let text = '';
    let isOver = false;
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString('latin1');
    });
    const closed = new Promise<void>((resolve) => {
      for (const event of ['end', 'close'] as const) {
        socket.once(event, () => {
          isOver = true;
          resolve();
        });
      }
    });
    socket.write(begin);
    for (let sent = 0; !isOver; sent += more.length) {
      assert.ok(sent < SENT_BYTES_MAX, 'the server goes on');
      socket.write(more);
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
    await closed;
    socket.destroy();
    return text;
  };

  const besideClient = async (
    context: { diagnostic(message: string): void },
    attack: () => Promise<void>,
  ): Promise<void> => {
    const before = await heldBytes();
    let isOver = false;
    let requests = 0;
    const client = (async () => {
      do {
        assert.equal((await ask({ port: harness.port })).status, 200);
        requests += 1;
      } while (!isOver);
    })();
    await attack();
    isOver = true;
    await client;
    harness.requests.length = 0;
    harness.connections.length = 0;
    const grown = (await heldBytes()) - before;
    context.diagnostic(`${requests} requests beside it, ${(grown / 1e6).toFixed(1)} MB grown`);
    assert.ok(grown < GROWTH_BYTES_MAX, `${grown} bytes more are in use`);
  };

  for (const attack of BY_HTTP2) {
    it(`${attack.name}: ends the connection, is counted, and harms nobody`, async (context) => {
      const counted = attack.counted(harness.engine.http2Counters);
      await besideClient(context, async () => {
        await attackByHttp2(await open(), attack, REQUEST);
      });
      assert.equal(attack.counted(harness.engine.http2Counters), counted + 1);
    });
  }

  for (const attack of H1_ATTACKS) {
    it(`${attack.name}: ${attack.status}, is counted, and harms nobody`, async (context) => {
      const counted = harness.engine.http1Refusals.of(attack.refused);
      let text = '';
      await besideClient(context, async () => {
        text = await attackByHttp1(attack);
      });
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${attack.status} `));
      assert.equal(harness.engine.http1Refusals.of(attack.refused), counted + 1);
    });
  }

  it('answers that nobody takes: nothing more is read until they are, and nobody is harmed', async (context) => {
    const { http2Counters } = harness.engine;
    const pauses = http2Counters.readPauses;
    await besideClient(context, async () => {
      const [ours, theirs] = connPair();
      const served = harness.engine.serve(ours, harness.plane);
      const peer = new RawPeer(theirs, 'client');
      const ask = (from: number, to: number): void => {
        for (let n = from; n < to; n += 1) {
          const large = [
            ':method',
            'GET',
            ':scheme',
            'http',
            ':path',
            '/large',
            ...REQUEST.slice(6),
          ];
          peer.send(headers(2 * n + 1, large, END_STREAM));
        }
      };
      peer.greetAsClient();
      await served;
      await settled();
      peer.pause();
      const streams = http2Counters.streams;
      ask(0, 50);
      while (http2Counters.readPauses === pauses) {
        await settled();
      }
      ask(50, 100);
      await settled(100);
      assert.equal(http2Counters.streams, streams + 50, 'it reads on');
      peer.resume();
      while (peer.frames.filter((said) => said.startsWith('HEADERS')).length < 100) {
        await settled();
      }
      peer.destroy();
    });
    assert.equal(http2Counters.readPauses, pauses + 1);
  });

  it('who comes back begins with less, and then waits', async () => {
    const [rapidReset] = H2_ATTACKS;
    assert.ok(rapidReset);
    const { counters, probation } = harness.engine;
    const reached: number[] = [];
    const waits = probation.counters.waits;
    for (let time = 0; time < 3; time += 1) {
      const before = counters.requests;
      await attackByHttp2(await open('127.2.0.1'), rapidReset, REQUEST);
      reached.push(counters.requests - before);
    }
    const [first = 0, second = 0] = reached;
    assert.ok(first > 200 && second < 50, `${reached} requests`);
    assert.equal(probation.counters.waits, waits + 1);
  });

  it(`${SLOW} clients that stop inside of their headers (slowloris) harm nobody`, async (context) => {
    await besideClient(context, async () => {
      const slow = await Promise.all(Array.from({ length: SLOW }, () => dial()));
      for (const socket of slow) {
        socket.write('GET / HTTP/1.1\r\nHost: reviews\r\nX-Slow: ');
      }
      assert.equal((await ask({ port: harness.port })).status, 200);
    });
  });
});
