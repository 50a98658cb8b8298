import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';

import { readShared } from './shared-reads.ts';

async function sockets(): Promise<{ near: Socket; far: Socket; close: () => void }> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect(port, '127.0.0.1');
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  return {
    near,
    far,
    close: () => {
      near.destroy();
      far.destroy();
      server.close();
    },
  };
}

describe('readShared', () => {
  it('reads accepted and dialled sockets into the same memory', async () => {
    const { near, far, close } = await sockets();
    const memory = new Set<ArrayBufferLike>();
    const seen = { near: '', far: '' };
    const got = Promise.withResolvers<void>();
    const note = (who: 'near' | 'far') => ({
      onRead: (bytes: Uint8Array) => {
        memory.add(bytes.buffer);
        seen[who] += Buffer.from(bytes).toString();
        if (seen.near === 'answer' && seen.far === 'question') {
          got.resolve();
        }
      },
    });
    // This is what a new version of Node may take away: then bytes still move, and cost more.
    assert.equal(readShared(near, note('near')), true);
    assert.equal(readShared(far, note('far')), true);
    near.resume();
    far.resume();
    near.write('question');
    far.write('answer');
    await got.promise;
    assert.equal(memory.size, 1);
    close();
  });

  it('refuses what is no socket, or has none any more, and changes nothing', async () => {
    assert.equal(readShared(new PassThrough(), { onRead: () => assert.fail() }), false);
    const { near, close } = await sockets();
    close();
    await once(near, 'close');
    assert.equal(readShared(near, { onRead: () => assert.fail() }), false);
  });
});
