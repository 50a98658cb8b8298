import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import type { MeshError } from '@ambit/core';

import { writeAll, writeBorrowed } from './conn.ts';
import { SocketConn } from './socket-conn.ts';
import { StreamConn } from './stream-conn.ts';
import { byteConnSuite, connPair, duplexFromConn, Recorder } from './testing/index.ts';

async function socketPair(): Promise<[Socket, Socket, () => void]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  return [near, far, () => void server.close()];
}

byteConnSuite({
  name: 'connPair',
  make: async () => {
    const [near, far] = connPair();
    return { near, far, close: () => undefined };
  },
});

byteConnSuite({
  name: 'a TCP socket',
  make: async () => {
    const [near, far, close] = await socketPair();
    return {
      near: new SocketConn(near, { side: 'upstream' }),
      far: new SocketConn(far, { side: 'downstream' }),
      close,
    };
  },
});

describe('SocketConn', () => {
  for (const borrows of [true, false]) {
    it(`delivers all that came in pieces before it was started, ${borrows ? 'lent' : 'given'}`, async () => {
      const [near, far, close] = await socketPair();
      let sent = '';
      for (const word of ['one ', 'two ', 'three ', 'four ']) {
        near.write(word);
        sent += word;
        while (far.readableLength < sent.length) {
          await new Promise((resolve) => setImmediate(resolve));
        }
      }
      near.end('five');
      const conn = new SocketConn(far, { side: 'downstream' });
      const recorder = Object.assign(new Recorder(), { borrows });
      conn.start(recorder);
      await recorder.ended;
      assert.equal(recorder.text, `${sent}five`);
      conn.destroy();
      near.destroy();
      close();
    });
  }
});

describe('writeAll', () => {
  for (const isBorrowed of [false, true]) {
    it(`writes chunks in order${isBorrowed ? ', between what waits in copies' : ''}`, async () => {
      const [near, far, close] = await socketPair();
      const conn = new SocketConn(near, { side: 'upstream' });
      const write = (text: string): boolean =>
        isBorrowed ? writeBorrowed(conn, Buffer.from(text)) : conn.write(Buffer.from(text));
      const reader = Recorder.on(new SocketConn(far, { side: 'downstream' }));
      conn.start(new Recorder());
      write('-');
      write('0 ');
      assert.equal(
        writeAll(
          conn,
          ['1 ', '2 ', '3 '].map((text) => Buffer.from(text)),
        ),
        true,
      );
      assert.equal(writeAll(conn, [Buffer.from('4 ')]), true);
      write('5');
      conn.end();
      await reader.ended;
      assert.equal(reader.text, '-0 1 2 3 4 5');
      assert.equal(writeAll(conn, [Buffer.from('late'), Buffer.from('r')]), true);
      conn.destroy();
      close();
    });
  }

  it('falls back to one chunk after the other', async () => {
    const [near, far] = connPair();
    near.start(new Recorder());
    const reader = Recorder.on(far);
    assert.equal(writeAll(near, [Buffer.from('a'), new Uint8Array(70_000)]), false);
    await reader.until((r) => r.bytes === 70_001);
  });
});

describe('a socket whose reader waits', () => {
  it('delivers what it holds before the close of a connection that ended both ways', async () => {
    const [near, far, close] = await socketPair();
    far.end('the last words');
    while (near.readableLength === 0) {
      await new Promise(setImmediate);
    }
    // And its end, which the socket does not tell while there is something to read.
    for (let turn = 0; turn < 10; turn += 1) {
      await new Promise(setImmediate);
    }
    const conn = new SocketConn(near, { side: 'upstream' });
    conn.pause();
    const reader = Recorder.on(conn);
    conn.end();
    far.resume();
    await once(far, 'close');
    await new Promise(setImmediate);
    conn.resume();
    const error = await reader.closed;
    close();
    assert.equal(error, undefined);
    assert.equal(reader.text, 'the last words');
    assert.deepEqual(reader.events.slice(-2), ['end', 'close']);
  });
});

const ADDRESSES = {
  remoteAddress: '10.0.0.1',
  remotePort: 1,
  localAddress: '10.0.0.2',
  localPort: 2,
} as const;

/** Of a Duplex, which passes the reason on. */
class DuplexConn extends StreamConn {
  protected override destroyStream(reason: MeshError | undefined): void {
    this.stream.destroy(reason);
  }
}

const connOn = (stream: Duplex): StreamConn =>
  new DuplexConn(stream, ADDRESSES, { side: 'upstream' });

byteConnSuite({
  name: 'a Duplex on a connection in memory',
  make: async () => {
    const [near, far] = connPair();
    const duplex = duplexFromConn(near);
    return { near: connOn(duplex), far, close: () => undefined };
  },
});

describe('StreamConn', () => {
  it('takes a stream once', () => {
    const duplex = duplexFromConn(connPair()[0]);
    connOn(duplex);
    assert.throws(() => connOn(duplex), /has a connection already/);
  });
});

describe('addresses of a SocketConn', () => {
  it('are its own: Node’s copies are let go, and made again for who asks', async () => {
    const [near, far, close] = await socketPair();
    const conn = new SocketConn(near, { side: 'upstream' });
    const { remoteAddress, remotePort, localAddress, localPort } = conn;
    assert.deepEqual(
      [remoteAddress, remotePort, localAddress, localPort],
      ['127.0.0.1', far.localPort, '127.0.0.1', far.remotePort],
    );
    // This is what a new version of Node may rename: then an idle connection holds more, and nothing else.
    const copies = ['_peername', '_sockname'];
    assert.deepEqual(
      copies.map((name) => [Reflect.has(near, name), Reflect.get(near, name)]),
      copies.map(() => [true, undefined]),
    );
    assert.equal(near.remotePort, remotePort);
    near.destroy();
    far.destroy();
    close();
  });
});
