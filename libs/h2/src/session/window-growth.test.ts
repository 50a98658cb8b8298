/** Windows of several sessions, which grow and shrink together. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isCollected } from '@ambit/core/testing';
import { Recorder } from '@ambit/proxy/testing';
import fc from 'fast-check';
import { FLAG } from '../frames/protocol.ts';
import { data, post, type RawPeer, reset, settled } from '../testing/raw-peer.ts';
import { serverRig } from '../testing/sessions.ts';
import type { ServerStream } from './server-stream.ts';
import { WindowGrowth } from './window-growth.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const BLOCK = new Uint8Array(16_384);
const FIRST_WINDOW = 65_535;

/** A peer that sends on streams as their windows allow. */
class Sender {
  readonly #peer: RawPeer;
  readonly #open = new Map<number, number>();
  #seen = 0;

  constructor(peer: RawPeer) {
    this.#peer = peer;
  }

  async begin(id: number): Promise<void> {
    this.#peer.send(post(id));
    this.#open.set(id, FIRST_WINDOW);
    await settled();
  }

  /** What the stream may send now. */
  async open(id: number): Promise<number> {
    await settled(8);
    for (const text of this.#peer.frames.slice(this.#seen)) {
      const [, of, increment] = /^WINDOW_UPDATE ([1-9]\d*) (\d+)/.exec(text) ?? [];
      assert.notEqual(increment, '0');
      if (of !== undefined) {
        this.#open.set(Number(of), (this.#open.get(Number(of)) ?? 0) + Number(increment));
      }
    }
    this.#seen = this.#peer.frames.length;
    return this.#open.get(id) ?? 0;
  }

  /** One block; false: the window is too small for it. */
  async send(id: number): Promise<boolean> {
    const open = await this.open(id);
    if (open < BLOCK.length) {
      return false;
    }
    this.#peer.send(data(id, BLOCK));
    this.#open.set(id, open - BLOCK.length);
    return true;
  }
}

async function reading(growth: WindowGrowth) {
  const rig = serverRig({ growth });
  rig.peer.greetAsClient();
  const sender = new Sender(rig.peer);
  const begin = async (id: number): Promise<void> => {
    await sender.begin(id);
    rig.streams.at(-1)?.start(new Recorder());
  };
  await begin(1);
  return { ...rig, sender, begin };
}

/** Its reader stops, its window is filled, and both ends have ended. Answers what is held. */
async function endedUnread(of: {
  readonly peer: RawPeer;
  readonly sender: Sender;
  readonly stream: ServerStream | undefined;
}): Promise<number> {
  const { peer, sender, stream } = of;
  for (let block = 0; block < 200; block += 1) {
    await sender.send(1);
  }
  stream?.respond({ status: 200, fields: [] });
  stream?.end();
  stream?.pause();
  let heldBytes = 0;
  while (await sender.send(1)) {
    heldBytes += BLOCK.length;
  }
  peer.send(data(1, 'x', FLAG.END_STREAM));
  await settled();
  return heldBytes + 1;
}

