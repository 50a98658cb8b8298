/**
 * Replays, over TLS, what servers of the reference said, to `HbonePool`. Its callers do what the applications of the recording did, and
 * must see what those saw; what the pool says is what was recorded, in words and in its order.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { headers, reset, SETTINGS_ACK, settings } from '@ambit/h2/testing';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import type { HboneStream } from './client-session.ts';
import { HboneError, isPolicyRefusal } from './errors.ts';
import { HbonePool } from './pool.ts';
import { headersOf, KEEP_ALIVE } from './session.ts';
import {
  bytesOf,
  CONVERSATIONS,
  type Conversation,
  endsStream,
  eventually,
  type FramePeer,
  FrameServer,
  fieldOf,
  isAck,
  type Step,
  sentOn,
  settle,
  speak,
  toldBy,
  withoutPseudo,
  wordsOf,
} from './testing/index.ts';
import type { TunnelKey } from './tunnel-key.ts';

const CA = new TestCa();
const SERVER = CA.workload('default', 'server');
const CLIENT = CA.workload('default', 'client');
const KEY: TunnelKey = {
  sourceIdentity: CLIENT.identity,
  expectedIdentities: [SERVER.identity],
  address: '10.91.0.2',
  port: 15008,
  sourcePod: 'pod',
};
const TO = { authority: '10.91.0.2:8080' };
/** The reference's, and ours. */
const PING = `PING ${Buffer.from('3b7cdb7a0b8716b4', 'hex').toString('latin1')}`;

function conversation(number: string): Conversation {
  const found = CONVERSATIONS.find(({ name }) => name.startsWith(`${number}-`));
  assert.ok(found !== undefined);
  return found;
}

const PROTOCOL_ERROR = 1;
const REFUSED_STREAM = 7;
const CANCEL = 8;

const isServers = ({ from }: Step): boolean => from === 'server';
const opensStream = (from: string) => (step: Step) => step.from === from && step.type === 'HEADERS';

/** The recorded server at one end, a pool and its callers at the other. */
class AtPool implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly pool: HbonePool;
  readonly server: FrameServer;
  readonly calls = new Map<number, Promise<HboneStream>>();
  readonly recorders = new Map<number, Recorder>();
  #pings = 0;

  private constructor(server: FrameServer) {
    this.server = server;
    this.pool = new HbonePool({
      clock: this.clock,
      identity: () => CLIENT,
      dial: async () => await server.dial(),
    });
  }

  /** All callers of a conversation ask at once; the recorded ones did before the first answer. */
  static async start(steps: readonly Step[]): Promise<AtPool> {
    const world = new AtPool(await FrameServer.start(SERVER));
    for (const step of steps.filter(opensStream('client'))) {
      const call = world.pool.connect(KEY, {
        authority: fieldOf(step, ':authority'),
        headers: headersOf(withoutPseudo(step.fields ?? [])),
      });
      call.catch(() => undefined);
      world.calls.set(step.stream, call);
    }
    return world;
  }

  async say(step: Step): Promise<void> {
    const peer = await this.server.peer();
    if (step.from === 'server') {
      peer.send(bytesOf(step));
      await this.#hear(step);
    } else if (step.type === 'PING') {
      await this.#ping(peer, step);
    } else if (step.type === 'HEADERS') {
      await peer.heard(wordsOf(step));
    } else if (step.type === 'DATA') {
      speak((await this.call(step.stream)).conn, step);
      await peer.heard(wordsOf(step));
    }
  }

  async call(stream: number): Promise<HboneStream> {
    const call = this.calls.get(stream);
    assert.ok(call !== undefined, `stream ${stream}`);
    return await call;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.pool.destroy();
    await this.server[Symbol.asyncDispose]();
  }

  /** What came is with the caller before anything else happens. */
  async #hear(step: Step): Promise<void> {
    const { stream } = step;
    if (step.type === 'HEADERS' && fieldOf(step, ':status') === '200') {
      const { conn, responseHeaders, peer } = await this.call(stream);
      assert.deepEqual(responseHeaders, headersOf(withoutPseudo(step.fields ?? [])));
      assert.equal(peer.uri, SERVER.identity);
      this.recorders.set(stream, Recorder.on(conn));
    }
    await settle();
  }

  async #ping(peer: FramePeer, step: Step): Promise<void> {
    if (isAck(step)) {
      await peer.heard('PING ack');
      return;
    }
    this.#pings += 1;
    this.clock.advance(KEEP_ALIVE.intervalMs);
    await peer.heard(PING, this.#pings);
  }
}

