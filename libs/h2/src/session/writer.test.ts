import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connPair } from '@ambit/proxy/testing';
import { settled } from '../testing/raw-peer.ts';
import type { Sender } from './turns.ts';
import { Writer } from './writer.ts';

class FakeStream implements Sender {
  isQueued = false;
  isClosed = false;
  readonly isStarved = false;
  readonly isDrained = false;
  pendingBytes = 10;

  get canSend(): boolean {
    return !this.isClosed && this.pendingBytes > 0;
  }

  fill(_out: unknown, bytesMax: number): number {
    const sent = Math.min(bytesMax, this.pendingBytes);
    this.pendingBytes -= sent;
    return sent;
  }

  drained(): void {}
}

function newWriter(): Writer {
  const [transport] = connPair();
  return new Writer({
    transport,
    backlogBytesMax: 1_000,
    repliesMax: 10,
    onStall: () => undefined,
    onReadPause: () => undefined,
    onSent: () => undefined,
    guard: (work) => work(),
  });
}

describe('Writer', () => {
  it('forgets streams that end while they wait for the window of the connection', async () => {
    const writer = newWriter();
    const large = new FakeStream();
    large.pendingBytes = 65_535;
    writer.enqueue(large);
    await settled(4);
    assert.equal(large.pendingBytes, 0, 'the window is used up');
    const kept = [new FakeStream(), new FakeStream()];
    for (const stream of kept) {
      writer.enqueue(stream);
    }
    for (let n = 0; n < 20_000; n += 1) {
      const stream = new FakeStream();
      writer.enqueue(stream);
      if (n % 10 === 0) {
        await settled(1);
      }
      stream.isClosed = true;
    }
    await settled(2);
    assert.ok(writer.queued < 600, `${writer.queued} are kept`);
    writer.openWindow(1_000_000);
    await settled(4);
    assert.deepEqual([writer.queued, ...kept.map((stream) => stream.pendingBytes)], [0, 0, 0]);
  });

  it('says when too many answers wait', () => {
    const writer = newWriter();
    const taken = Array.from({ length: 12 }, () => writer.scheduleReply());
    assert.deepEqual(taken.slice(8), [true, true, false, false]);
  });

  it('knows when a window is too large', () => {
    const writer = newWriter();
    assert.equal(writer.openWindow(2 ** 31 - 1 - 65_535), true);
    assert.equal(writer.openWindow(1), false);
  });
});
