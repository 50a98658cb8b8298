/** How long a session that has ended waits for its peer to take what is left. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import { connPair } from '@ambit/proxy/testing';
import { FLAG } from '../frames/protocol.ts';
import { data, get, goaway, ping, RawPeer, settled, windowUpdate } from '../testing/raw-peer.ts';
import { ClientSession } from './client-session.ts';
import { MESH_LIMITS } from './limits.ts';
import { ServerSession } from './server-session.ts';
import type { ServerStream } from './server-stream.ts';

/** One write: what leaves of it is seen by the byte. */
const BODY_BYTES = 400_000;
const TAKEN_BYTES = 40_000;
const STEP_MS = 1_500;
/** Beyond what a reader says. */
const MUCH_BYTES = 65_537;
const { closeTimeoutMs, closeLingerMs } = MESH_LIMITS;
const INITIAL_WINDOW = 4;

/** A transport whose peer gets of what was written as much as the test says, as one that reads slowly; a cut drops the rest. */
class HeldConn implements ByteConn {
  readonly remoteAddress = '10.0.0.1';
  readonly remotePort = 40_000;
  readonly localAddress = '10.0.0.2';
  readonly localPort = 15_008;
  readonly #conn: ByteConn;
  #held = Buffer.alloc(0);
  #hasEnded = false;
  isHolding = false;

  constructor(conn: ByteConn) {
    this.#conn = conn;
  }

  get pendingBytes(): number {
    return this.#held.length;
  }

  start(sink: ByteSink): void {
    this.#conn.start(sink);
  }

  write(chunk: Uint8Array): boolean {
    this.#held = Buffer.concat([this.#held, chunk]);
    return this.isHolding ? false : this.take(chunk.length);
  }

  /** The peer takes so much of what is left. */
  take(bytes: number): boolean {
    const taken = Buffer.from(this.#held.subarray(0, bytes));
    this.#held = this.#held.subarray(bytes);
    const takesMore = this.#conn.write(taken);
    this.#endIfEmpty();
    return takesMore;
  }

  end(): void {
    this.#hasEnded = true;
    this.#endIfEmpty();
  }

  #endIfEmpty(): void {
    if (this.#hasEnded && this.#held.length === 0) {
      this.#conn.end();
    }
  }

  pause(): void {
    this.#conn.pause();
  }

  resume(): void {
    this.#conn.resume();
  }

  destroy(reason?: MeshError): void {
    this.#held = Buffer.alloc(0);
    this.#conn.destroy(reason);
  }
}

/** A request whose stream has ended, and of whose answer nothing has been taken. */
async function answered() {
  const [ours, theirs] = connPair();
  const clock = new FakeClock();
  const conn = new HeldConn(ours);
  const closed: (MeshError | undefined)[] = [];
  const streams: ServerStream[] = [];
  const session = new ServerSession({
    transport: conn,
    clock,
    limits: MESH_LIMITS,
    onStream: (stream) => void streams.push(stream),
    onClose: (error) => void closed.push(error),
  });
  const peer = new RawPeer(theirs, 'client');
  peer.greetAsClient([INITIAL_WINDOW, 1 << 20]);
  peer.send(windowUpdate(0, 1 << 20), get(1));
  await settled();
  conn.isHolding = true;
  streams[0]?.respond({ status: 200, fields: [] });
  streams[0]?.write(Buffer.alloc(BODY_BYTES));
  streams[0]?.end();
  await settled();
  assert.equal(session.openStreams, 0);
  return { clock, conn, closed, session, peer };
}

type Answered = Awaited<ReturnType<typeof answered>>;

/** Each ends the session in order. */
const ENDS: Readonly<Record<string, (rig: Answered) => void>> = {
  'a drain': ({ session, peer }) => {
    session.drain();
    peer.send(ping('ambitend', FLAG.ACK));
  },
  'GOAWAY of the peer': ({ peer }) => void peer.send(goaway(0)),
  'the end of the peer': ({ peer }) => peer.end(),
};

