import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { TestSink, TestSource } from './fixtures/bodies.ts';
import { MIRROR_LAG_PIECES_MAX, REPLAY_PIECES_MAX, RequestBody } from './request-body.ts';

const KIB = 1024;

describe('RequestBody', () => {
  it('can be read again after it ended, with what it may say behind it', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    let ends = 0;
    body.whenWhole(() => {
      ends += 1;
    });
    const first = TestSink.of(body.open());
    source.push('ab');
    source.push('cd');
    source.end(['x-sum', '1', 'x-ambit-source', 'me']);
    const second = TestSink.of(body.open());
    for (const sink of [first, second]) {
      assert.equal(sink.text, 'abcd');
      assert.deepEqual(sink.trailers, ['x-sum', '1']);
    }
    assert.deepEqual([body.bytes, ends], [4, 1]);
    body.whenWhole(() => {
      ends += 1;
    });
    assert.equal(ends, 2);
  });

  it('can be read again in the middle, and the reader before is cut', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    const first = TestSink.of(body.open());
    source.push('ab');
    const second = TestSink.of(body.open());
    source.push('cd');
    source.end();
    assert.deepEqual([first.text, first.trailers], ['ab', undefined]);
    assert.deepEqual([second.text, second.trailers], ['abcd', []]);
  });

  it('holds the client back while its reader wants nothing, and while there is none', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    assert.equal(source.isStarted, false, 'nobody has asked');
    const reader = body.open();
    const sink = TestSink.of(reader);
    reader?.pause();
    assert.ok(source.isHeld);
    source.push('on its way');
    source.end();
    assert.deepEqual([sink.text, sink.trailers], ['', undefined]);
    reader?.resume();
    assert.deepEqual([sink.text, sink.trailers], ['on its way', []]);
    const other = new TestSource();
    const dropped = new RequestBody(other);
    const tried = dropped.open();
    TestSink.of(tried);
    tried?.cancel();
    assert.ok(other.isHeld, 'the next try wants it from its first byte');
    const next = TestSink.of(dropped.open());
    assert.equal(other.isHeld, false);
    other.push('x');
    other.end();
    assert.equal(next.text, 'x');
  });

  it('cannot be replayed beyond its bound, but goes on to its reader', () => {
    const source = new TestSource();
    const body = new RequestBody(source, 10);
    const sink = TestSink.of(body.open());
    source.push('123456');
    assert.equal(body.isReplayable, true);
    source.push('123456');
    source.end();
    assert.equal(sink.text.length, 12);
    assert.equal(body.isReplayable, false);
    assert.equal(body.open(), undefined);
  });

  it('keeps no more pieces than bytes are worth, for a replay and for a mirror', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    const mirror = body.tap();
    const late = TestSink.of(mirror);
    mirror.pause();
    const sink = TestSink.of(body.open());
    for (let piece = 0; piece < REPLAY_PIECES_MAX; piece += 1) {
      source.push('a');
    }
    assert.equal(body.isReplayable, true);
    source.push('a');
    assert.equal(body.isReplayable, false);
    for (let piece = 0; piece < MIRROR_LAG_PIECES_MAX; piece += 1) {
      source.push('a');
    }
    assert.equal(late.error?.message, 'the mirror is too slow');
    assert.equal(sink.text.length, REPLAY_PIECES_MAX + 1 + MIRROR_LAG_PIECES_MAX);
  });

  it('breaks off for everyone when the client does', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    const mirror = TestSink.of(body.tap());
    const reader = TestSink.of(body.open());
    source.push('ab');
    source.fail();
    for (const sink of [mirror, reader]) {
      assert.equal(sink.error?.code, 'GONE');
      assert.equal(sink.trailers, undefined);
    }
    assert.equal(body.isReplayable, false);
  });

  it('copies to a mirror, and cuts one that lags', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    const slow = body.tap();
    const mirrored = TestSink.of(body.tap());
    const lagging = TestSink.of(slow);
    slow.pause();
    const sink = TestSink.of(body.open());
    for (let index = 0; index < 40; index += 1) {
      source.push('x'.repeat(64 * KIB));
    }
    source.end();
    assert.equal(source.isHeld, false, 'a mirror holds nobody up');
    assert.equal(sink.text.length, 40 * 64 * KIB);
    assert.equal(mirrored.text, sink.text);
    assert.equal(lagging.text, '');
    assert.match(lagging.error?.message ?? '', /too slow/);
  });

  it('reads only so much of a body that nobody wants', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    body.discard();
    let pieces = 0;
    while (source.isStarted) {
      source.push('x'.repeat(256 * KIB));
      pieces += 1;
    }
    assert.equal(pieces, 5, 'a MiB, and what goes beyond');
    assert.equal(source.calls.at(-1), 'cancel');
    assert.equal(body.isReplayable, false);
  });

  it('keeps nothing for others when the answer is there, and drops what its reader leaves', () => {
    const source = new TestSource();
    const body = new RequestBody(source);
    const reader = body.open();
    const sink = TestSink.of(reader);
    source.push('ab');
    body.settle();
    source.push('cd');
    assert.equal(sink.text, 'abcd');
    assert.equal(body.open(), undefined);
    reader?.cancel();
    assert.equal(source.isHeld, false);
    source.push('ef');
    assert.deepEqual([sink.text, body.bytes], ['abcd', 6]);
  });
});
