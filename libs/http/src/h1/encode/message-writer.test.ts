/** How messages become writes. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageWriter } from './message-writer.ts';
import { framingOf } from './response-framing.ts';

const HEAD = 'HEAD\r\n\r\n';
const LARGE = Buffer.alloc(16 * 1024, 0x61);

function texts(pieces: readonly Uint8Array[]): string[] {
  return pieces.map((piece) => Buffer.from(piece).toString('latin1'));
}

describe('MessageWriter', () => {
  it('makes one piece of a head and a small body', () => {
    const writer = new MessageWriter();
    writer.begin(HEAD, { kind: 'length', bytes: 4 });
    writer.data(Buffer.from('ab'));
    writer.data(Buffer.from('cd'));
    writer.end();
    assert.deepEqual(texts(writer.take()), [`${HEAD}abcd`]);
    assert.equal(writer.isIdle, true);
    assert.equal(writer.pendingBytes, 0);
  });

  it('makes one chunk of what was gathered, with the head before and the end behind', () => {
    const writer = new MessageWriter();
    writer.begin(HEAD, { kind: 'chunked' });
    writer.data(Buffer.from('0123456789'));
    writer.data(Buffer.alloc(0));
    writer.data(Buffer.from('abcdef'));
    writer.end(['x-sum', '1', 'content-length', '9']);
    assert.deepEqual(texts(writer.take()), [
      `${HEAD}10\r\n0123456789abcdef\r\n0\r\nx-sum: 1\r\n\r\n`,
    ]);
  });

  it('never ends a chunked body by a part that is empty', () => {
    const writer = new MessageWriter();
    writer.begin(HEAD, { kind: 'chunked' });
    writer.data(Buffer.alloc(0));
    assert.deepEqual(texts(writer.take()), [HEAD]);
    assert.deepEqual(writer.take(), []);
    writer.end();
    assert.deepEqual(texts(writer.take()), ['0\r\n\r\n']);
  });

  it('does not copy what is large, nor a part alone', () => {
    const writer = new MessageWriter();
    writer.begin(HEAD, { kind: 'length', bytes: LARGE.length + 1 });
    writer.data(LARGE);
    assert.equal(writer.isFull, true);
    const pieces = writer.take();
    assert.equal(pieces.length, 2);
    assert.equal(pieces[1], LARGE);
    const small = Buffer.from('b');
    writer.data(small);
    assert.equal(writer.take()[0], small);
    writer.end();
  });

  it('keeps messages in order when nobody took them meanwhile', () => {
    const writer = new MessageWriter();
    writer.interim('100\r\n\r\n');
    writer.begin('A\r\n\r\n', { kind: 'length', bytes: 1 });
    writer.data(Buffer.from('a'));
    writer.end();
    writer.begin('B\r\n\r\n', { kind: 'chunked' });
    writer.data(Buffer.from('b'));
    writer.end();
    writer.begin('C\r\n\r\n', { kind: 'none' });
    writer.end();
    assert.equal(
      texts(writer.take()).join(''),
      '100\r\n\r\nA\r\n\r\naB\r\n\r\n1\r\nb\r\n0\r\n\r\nC\r\n\r\n',
    );
  });

  for (const [name, break_] of [
    ['a body longer than its head says', (w: MessageWriter) => w.data(Buffer.from('abc'))],
    ['a body shorter than its head says', (w: MessageWriter) => w.end()],
    ['a message inside another', (w: MessageWriter) => w.begin(HEAD, { kind: 'none' })],
    ['an interim response inside another message', (w: MessageWriter) => w.interim(HEAD)],
  ] as const) {
    it(`refuses ${name}, and everything after it`, () => {
      const writer = new MessageWriter();
      writer.begin(HEAD, { kind: 'length', bytes: 2 });
      assert.throws(() => break_(writer), { code: 'H1_UNWRITABLE' });
      assert.throws(() => writer.data(Buffer.from('a')), { code: 'H1_UNWRITABLE' });
      assert.throws(() => writer.end(), { code: 'H1_UNWRITABLE' });
      assert.throws(() => writer.begin(HEAD, { kind: 'none' }), { code: 'H1_UNWRITABLE' });
      assert.equal(writer.isIdle, false);
    });
  }

  it('refuses data without a head, and a body where there is none', () => {
    assert.throws(() => new MessageWriter().data(Buffer.from('a')), { code: 'H1_UNWRITABLE' });
    const writer = new MessageWriter();
    writer.begin(HEAD, { kind: 'none' });
    assert.throws(() => writer.data(Buffer.from('a')), { code: 'H1_UNWRITABLE' });
  });
});

describe('framingOf', () => {
  for (const [status, method, version, length, kind] of [
    [200, 'GET', '1.1', 5, 'length'],
    [200, 'GET', '1.1', undefined, 'chunked'],
    [200, 'GET', '1.0', undefined, 'until-close'],
    [200, 'HEAD', '1.1', 5, 'none'],
    [204, 'GET', '1.1', undefined, 'none'],
    [304, 'GET', '1.1', 5, 'none'],
    [100, 'GET', '1.1', undefined, 'none'],
    [200, 'CONNECT', '1.1', undefined, 'none'],
    [403, 'CONNECT', '1.1', 3, 'length'],
  ] as const) {
    it(`${status} to ${method} of ${version}, length ${length}: ${kind}`, () => {
      assert.equal(framingOf({ status, method, version, length }).kind, kind);
    });
  }
});
