import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';

import { resetSocket } from './reset-socket.ts';

/** How long after `end()` the reset comes. */
const MOMENTS: Readonly<Record<string, (run: () => void) => void>> = {
  'in the same turn': (run) => run(),
  'a tick later': (run) => process.nextTick(run),
  'two ticks later': (run) => process.nextTick(() => process.nextTick(run)),
  'a turn later': (run) => void setImmediate(run),
};

describe('resetSocket', () => {
  let server: Server;
  before(async () => {
    server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.close();
  });

  async function pair(): Promise<readonly [Socket, Socket]> {
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const accepted = once(server, 'connection') as Promise<[Socket]>;
    const peer = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const [[socket]] = await Promise.all([accepted, once(peer, 'connect')]);
    return [socket, peer];
  }

  it('resets an open connection', async () => {
    const [socket, peer] = await pair();
    const closed = once(socket, 'close');
    const reset = once(peer.resume(), 'error') as Promise<[NodeJS.ErrnoException]>;
    resetSocket(socket);
    const [[error]] = await Promise.all([reset, closed]);
    assert.equal(error.code, 'ECONNRESET');
  });

  for (const [when, later] of Object.entries(MOMENTS)) {
    it(`closes a socket that was ended, ${when}`, async () => {
      const [socket, peer] = await pair();
      const closed = once(socket, 'close');
      const ended = once(peer.resume(), 'end');
      socket.end();
      later(() => resetSocket(socket));
      await Promise.all([closed, ended]);
      peer.destroy();
    });

    it(`closes a socket with bytes before its end, ${when}`, async () => {
      const [socket, peer] = await pair();
      const closed = once(socket, 'close');
      peer.on('error', () => undefined);
      socket.end(Buffer.alloc(64 << 20));
      later(() => resetSocket(socket));
      await closed;
      peer.destroy();
    });
  }

  it('does nothing to a socket that is gone', async () => {
    const [socket, peer] = await pair();
    socket.destroy();
    resetSocket(socket);
    peer.destroy();
    await once(socket, 'close');
  });
});
