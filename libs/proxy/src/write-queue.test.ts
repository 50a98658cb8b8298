import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { SocketConn, TlsConn } from './socket-conn.ts';
import { writeQueueOf } from './write-queue.ts';

/** More than the kernel holds for both sides. */
const BYTES = 32 * 1024 * 1024;

/** No certificate is needed. */
const PSK = {
  ciphers: 'PSK-AES128-GCM-SHA256',
  maxVersion: 'TLSv1.2',
  checkServerIdentity: () => undefined,
} as const;
const psk = Buffer.alloc(16, 1);

const KINDS = {
  TCP: {
    server: () => createServer(),
    connect: (port: number) => connect({ port, host: '127.0.0.1' }),
    conn: (socket: Socket) => new SocketConn(socket, { side: 'downstream' }),
    accepted: 'connection',
  },
  TLS: {
    server: () => createTlsServer({ ...PSK, pskCallback: () => psk }),
    connect: (port: number) =>
      connectTls({
        ...PSK,
        port,
        host: '127.0.0.1',
        pskCallback: () => ({ psk, identity: 'a' }),
      }),
    conn: (socket: Socket) => new TlsConn(socket as never, { side: 'downstream' }),
    accepted: 'secureConnection',
  },
};

describe('StreamConn.pendingBytes', () => {
  for (const [name, kind] of Object.entries(KINDS)) {
    it(`changes while a single write leaves by ${name}`, async () => {
      const server = kind.server().listen(0, '127.0.0.1');
      await once(server, 'listening');
      const accepted = once(server, kind.accepted) as Promise<[Socket]>;
      const far = kind.connect((server.address() as AddressInfo).port);
      const conn = kind.conn((await accepted)[0]);
      try {
        assert.equal(conn.pendingBytes, 0);
        conn.write(Buffer.alloc(BYTES));
        conn.end();
        const seen = new Set<number>();
        let read = 0;
        far.on('data', (chunk: Buffer) => {
          read += chunk.length;
          seen.add(conn.pendingBytes);
        });
        await once(far, 'end');
        assert.equal(read, BYTES);
        // By the length of the stream there is nothing between all and nothing.
        assert.ok(seen.size > 3, `${seen.size} amounts were seen`);
        assert.equal(conn.pendingBytes, 0);
      } finally {
        far.destroy();
        conn.destroy();
        server.close();
      }
    });
  }
});

describe('writeQueueOf', () => {
  for (const [what, handle] of [
    ['no handle', undefined],
    ['a closed one', null],
    ['one that does not tell', { writeQueueSize: 'much' }],
    ['a carrier that does not', { writeQueueSize: 3, _parent: {} }],
  ] as const) {
    it(`is what the stream itself holds where there is ${what}`, () => {
      const stream = new Duplex({ write: () => undefined });
      Reflect.set(stream, '_handle', handle);
      stream.write('abcd');
      assert.equal(writeQueueOf(stream), 4);
    });
  }
});