/** What the callers have in the end. */
async function assertCallersHeard(world: AtPool, steps: readonly Step[]): Promise<void> {
  for (const answer of steps.filter(opensStream('server'))) {
    const { stream } = answer;
    const status = Number(fieldOf(answer, ':status'));
    if (status !== 200) {
      await assert.rejects(world.call(stream), (error) => {
        assert.ok(error instanceof HboneError);
        const { code, side, retryable } = error;
        assert.deepEqual({ code, side, retryable, status: error.status }, refusal(status));
        assert.equal(isPolicyRefusal(error), status === 401);
        return true;
      });
      continue;
    }
    const recorder = world.recorders.get(stream);
    const sent = sentOn(steps, 'server', stream);
    assert.equal(recorder?.text, sent.text, `stream ${stream}`);
    assert.equal(recorder.events.includes('end'), sent.hasEnded, `stream ${stream}`);
    if (sent.hasEnded) {
      assert.equal(await recorder.closed, undefined, `stream ${stream}`);
    }
  }
}

/** What ours says more: a refused CONNECT is open on its side until it ends it, if the server's reset has not come with the answer. */
function endsOfRefused(steps: readonly Step[]): string[] {
  return steps
    .filter((step) => opensStream('server')(step) && endsStream(step))
    .map(({ stream }) => `RST_STREAM ${stream} CANCEL`);
}

function refusal(status: number) {
  return { code: 'HBONE_STATUS', side: 'upstream', retryable: false, status };
}

