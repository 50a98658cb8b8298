import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BatchedSink, WAITING_BYTES_MAX } from './batched-sink.ts';

function setUp() {
  const written: string[] = [];
  const scheduled: (() => void)[] = [];
  const stream = {
    writableLength: 0,
    write: (bytes: Uint8Array) => {
      assert.equal(bytes.buffer.byteLength, bytes.length);
      written.push(Buffer.from(bytes).toString());
    },
  };
  const sink = new BatchedSink(stream, (flush) => scheduled.push(flush));
  const tick = (): void => {
    for (const flush of scheduled.splice(0)) {
      flush();
    }
  };
  return { sink, written, scheduled, stream, tick };
}

describe('BatchedSink', () => {
  it('writes the lines of a tick together, in order', () => {
    const { sink, written, scheduled, tick } = setUp();
    for (const line of ['1\n', '2\n', '3\n']) {
      sink.write(line);
    }
    assert.deepEqual([written, scheduled.length], [[], 1]);
    tick();
    sink.write('4\n');
    tick();
    assert.deepEqual(written, ['1\n2\n3\n', '4\n']);
  });

  it('keeps every byte of lines of all lengths, in order', () => {
    const { sink, written, tick } = setUp();
    const lengths = [1, 10_000, 10_900, 3, 40_000, 2, 32_768, 10_922, 10_923, 0];
    const lines = lengths.flatMap((length) =>
      ['x', 'é', '語', '😀'].map((text) => `${text.repeat(length)}\n`),
    );
    for (const line of lines) {
      sink.write(line);
    }
    tick();
    assert.ok(written.length === 1 && written[0] === lines.join(''));
  });

  it('writes what there is when told, and nothing twice', () => {
    const { sink, written, tick } = setUp();
    sink.write('1\n');
    sink.flush();
    tick();
    sink.flush();
    assert.deepEqual(written, ['1\n']);
  });

  it('drops beyond its bound, counts it and says so', () => {
    const { sink, written, tick } = setUp();
    const line = `${'x'.repeat(WAITING_BYTES_MAX / 4 - 1)}\n`;
    for (let count = 0; count < 6; count++) {
      sink.write(line);
    }
    tick();
    assert.equal(sink.dropped, 2);
    assert.deepEqual(written.join('').split('\n').slice(4), [
      '{"level":"warn","message":"log lines were dropped","count":2}',
      '',
    ]);
    sink.write('next\n');
    tick();
    assert.equal(written.at(-1), 'next\n');
    assert.equal(sink.dropped, 2);
  });

  it('counts what the stream has not taken yet', () => {
    const { sink, written, stream, tick } = setUp();
    stream.writableLength = WAITING_BYTES_MAX;
    sink.write('lost\n');
    tick();
    stream.writableLength = 0;
    sink.write('kept\n');
    tick();
    assert.equal(sink.dropped, 1);
    assert.match(written.join(''), /^\{.*"count":1\}\nkept\n$/);
  });
});