describe('windows of all sessions', () => {
  it('grow by no more than they may together, and each session can', async () => {
    const growth = new WindowGrowth(2 * MIB);
    const grown: number[] = [];
    for (let session = 0; session < 4; session += 1) {
      const before = growth.bytes;
      const { sender, begin } = await reading(growth);
      for (const id of [1, 3, 5, 7]) {
        if (id > 1) {
          await begin(id);
        }
        for (let block = 0; block < 200; block += 1) {
          assert.ok(await sender.send(id), `stream ${id} waits, though it is read`);
        }
      }
      grown.push(growth.bytes - before);
    }
    assert.ok(
      grown.every((bytes) => bytes > 0),
      grown.join(),
    );
    assert.ok(growth.bytes <= growth.max, `${growth.bytes} bytes`);
    assert.ok(growth.refused > 0);
  });

  it('leave some to small ones, however many large ones are idle', async () => {
    const growth = new WindowGrowth(16 * MIB);
    for (let session = 0; session < 4; session += 1) {
      const { sender, begin } = await reading(growth);
      for (let id = 1; id < 40; id += 2) {
        if (id > 1) {
          await begin(id);
        }
        for (let block = 0; block < 60; block += 1) {
          await sender.send(id);
        }
      }
    }
    const { sender } = await reading(growth);
    for (let block = 0; block < 60; block += 1) {
      await sender.send(1);
    }
    const open = await sender.open(1);
    assert.ok(open > 2 * FIRST_WINDOW, `${open} bytes`);
  });

  it('give back what they grew by when their stream or their session is over', async () => {
    const growth = new WindowGrowth(64 * MIB);
    const { peer, sender, begin, session } = await reading(growth);
    await begin(3);
    for (const id of [1, 3]) {
      for (let block = 0; block < 50; block += 1) {
        await sender.send(id);
      }
    }
    const both = growth.bytes;
    peer.send(reset(1));
    await settled();
    assert.equal(growth.bytes, both / 2);
    session.destroy();
    await settled();
    assert.equal(growth.bytes, 0);
  });

  it('count no more when nothing can come any more and all was read', async () => {
    const growth = new WindowGrowth(64 * MIB);
    const { peer, sender, streams } = await reading(growth);
    for (let block = 0; block < 100; block += 1) {
      await sender.send(1);
    }
    assert.ok(growth.bytes > 0);
    peer.send(data(1, BLOCK, FLAG.END_STREAM));
    await settled();
    assert.deepEqual([growth.bytes, streams[0]?.isClosed], [0, false]);
  });

  for (const [name, end, isGone] of [
    ['read', (stream: ServerStream) => stream.resume(), true],
    ['destroyed', (stream: ServerStream) => stream.destroy(), true],
    ['left alone', () => undefined, false],
  ] as const) {
    it(`count what is held of a stream that is over until it is ${name}`, async () => {
      const growth = new WindowGrowth(64 * MIB);
      const { peer, sender, streams } = await reading(growth);
      const heldBytes = await endedUnread({ peer, sender, stream: streams[0] });
      assert.equal(streams[0]?.isClosed, true);
      assert.ok(growth.bytes > heldBytes / 2 && growth.bytes <= heldBytes, `${growth.bytes} bytes`);
      if (streams[0] !== undefined) {
        end(streams[0]);
      }
      await settled();
      assert.equal(growth.bytes === 0, isGone);
    });
  }

  it('count what is held of a stream that nobody knows any more until it is collected', async () => {
    const growth = new WindowGrowth(64 * MIB);
    const { peer, sender, streams, session } = await reading(growth);
    await endedUnread({ peer, sender, stream: streams[0] });
    assert.ok(growth.bytes > 0);
    const stream = new WeakRef(streams.splice(0)[0] ?? {});
    assert.equal(await isCollected(stream), true);
    await new Promise(setImmediate);
    assert.equal(growth.bytes, 0);
    session.destroy();
  });

  it('shrink, for the others, when half of them lasts long', async () => {
    const growth = new WindowGrowth(64 * MIB);
    const { clock, sender } = await reading(growth);
    for (let block = 0; block < 200; block += 1) {
      await sender.send(1);
    }
    const grown = growth.bytes;
    assert.ok(grown > 500 * KIB, `${grown} bytes`);
    for (let block = 0; block < 400 && growth.bytes > 0; block += 1) {
      assert.ok(await sender.send(1));
      clock.advance(300);
    }
    assert.equal(growth.bytes, 0);
    const open = await sender.open(1);
    assert.ok(open > FIRST_WINDOW / 4 && open <= FIRST_WINDOW, `${open} bytes`);
  });

  it('never allow more than they are, nor stop a sender that is read', async () => {
    const step = fc.record({ ms: fc.nat(1_500), blocks: fc.integer({ min: 1, max: 60 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const growth = new WindowGrowth(3 * MIB);
        const { clock, sender } = await reading(growth);
        for (const { ms, blocks } of steps) {
          clock.advance(ms);
          for (let block = 0; block < blocks; block += 1) {
            assert.ok(await sender.send(1));
          }
          assert.ok((await sender.open(1)) <= FIRST_WINDOW + growth.bytes);
          assert.ok(growth.bytes >= 0 && growth.bytes <= growth.max);
        }
      }),
      { numRuns: 30 },
    );
  });
});