describe('HbonePool, answered by recorded servers', () => {
  for (const { name, description, steps } of CONVERSATIONS) {
    it(`${name}: ${description}`, async () => {
      await using world = await AtPool.start(steps);
      for (const step of steps) {
        await world.say(step);
      }
      await settle();
      await assertCallersHeard(world, steps);
      const peer = await world.server.peer();
      const said = peer.frames.filter((words) => /^(?:HEADERS|DATA|RST_STREAM) /.test(words));
      assert.deepEqual(said, [...toldBy(steps, 'client'), ...endsOfRefused(steps)]);
      for (const { stream } of steps.filter(opensStream('client'))) {
        assert.equal(peer.textOf(stream), sentOn(steps, 'client', stream).text);
      }
      const { counters } = world.pool;
      assert.equal(counters.dials, 1, 'nothing was asked for twice');
      assert.deepEqual([counters.h2.protocolErrors, counters.h2.streamErrors], [0, 0]);
    });
  }

  for (const number of ['03', '04']) {
    it(`${number}: goes on with the tunnel of a refused CONNECT`, async () => {
      const { steps } = conversation(number);
      await using world = await AtPool.start(steps);
      const at = steps.findIndex(opensStream('server'));
      for (const step of steps.slice(0, at)) {
        await world.say(step);
      }
      const peer = await world.server.peer();
      peer.send(Buffer.concat(steps.slice(at).map(bytesOf)));
      await assert.rejects(world.call(1), { code: 'HBONE_STATUS' });
      const next = world.pool.connect(KEY, TO);
      await peer.heard('HEADERS 3 ');
      assert.ok(!peer.frames.some((words) => words.startsWith('RST_STREAM')), 'it was over');
      peer.send(headers(3, [':status', '200']));
      await next;
      assert.equal(world.pool.counters.dials, 1);
    });
  }

  describe('13, a server that goes', () => {
    const { steps } = conversation('13');
    const at = steps.findIndex(({ type }) => type === 'GOAWAY');
    const goingAway = steps.filter(({ type, from }) => type === 'GOAWAY' && from === 'server');

    async function answerNext(world: AtPool): Promise<void> {
      const second = await world.server.peer(1);
      second.send(settings(), SETTINGS_ACK);
      await second.heard('HEADERS 1 ');
      second.send(headers(1, [':status', '200']));
    }

    it('is asked for nothing more, and callers are served elsewhere', async () => {
      await using world = await AtPool.start(steps);
      for (const step of steps) {
        await world.say(step);
      }
      const next = world.pool.connect(KEY, TO);
      await answerNext(world);
      await next;
      const first = await world.server.peer();
      assert.equal(first.frames.filter((words) => words.startsWith('HEADERS')).length, 1);
    });

    it('is not blamed for a CONNECT that crosses its last word: it is asked again elsewhere', async () => {
      await using world = await AtPool.start(steps);
      for (const step of steps.slice(0, at)) {
        await world.say(step);
      }
      const crossing = world.pool.connect(KEY, TO);
      const first = await world.server.peer();
      await first.heard('HEADERS 3 ');
      first.send(...goingAway.map(bytesOf));
      await answerNext(world);
      await crossing;
      assert.equal(world.pool.counters.streamFailures, 0);
      assert.deepEqual(world.recorders.get(1)?.events, ['data'], 'what was open is');
    });

    it('ends what is open by the end of its connection, which is no clean end', async () => {
      await using world = await AtPool.start(steps);
      for (const step of steps) {
        await world.say(step);
      }
      (await world.server.peer()).end();
      const recorder = world.recorders.get(1);
      const error = await recorder?.closed;
      assert.ok(error instanceof MeshError, String(error));
      assert.deepEqual([error.code, error.side], ['PROXY_PEER_GONE', 'upstream']);
      assert.ok(!recorder?.events.includes('end'));
    });
  });

  it('06: loses nothing of what comes with the answer, before the caller reads', async () => {
    const { steps } = conversation('06');
    await using world = await AtPool.start(steps);
    const peer = await world.server.peer();
    peer.send(Buffer.concat(steps.filter(({ from }) => from === 'server').map(bytesOf)));
    const { conn } = await world.call(1);
    await settle();
    const recorder = Recorder.on(conn);
    await recorder.ended;
    assert.equal(recorder.text, sentOn(steps, 'server', 1).text);
    conn.write(Buffer.from('still talking'));
    conn.end();
    assert.equal(await recorder.closed, undefined);
    await peer.heard('DATA 1 13 end');
    assert.equal(peer.textOf(1), 'still talking');
  });

  describe('01, where the server resets', () => {
    const { steps } = conversation('01');
    const at = steps.findIndex(opensStream('server'));

    it('instead of an answer: PROTOCOL_ERROR is one, and nobody else is asked', async () => {
      await using world = await AtPool.start(steps);
      const peer = await world.server.peer();
      await peer.heard('HEADERS 1 ');
      peer.send(...steps.slice(0, at).filter(isServers).map(bytesOf), reset(1, PROTOCOL_ERROR));
      await assert.rejects(world.call(1), { code: 'HBONE_H2', retryable: false });
      assert.equal(world.pool.counters.dials, 1);
    });

    it('instead of an answer: REFUSED_STREAM is none, and another tunnel is made', async () => {
      await using world = await AtPool.start(steps);
      const peer = await world.server.peer();
      await peer.heard('HEADERS 1 ');
      peer.send(...steps.slice(0, at).filter(isServers).map(bytesOf), reset(1, REFUSED_STREAM));
      const second = await world.server.peer(1);
      await second.heard('HEADERS 1 ');
      second.send(settings(), SETTINGS_ACK, headers(1, [':status', '200']));
      await world.call(1);
      assert.equal(world.pool.counters.streamFailures, 0);
    });

    it('what it had answered: the caller hears of it as of no end', async () => {
      await using world = await AtPool.start(steps);
      for (const step of steps.slice(0, at + 3)) {
        await world.say(step);
      }
      (await world.server.peer()).send(reset(1, CANCEL));
      const recorder = world.recorders.get(1);
      const error = await recorder?.closed;
      assert.ok(error instanceof MeshError, String(error));
      assert.deepEqual([error.code, error.side], ['PROXY_PEER_GONE', 'upstream']);
      assert.ok(!recorder?.events.includes('end'));
    });
  });

  it('14: closes as a client that goes: what is open goes on, until the end of the connection', async () => {
    const { steps } = conversation('14');
    await using world = await AtPool.start(steps);
    const more = steps.findLastIndex(({ from, type }) => from === 'client' && type === 'DATA');
    for (const step of steps.slice(0, more)) {
      await world.say(step);
    }
    world.pool.close();
    await assert.rejects(world.pool.connect(KEY, TO), { code: 'HBONE_CLOSED' });
    for (const step of steps.slice(more)) {
      await world.say(step);
    }
    await assertCallersHeard(world, steps);
    const peer = await world.server.peer();
    world.pool.destroy();
    await eventually(() => peer.isEnded || peer.isClosed);
  });
});
