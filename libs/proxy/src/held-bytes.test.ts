/**
 * Each connection may hold half a megabyte for a receiver that does not read, at each of several places: one or two thousand of them are
 * more than an agent of 1 GiB has, and it is all connections of its node that end with it. What all hold together has a bound.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';

import type { ByteConn, ByteSink } from './conn.ts';
import { copyBoth } from './copy.ts';
import { HeldBytes } from './held-bytes.ts';

const KIB = 1024;
const READ_BYTES = 64 * KIB;
const ALONE_BYTES = 512 * KIB;
const FLOOR_BYTES = 16 * KIB;

/** A connection that reads as long as it is let, and writes what is taken from it. */
class Conn implements ByteConn {
  readonly remoteAddress = '';
  readonly remotePort = 0;
  readonly localAddress = '';
  readonly localPort = 0;
  sink: ByteSink | undefined;
  isPaused = false;
  heldBytes = 0;
  taken = 0;
  #needsDrain = false;

  start(sink: ByteSink): void {
    this.sink = sink;
  }

  write(chunk: Uint8Array): boolean {
    this.heldBytes += chunk.length;
    this.#needsDrain ||= this.heldBytes >= ALONE_BYTES;
    return !this.#needsDrain;
  }

  take(bytes = this.heldBytes): void {
    this.heldBytes -= bytes;
    this.taken += bytes;
    if (this.#needsDrain && this.heldBytes * 4 <= ALONE_BYTES) {
      this.#needsDrain = false;
      this.sink?.onDrain();
    }
  }

  /** Whether it was read. */
  receive(): boolean {
    if (this.isPaused) {
      return false;
    }
    this.sink?.onData(Buffer.alloc(READ_BYTES));
    return true;
  }

  pause(): void {
    this.isPaused = true;
  }

  resume(): void {
    this.isPaused = false;
  }

  end(): void {}

  destroy(): void {
    this.heldBytes = 0;
    this.sink?.onClose();
  }
}

function bed(max: number) {
  const clock = new FakeClock();
  const soon: (() => void)[] = [];
  const held = new HeldBytes({ clock, max, soon: (work) => void soon.push(work) });
  /** What is under way has left. */
  const turns = (): void => {
    for (const work of soon.splice(0)) {
      work();
    }
  };
  const copy = () => {
    const [from, to] = [new Conn(), new Conn()];
    copyBoth(from, to, { onDone: () => undefined }, { clock, held });
    return { from, to };
  };
  const pass = async (ms: number): Promise<void> => {
    for (let passed = 0; passed < ms; passed += 20) {
      clock.advance(20);
      await new Promise(setImmediate);
    }
  };
  /** Receivers that do not read. */
  const stalled = (count: number) => {
    const all = Array.from({ length: count }, copy);
    for (const { from } of all) {
      while (from.receive());
    }
    return all;
  };
  return { clock, held, copy, pass, stalled, turns };
}