describe('Farewell', () => {
  for (const [end, begin] of Object.entries(ENDS)) {
    it(`waits after ${end} for who reads slowly`, async () => {
      const rig = await answered();
      begin(rig);
      await settled();
      for (let n = 0; n < BODY_BYTES / TAKEN_BYTES; n += 1) {
        rig.clock.advance(STEP_MS);
        await settled();
        rig.conn.take(TAKEN_BYTES);
        await settled();
      }
      rig.conn.take(TAKEN_BYTES);
      await settled();
      // It was cut two seconds after the last stream had ended, and all that was left was lost.
      assert.deepEqual([rig.peer.dataBytes, rig.peer.isEnded], [BODY_BYTES, true]);
      assert.equal(rig.closed.length, 1);
    });

    it(`does not wait after ${end} for who takes nothing`, async () => {
      const rig = await answered();
      begin(rig);
      await settled();
      rig.clock.advance(closeTimeoutMs - 1);
      await settled();
      assert.equal(rig.closed.length, 0);
      rig.clock.advance(1);
      await settled();
      assert.equal(rig.closed.length, 1);
    });
  }

  it('cuts who stops taking', async () => {
    const rig = await answered();
    rig.peer.send(goaway(0));
    await settled();
    for (let n = 0; n < 4; n += 1) {
      rig.conn.take(TAKEN_BYTES);
      rig.clock.advance(STEP_MS);
      await settled();
    }
    assert.equal(rig.closed.length, 0);
    rig.clock.advance(closeTimeoutMs);
    await settled();
    assert.equal(rig.closed.length, 1);
    assert.ok(rig.peer.dataBytes < BODY_BYTES, 'something was left');
  });

  it('waits for who says that it reads, whatever the kernel holds', async () => {
    const rig = await answered();
    rig.peer.send(goaway(0));
    await settled();
    rig.conn.take(TAKEN_BYTES);
    for (let n = 0; n < 6; n += 1) {
      rig.peer.send(windowUpdate(0, 1));
      await settled();
      rig.clock.advance(STEP_MS);
      await settled();
    }
    assert.equal(rig.closed.length, 0);
    rig.conn.take(2 * BODY_BYTES);
    await settled();
    assert.deepEqual([rig.peer.dataBytes, rig.peer.isEnded], [BODY_BYTES, true]);
  });

  it('does not listen to who sends much', async () => {
    const rig = await answered();
    rig.peer.send(goaway(0));
    await settled();
    for (let n = 0; n < 4; n += 1) {
      assert.equal(rig.closed.length, 0);
      rig.peer.send(Buffer.alloc(MUCH_BYTES));
      await settled();
      rig.clock.advance(closeTimeoutMs / 4);
      await settled();
    }
    assert.equal(rig.closed.length, 1);
  });

  for (const [who, move] of [
    ['takes little by little', ({ conn }: Answered) => void conn.take(1)],
    ['takes nothing and speaks', ({ peer }: Answered) => void peer.send(ping())],
  ] as const) {
    it(`cuts at last who ${who}`, async () => {
      const rig = await answered();
      rig.peer.send(goaway(0));
      await settled();
      for (let ms = 1_000; ms < closeLingerMs; ms += 1_000) {
        move(rig);
        await settled();
        rig.clock.advance(1_000);
        await settled();
      }
      assert.equal(rig.closed.length, 0);
      move(rig);
      await settled();
      rig.clock.advance(1_000);
      await settled();
      assert.equal(rig.closed.length, 1);
    });
  }

  it('is short with who broke the protocol, whatever it takes and says', async () => {
    const rig = await answered();
    // Of no stream.
    rig.peer.send(data(0, 'x'));
    for (let n = 0; n < 2; n += 1) {
      assert.equal(rig.closed.length, 0);
      await settled();
      rig.conn.take(TAKEN_BYTES);
      rig.peer.send(ping());
      await settled();
      rig.clock.advance(closeTimeoutMs / 2);
      await settled();
    }
    assert.equal(rig.closed[0]?.code, 'H2_PROTOCOL');
  });

  it('lets what was sent before leave, after an end at once', async () => {
    const [ours, theirs] = connPair();
    const clock = new FakeClock();
    const conn = new HeldConn(ours);
    const client = new ClientSession({ transport: conn, clock, limits: MESH_LIMITS });
    const peer = new RawPeer(theirs, 'server');
    peer.greetAsServer([INITIAL_WINDOW, 1 << 20]);
    peer.send(windowUpdate(0, 1 << 20));
    await settled();
    conn.isHolding = true;
    const stream = client.request(
      { method: 'POST', scheme: 'http', authority: 'a', path: '/', fields: [] },
      { onResponse: () => undefined, onNoResponse: () => undefined },
    );
    stream.write(Buffer.alloc(BODY_BYTES));
    await settled();
    client.end();
    for (let n = 0; n <= BODY_BYTES / TAKEN_BYTES; n += 1) {
      await settled();
      clock.advance(STEP_MS);
      await settled();
      conn.take(TAKEN_BYTES);
    }
    await settled();
    assert.deepEqual([peer.dataBytes, peer.isEnded], [BODY_BYTES, true]);
  });
});
