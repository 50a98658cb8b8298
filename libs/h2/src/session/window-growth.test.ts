/** Windows of several sessions, which grow and shrink together. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Recorder } from '@ambit/proxy/testing';
import fc from 'fast-check';
import { data, post, type RawPeer, reset, settled } from '../testing/raw-peer.ts';
import { serverRig } from '../testing/sessions.ts';
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

describe('windows of all sessions', () => {
  it('grow by no more than they may together, and others have some left', async () => {
    const growth = new WindowGrowth(2 * MIB);
    const sessions = await Promise.all([1, 2, 3, 4].map(async () => await reading(growth)));
    for (const { sender, begin } of sessions) {
      for (const id of [3, 5, 7]) {
        await begin(id);
      }
      for (const id of [1, 3, 5, 7]) {
        for (let block = 0; block < 200; block += 1) {
          assert.ok(await sender.send(id), `stream ${id} waits, though it is read`);
        }
      }
    }
    assert.ok(growth.bytes <= growth.max, `${growth.bytes} bytes`);
    assert.ok(growth.bytes > growth.max / 2, `${growth.bytes} bytes`);
    assert.ok(growth.refused > 0);
    const first = await sessions[0]?.sender.open(1);
    assert.ok(first !== undefined && first <= growth.max / 4, `${first} bytes`);
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