describe('HeldBytes', () => {
  for (const [name, count] of [
    ['few', 10],
    ['many', 100],
    ['very many', 1_000],
  ] as const) {
    it(`holds no more than its bound, and a read of each, for ${name} that do not read`, () => {
      const max = 16 * ALONE_BYTES;
      const { held, stalled } = bed(max);
      const all = stalled(count);
      const sum = all.reduce((bytes, { to }) => bytes + to.heldBytes, 0);
      assert.equal(held.bytes, sum);
      assert.ok(sum <= max + count * (READ_BYTES + FLOOR_BYTES), `${sum}`);
      assert.ok(sum >= Math.min(max / 2, count * ALONE_BYTES), `${sum}`);
    });
  }

  it('leaves each connection what it has alone, while there is room', () => {
    const { held, stalled } = bed(64 * ALONE_BYTES);
    const all = stalled(8);
    assert.ok(all.every(({ to }) => to.heldBytes === ALONE_BYTES));
    assert.equal(held.waits, 0);
  });

  it('keeps those going whose receivers read, and loses nothing', async () => {
    const { held, copy, pass, stalled } = bed(4 * ALONE_BYTES);
    const others = stalled(200);
    assert.ok(held.waits > 0);
    const { from, to } = copy();
    let sent = 0;
    for (let turn = 0; turn < 100; turn += 1) {
      sent += from.receive() ? READ_BYTES : 0;
      to.take();
      await pass(20);
    }
    assert.equal(to.taken, sent);
    assert.ok(sent >= 50 * READ_BYTES, `${sent}`);
    // And those go on that begin to read.
    for (const { to: late } of others) late.take();
    await pass(1_300);
    assert.ok(others.every((one) => one.from.receive()));
  });

  it('holds nobody up for what is only on its way, however much others hold', () => {
    const { held, copy, stalled, turns } = bed(4 * ALONE_BYTES);
    stalled(200);
    const { from, to } = copy();
    for (let chunk = 0; chunk < 100; chunk += 1) {
      assert.ok(from.receive(), `chunk ${chunk}`);
      assert.equal(from.isPaused, true);
      to.take();
      turns();
    }
    assert.equal(to.taken, 100 * READ_BYTES);
    assert.ok(held.waits >= 100);
  });

  it('goes on with who writes although it should wait, and may', async () => {
    const { copy, pass } = bed(0);
    const { from, to } = copy();
    assert.ok(from.receive());
    assert.equal(from.isPaused, true);
    to.take();
    // What was read before the pause comes behind it, and is taken at once.
    to.write = () => true;
    from.sink?.onData(Buffer.alloc(1));
    await pass(700);
    assert.equal(from.isPaused, false);
  });

  it('wakes seldom for receivers that never read', async (test) => {
    const { clock, stalled, pass } = bed(ALONE_BYTES);
    const sleep = test.mock.method(clock, 'sleep');
    stalled(3);
    await pass(10_000);
    sleep.mock.resetCalls();
    await pass(64_000);
    assert.ok(sleep.mock.callCount() <= 100, `${sleep.mock.callCount()}`);
    // And at once for one that comes then.
    const [late] = stalled(1);
    late?.to.take();
    await pass(60);
    assert.equal(late?.from.isPaused, false);
  });

  it('ends the one whose receiver throws, and no other', async () => {
    const { copy, pass } = bed(0);
    const [bad, good] = [copy(), copy()];
    for (const { from } of [bad, good]) {
      from.receive();
    }
    bad.from.resume = () => {
      throw new Error('a defect');
    };
    let closed = 0;
    bad.from.destroy = () => {
      closed += 1;
    };
    bad.to.take();
    good.to.take();
    await pass(60);
    assert.equal(closed, 1);
    assert.equal(good.from.isPaused, false);
  });

  it('waits for a receiver that takes a little until it has taken enough', async () => {
    const { copy, pass } = bed(0);
    const { from, to } = copy();
    assert.ok(from.receive());
    assert.equal(from.receive(), false);
    to.take(READ_BYTES - FLOOR_BYTES - 1);
    await pass(1_300);
    assert.equal(from.receive(), false);
    to.take(1);
    await pass(660);
    assert.equal(from.receive(), true);
  });

  it('forgets what connections held that are over', async () => {
    const { held, stalled, pass } = bed(4 * ALONE_BYTES);
    for (const { from, to } of stalled(50)) {
      to.destroy();
      from.destroy();
    }
    assert.equal(held.bytes, 0);
    await pass(40);
    assert.equal(held.bytes, 0);
  });

  it('counts no little, neither before a direction held much nor after', async () => {
    const { held, copy, pass } = bed(64 * ALONE_BYTES);
    const { from, to } = copy();
    const little = (): number => {
      from.sink?.onData(Buffer.alloc(KIB));
      return held.bytes;
    };
    assert.equal(little(), 0);
    assert.ok(from.receive());
    assert.equal(held.bytes, READ_BYTES + KIB);
    to.take();
    await pass(700);
    assert.equal(little(), 0);
  });

  it('counts nothing without a bound', () => {
    const { held, stalled } = bed(Number.POSITIVE_INFINITY);
    const all = stalled(50);
    assert.ok(all.every(({ to }) => to.heldBytes === ALONE_BYTES));
    assert.deepEqual([held.bytes, held.waits], [0, 0]);
  });
});
