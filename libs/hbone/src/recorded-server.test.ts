/**
 * Replays, over TLS, what clients of the reference said, to `HboneServer`. Its handlers do what the agent and the applications of the
 * recording did, and must be asked what those were; what the server says is what was recorded, in words and in its order.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { ping } from '@ambit/h2/testing';
import type { ByteConn } from '@ambit/proxy';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import type { ConnectAnswer, ConnectRequest } from './server-session.ts';
import { headersOf, KEEP_ALIVE } from './session.ts';
import {
  bytesOf,
  CONVERSATIONS,
  FramePeer,
  fieldOf,
  isAck,
  PREFACE,
  type Step,
  sentOn,
  settle,
  speak,
  TunnelRig,
  toldBy,
  withoutPseudo,
  wordsOf,
} from './testing/index.ts';

const CA = new TestCa();
const SERVER = CA.workload('default', 'server');
const CLIENT = CA.workload('default', 'client');
/** The reference's, and ours. */
const PING = `PING ${Buffer.from('3b7cdb7a0b8716b4', 'hex').toString('latin1')}`;
const PING_ACK = 1;

const opensStream = (from: string) => (step: Step) => step.from === from && step.type === 'HEADERS';

/** The recorded client at one end, a server and its handlers at the other. */
class AtServer implements AsyncDisposable {
  readonly clock: FakeClock;
  readonly rig: TunnelRig;
  readonly peer: FramePeer;
  readonly requests: ConnectRequest[] = [];
  readonly conns = new Map<number, ByteConn>();
  readonly recorders = new Map<number, Recorder>();
  #drained: Promise<void> | undefined;

  private constructor(clock: FakeClock, rig: TunnelRig, peer: FramePeer) {
    this.clock = clock;
    this.rig = rig;
    this.peer = peer;
  }

  static async start(steps: readonly Step[]): Promise<AtServer> {
    const clock = new FakeClock();
    const opened = steps.filter(opensStream('client')).map(({ stream }) => stream);
    const rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      clock,
      onConnect: (request) => {
        world.requests.push(request);
        const stream = opened[world.requests.length - 1] ?? 0;
        const step = steps.find((one) => opensStream('server')(one) && one.stream === stream);
        return world.#answer(stream, step);
      },
    });
    const world = new AtServer(clock, rig, await FramePeer.connect(rig.port, CLIENT));
    world.peer.send(PREFACE);
    return world;
  }

  async say(step: Step): Promise<void> {
    const { type, stream, from } = step;
    if (from === 'client') {
      // The payload of the PING that goes with a GOAWAY is everybody's own.
      const isOfDrain = type === 'PING' && isAck(step) && this.#drained !== undefined;
      this.peer.send(isOfDrain ? ping('ambitend', PING_ACK) : bytesOf(step));
      await settle();
    } else if (type === 'DATA') {
      const conn = this.conns.get(stream);
      assert.ok(conn !== undefined, `stream ${stream}`);
      speak(conn, step);
      await this.peer.heard(wordsOf(step));
    } else if (type === 'HEADERS' || type === 'RST_STREAM') {
      await this.peer.heard(wordsOf(step));
    } else if (type === 'GOAWAY') {
      this.#drained ??= this.rig.server.drain();
      await this.peer.heard('GOAWAY');
    } else if (type === 'PING' && !isAck(step) && this.#drained === undefined) {
      this.clock.advance(KEEP_ALIVE.intervalMs);
      await this.peer.heard(PING);
    }
  }

  #answer(stream: number, step: Step | undefined): ConnectAnswer {
    assert.ok(step !== undefined);
    const status = Number(fieldOf(step, ':status'));
    if (status === 401 || status === 503) {
      return { status, reason: 'recorded' };
    }
    assert.equal(status, 200);
    return {
      status,
      headers: headersOf(withoutPseudo(step.fields ?? [])),
      serve: (conn) => {
        this.conns.set(stream, conn);
        this.recorders.set(stream, Recorder.on(conn));
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.peer.destroy();
    await this.rig[Symbol.asyncDispose]();
  }
}

describe('HboneServer, asked by recorded clients', () => {
  for (const { name, description, steps } of CONVERSATIONS) {
    it(`${name}: ${description}`, async () => {
      await using world = await AtServer.start(steps);
      for (const step of steps) {
        await world.say(step);
      }
      await settle();
      const asked = steps.filter(opensStream('client'));
      assert.deepEqual(
        world.requests.map(({ authority, headers: fields, peer }) => [authority, fields, peer.uri]),
        asked.map((step) => [
          fieldOf(step, ':authority'),
          headersOf(withoutPseudo(step.fields ?? [])),
          CLIENT.identity,
        ]),
      );
      const said = world.peer.frames.filter((one) => /^(?:HEADERS|DATA|RST_STREAM) /.test(one));
      assert.deepEqual(said, toldBy(steps, 'server'));
      for (const [stream, { text, events }] of world.recorders) {
        const sent = sentOn(steps, 'client', stream);
        assert.equal(text, sent.text, `stream ${stream}`);
        assert.equal(events.includes('end'), sent.hasEnded, `stream ${stream}`);
        assert.equal(world.peer.textOf(stream), sentOn(steps, 'server', stream).text);
      }
      const { h2 } = world.rig.server.counters;
      assert.deepEqual([h2.protocolErrors, h2.streamErrors], [0, 0]);
      assert.equal(asked.length, world.requests.length);
    });
  }
});
