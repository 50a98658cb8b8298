/** What a connection becomes is a connection: the suite of every `ByteConn`, and the bytes that were held. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ByteConn } from '@ambit/proxy';
import { byteConnSuite, connPair, Recorder } from '@ambit/proxy/testing';
import { HandedConn } from './handed-conn.ts';

/** Started by an owner before, as an HTTP connection is. */
function hand(conn: ByteConn, rest: readonly string[] = [], hasEnded = false): HandedConn {
  let handed: HandedConn | undefined;
  conn.start({
    onData: (chunk) => handed?.events.onData(chunk),
    onEnd: () => handed?.events.onEnd(),
    onDrain: () => handed?.events.onDrain(),
    onClose: (error) => handed?.events.onClose(error),
  });
  handed = new HandedConn(
    conn,
    rest.map((text) => Buffer.from(text)),
    hasEnded,
  );
  return handed;
}

byteConnSuite({
  name: 'HandedConn',
  make: () => {
    const [near, far] = connPair();
    return Promise.resolve({ near: hand(near), far: hand(far), close: () => undefined });
  },
});

describe('HandedConn', () => {
  it('tells what waits in the connection below, for the bound of all', () => {
    const [near] = connPair();
    const conn = hand(Object.assign(near, { pendingBytes: 7, heldBytes: 5 }));
    assert.deepEqual([conn.pendingBytes, conn.heldBytes], [7, 5]);
  });

  it('gives what was held before what comes, also when it is paused between', async () => {
    const [near, far] = connPair();
    const conn = hand(near, ['one ', 'two ']);
    far.write(Buffer.from('three'));
    const texts: string[] = [];
    const done = Promise.withResolvers<void>();
    conn.start({
      onData: (chunk) => {
        texts.push(Buffer.from(chunk).toString());
        conn.pause();
        queueMicrotask(() => conn.resume());
        if (texts.length === 3) done.resolve();
      },
      onEnd: () => undefined,
      onDrain: () => undefined,
      onClose: () => undefined,
    });
    await done.promise;
    assert.deepEqual(texts, ['one ', 'two ', 'three']);
  });

  it('tells an end that was there before it', async () => {
    const [near] = connPair();
    const got = Recorder.on(hand(near, ['last'], true));
    await got.ended;
    assert.equal(got.text, 'last');
  });
});
