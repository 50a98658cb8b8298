import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, Socket } from 'node:net';
import { describe, it } from 'node:test';

import { Acceptor } from './acceptor.ts';

async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  return socket;
}

const closed = async (socket: Socket): Promise<void> =>
  await new Promise((resolve) => socket.once('close', () => resolve()));

describe('Acceptor', () => {
  it('runs up to its bound, keeps some waiting and resets the rest', async () => {
    const live: Socket[] = [];
    const acceptor = new Acceptor({
      liveMax: 1,
      waitingMax: 1,
      onSocket: (socket) => {
        live.push(socket);
        socket.on('end', () => socket.end()).resume();
      },
    });
    await acceptor.listen({ host: '127.0.0.1', port: 0 });
    const first = await dial(acceptor.port);
    const second = await dial(acceptor.port);
    const third = connect({ host: '127.0.0.1', port: acceptor.port });
    third.on('error', () => undefined);
    await closed(third);
    assert.deepEqual(acceptor.counters, {
      live: 1,
      waiting: 1,
      accepted: 3,
      resetAtBound: 1,
      withoutAddress: 0,
      errors: 0,
    });
    const freed = closed(live[0] as Socket);
    first.destroy();
    await freed;
    assert.equal(acceptor.counters.live, 1, 'the second took its place');
    assert.equal(live.length, 2);
    const ended = closed(live[1] as Socket);
    second.destroy();
    await ended;
    acceptor.close();
  });

  it('serves nobody whose address is not known', () => {
    for (const liveMax of [0, 1]) {
      const acceptor = new Acceptor({ liveMax, waitingMax: 1, onSocket: () => assert.fail() });
      const socket = new Socket();
      acceptor.inject(socket);
      assert.ok(socket.destroyed);
      const { live, waiting, withoutAddress } = acceptor.counters;
      assert.deepEqual([live, waiting, withoutAddress], [0, 0, 1]);
    }
  });

  it('forgets a waiting connection that goes', async () => {
    const acceptor = new Acceptor({ liveMax: 0, waitingMax: 1, onSocket: () => assert.fail() });
    await acceptor.listen({ host: '127.0.0.1', port: 0 });
    const socket = await dial(acceptor.port);
    socket.resetAndDestroy();
    while (acceptor.counters.accepted === 0 || acceptor.counters.waiting > 0) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    acceptor.close();
  });

  it('keeps live connections when it closes, and resets them when destroyed', async () => {
    const acceptor = new Acceptor({
      liveMax: 9,
      waitingMax: 9,
      onSocket: (socket) => {
        socket.pipe(socket);
      },
    });
    await acceptor.listen({ host: '127.0.0.1', port: 0 });
    const socket = await dial(acceptor.port);
    acceptor.close();
    acceptor.close();
    const echoed = once(socket, 'data');
    socket.write('x');
    await echoed;
    acceptor.destroy();
    await closed(socket);
  });

  it('rejects a listen that fails', async () => {
    const acceptor = new Acceptor({ liveMax: 1, waitingMax: 1, onSocket: () => undefined });
    await acceptor.listen({ host: '127.0.0.1', port: 0 });
    const other = new Acceptor({ liveMax: 1, waitingMax: 1, onSocket: () => undefined });
    await assert.rejects(other.listen({ host: '127.0.0.1', port: acceptor.port }), /EADDRINUSE/);
    acceptor.close();
  });
});
