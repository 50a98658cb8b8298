/** An endpoint leaves while a tunnel to it is made: never a tunnel to an endpoint that left, however far the way there was. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import { HbonePool } from './pool.ts';
import { HboneServer } from './server.ts';
import { eventually, settle } from './testing/index.ts';
import type { TlsIdentity } from './tls.ts';
import type { TunnelKey } from './tunnel-key.ts';

const CA = new TestCa();
const SERVER = CA.workload('shop', 'reviews');
const CLIENT = CA.workload('shop', 'productpage');
const TO = { authority: '10.0.0.7:80' };
const LEFT = { code: 'HBONE_ENDPOINT_LEFT', side: 'upstream', retryable: true };
const STREAMS_A_TUNNEL = 100;

const KEY: TunnelKey = {
  sourceIdentity: CLIENT.identity,
  expectedIdentities: [SERVER.identity],
  address: '10.0.0.7',
  port: 15008,
  sourcePod: 'pod',
  endpoint: 'leaves',
};
const isLeaving = ({ endpoint }: TunnelKey): boolean => endpoint === 'leaves';

/** Passes, until it is shut: then whoever comes is held, until it is opened. */
class Gate {
  #open = Promise.withResolvers<void>();
  held = 0;

  constructor() {
    this.#open.resolve();
  }

  shut(): void {
    this.#open = Promise.withResolvers();
  }

  open(): void {
    this.#open.resolve();
  }

  async pass(): Promise<void> {
    this.held += 1;
    await this.#open.promise;
    this.held -= 1;
  }
}

/** A server and a pool; each step of the way between them can be held. */
class Way implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly gates = {
    certificate: new Gate(),
    dial: new Gate(),
    /** The peer reads nothing before. */
    handshake: new Gate(),
  };
  readonly pool: HbonePool;
  /** Of CONNECTs that came. */
  readonly asked: string[] = [];
  readonly #accepted: Socket[] = [];
  readonly #server = new HboneServer({
    clock: this.clock,
    identity: () => SERVER,
    onConnect: ({ authority }) => {
      this.asked.push(authority);
      return { status: 200, serve: () => undefined };
    },
  });
  readonly #listener = createServer({ allowHalfOpen: true }, (socket) => {
    this.#accepted.push(socket);
    socket.on('error', () => undefined);
    void this.gates.handshake.pass().then(() => this.#server.accept(socket));
  });

  constructor() {
    this.pool = new HbonePool({
      clock: this.clock,
      identity: async () => await this.#certificate(),
      dial: async (_key, signal) => await this.#dial(signal),
    });
  }

  static async start(): Promise<Way> {
    const way = new Way();
    way.#listener.listen(0, '127.0.0.1');
    await once(way.#listener, 'listening');
    return way;
  }

  /** Connections that the peer has and that are not closed. */
  get openSockets(): number {
    return this.#accepted.filter(({ destroyed }) => !destroyed).length;
  }

  /** Whether the pool keeps anything of a key. */
  get keepsSlots(): boolean {
    let slots = 0;
    this.pool.retire(() => {
      slots += 1;
      return false;
    });
    return slots > 0;
  }

  openGates(): void {
    for (const gate of Object.values(this.gates)) {
      gate.open();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.openGates();
    this.pool.destroy();
    this.#server.destroy();
    for (const socket of this.#accepted) {
      socket.destroy();
    }
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  async #certificate(): Promise<TlsIdentity> {
    await this.gates.certificate.pass();
    return CLIENT;
  }

  /** Heeds no signal: what connects late is what is tested. */
  async #dial(_signal: AbortSignal): Promise<Socket> {
    await this.gates.dial.pass();
    const address = this.#listener.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    await once(socket, 'connect');
    return socket;
  }
}

describe('an endpoint that leaves', () => {
  for (const step of ['certificate', 'dial', 'handshake'] as const) {
    it(`gets no tunnel that waited for the ${step}`, async () => {
      await using way = await Way.start();
      const { pool, gates } = way;
      gates[step].shut();
      const callers = [1, 2, 3].map(async () => await pool.connect(KEY, TO));
      const told = callers.map(async (caller) => await assert.rejects(caller, LEFT));
      await eventually(() => gates[step].held > 0);
      pool.retire(isLeaving);
      gates[step].open();
      await Promise.all(told);
      await eventually(() => way.openSockets === 0);
      assert.deepEqual(way.asked, []);
      assert.equal(pool.size, 0);
      assert.equal(way.keepsSlots, false);
    });

    it(`leaves others alone that wait for the ${step}, and those who ask when it is back`, async () => {
      await using way = await Way.start();
      const { pool, gates } = way;
      gates[step].shut();
      const told = assert.rejects(pool.connect(KEY, TO), LEFT);
      const other = pool.connect({ ...KEY, endpoint: 'stays' }, TO);
      await eventually(() => gates[step].held === 2);
      pool.retire(isLeaving);
      const back = pool.connect(KEY, TO);
      gates[step].open();
      await Promise.all([told, other, back]);
      assert.equal(way.asked.length, 2);
      assert.equal(pool.isAway(KEY), false);
    });
  }

  it('is told of at once, whatever becomes of the dial', async () => {
    await using way = await Way.start();
    const { pool, gates } = way;
    gates.dial.shut();
    const told = assert.rejects(pool.connect(KEY, TO), LEFT);
    await eventually(() => gates.dial.held > 0);
    pool.retire(isLeaving);
    await told;
    assert.equal(gates.dial.held, 1);
  });

  it('is dialled no more where its turn was waited for', async () => {
    await using way = await Way.start();
    let dials = 0;
    const pool = new HbonePool({
      clock: way.clock,
      identity: () => CLIENT,
      dial: async () => {
        dials += 1;
        throw Object.assign(new Error('refused'), { code: 'ECONNREFUSED' });
      },
    });
    await assert.rejects(pool.connect(KEY, TO), { code: 'PROXY_REFUSED' });
    const told = assert.rejects(pool.connect(KEY, TO), LEFT);
    await settle();
    pool.retire(isLeaving);
    await told;
    way.clock.advance(500);
    await settle();
    assert.equal(dials, 1);
  });

  it('gets no second tunnel for those whom the first did not take', async () => {
    await using way = await Way.start();
    const { pool, gates } = way;
    gates.dial.shut();
    const callers = Array.from(
      { length: STREAMS_A_TUNNEL + 1 },
      async () => await pool.connect(KEY, TO),
    );
    const results = Promise.allSettled(callers);
    await eventually(() => gates.dial.held === 1);
    gates.dial.open();
    gates.dial.shut();
    await eventually(() => pool.counters.dials === 2 && pool.counters.streams === STREAMS_A_TUNNEL);
    pool.retire(isLeaving);
    gates.dial.open();
    const refused = (await results).flatMap((one) => (one.status === 'rejected' ? [one] : []));
    assert.equal(refused.length, 1);
    assert.equal(way.asked.length, STREAMS_A_TUNNEL);
  });

  it('keeps what was open there', async () => {
    await using way = await Way.start();
    const { pool, gates } = way;
    const { conn } = await pool.connect(KEY, TO);
    const recorder = Recorder.on(conn);
    gates.dial.shut();
    pool.retire(isLeaving);
    await settle();
    assert.deepEqual(recorder.events, []);
    assert.equal(pool.size, 1);
  });
});
