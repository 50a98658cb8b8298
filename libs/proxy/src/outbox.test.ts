import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { describe, it } from 'node:test';

import { heldBytes } from '@ambit/core/fuzzing';
import { Outbox } from './outbox.ts';

/** Takes one call at a time, when it is told to. */
class SlowWritable extends Writable {
  readonly calls: string[] = [];
  #done: (() => void)[] = [];

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this.calls.push(chunks.map(({ chunk }) => chunk.toString()).join(''));
    this.#done.push(done);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this._writev([{ chunk }], done);
  }

  proceed(): void {
    this.#done.shift()?.();
  }
}

const turn = async (): Promise<void> => {
  await new Promise(setImmediate);
};

describe('Outbox', () => {
  it('writes what comes alone at once, and a burst together', async (t) => {
    t.mock.method(performance, 'now', () => 1_000);
    const stream = new SlowWritable();
    const outbox = new Outbox(stream);
    outbox.write(Buffer.from('a'));
    assert.deepEqual(stream.calls, ['a']);
    for (const text of ['b', 'c', 'd']) {
      outbox.write(Buffer.from(text));
    }
    assert.deepEqual(stream.calls, ['a']);
    stream.proceed();
    await turn();
    assert.deepEqual(stream.calls, ['a', 'bcd']);
  });

  it('keeps nothing of a small chunk either that comes alone and has to wait', async (t) => {
    let now = 0;
    t.mock.method(performance, 'now', () => {
      now += 1_000;
      return now;
    });
    const stream = new SlowWritable();
    const outbox = new Outbox(stream);
    for (const text of ['one ', 'two ', 'three']) {
      const chunk = Buffer.from(text);
      outbox.write(chunk);
      chunk.fill(0);
    }
    stream.proceed();
    await turn();
    assert.equal(stream.calls.join(''), 'one two three');
  });

  it('keeps nothing of a chunk that is changed after the call', async () => {
    const stream = new SlowWritable();
    const outbox = new Outbox(stream);
    for (const text of ['one ', 'two ', 'x'.repeat(5_000)]) {
      const chunk = Buffer.from(text);
      outbox.write(chunk);
      chunk.fill(0);
    }
    outbox.flush();
    for (let n = 0; n < 3; n += 1) {
      stream.proceed();
      await turn();
    }
    assert.equal(stream.calls.join(''), `one two ${'x'.repeat(5_000)}`);
  });

  it('does not write over what is still being read', async () => {
    const stream = new SlowWritable();
    const outbox = new Outbox(stream);
    outbox.write(Buffer.from('.'));
    stream.proceed();
    const held: Buffer[] = [];
    stream._write = (chunk: Buffer) => void held.push(chunk);
    outbox.write(Buffer.from('first'));
    outbox.flush();
    outbox.write(Buffer.from('second'));
    outbox.flush();
    await turn();
    assert.deepEqual(
      held.map((chunk) => chunk.toString()),
      ['first'],
    );
  });

  it('holds little more than the bytes that trickle in while nothing is taken', async (t) => {
    t.mock.method(performance, 'now', () => 1_000);
    const stream = new SlowWritable();
    const outbox = new Outbox(stream);
    const before = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < 1_000; n += 1) {
      outbox.write(Buffer.from('x'));
      await turn();
    }
    const grown = process.memoryUsage().arrayBuffers - before;
    assert.ok(grown < 2 * 1024 * 1024, `${grown} bytes for 1000`);
    for (let n = 0; n < 10; n += 1) {
      stream.proceed();
      await turn();
    }
    assert.equal(stream.calls.join(''), 'x'.repeat(1_000));
  });

  it('holds little more than the bytes that come slowly, each alone, while nothing is taken', async (t) => {
    let now = 0;
    const clock = t.mock.method(performance, 'now', () => {
      now += 5;
      return now;
    });
    const stream = new SlowWritable();
    const outbox = new Outbox(stream);
    const bytes = 20_000;
    const before = await heldBytes();
    for (let n = 0; n < bytes; n += 1) {
      outbox.write(Buffer.from('x'));
      if (n % 100 === 0) {
        await turn();
      }
    }
    clock.mock.resetCalls();
    const grown = (await heldBytes()) - before;
    assert.ok(grown < 1_000_000, `${grown} bytes for ${bytes}`);
    for (let n = 0; n < 10; n += 1) {
      stream.proceed();
      await turn();
    }
    assert.equal(stream.calls.join('').length, bytes);
  });

  it('tells writers to wait, and the stream says when not to', async () => {
    const stream = new SlowWritable();
    const outbox = new Outbox(stream);
    const block = Buffer.alloc(64 * 1024, 'z');
    let written = 0;
    while (outbox.write(block)) {
      written += block.length;
    }
    assert.ok(written >= 384 * 1024 && written <= 512 * 1024, `${written}`);
    let isDrained = false;
    stream.on('drain', () => {
      isDrained = true;
    });
    for (let n = 0; n < 20 && !isDrained; n += 1) {
      await turn();
      stream.proceed();
    }
    assert.equal(isDrained, true);
  });
});
