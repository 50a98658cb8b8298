import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { AdminClient, abandonedConnections } from './admin-client.ts';
import { EXIT } from './errors.ts';

async function serving(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function duplexPair(socket: Socket): Duplex {
  const stream = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, done) => void socket.write(chunk, done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  socket.on('data', (chunk) => stream.push(chunk));
  socket.on('end', () => stream.push(null));
  return stream;
}

/** A stream that has none of what a socket has beyond one: as a port-forward gives it. */
function bareStream(port: number): Duplex {
  const socket = connect(port, '127.0.0.1');
  return duplexPair(socket);
}

describe('AdminClient through a connection of its own', () => {
  it('asks by a stream that is no socket', async () => {
    await using server = await serving((request, response) => {
      response.end(JSON.stringify({ method: request.method, url: request.url }));
    });
    const client = new AdminClient('pod a/b', { connect: async () => bareStream(server.port) });
    assert.deepEqual(await client.get('/xds?a=1'), { method: 'GET', url: '/xds?a=1' });
    assert.deepEqual(JSON.parse(await client.post('/logging')), {
      method: 'POST',
      url: '/logging',
    });
  });

  it('names whom it asked, why not, and what to do', async () => {
    const client = new AdminClient('pod a/b', {
      who: 'the agent of n1',
      fix: 'look at it',
      connect: () => Promise.reject(new Error('no route to host')),
    });
    await assert.rejects(client.get('/xds'), {
      message: 'the agent of n1 does not answer at "pod a/b"',
      why: 'no route to host',
      fix: 'look at it',
      exitCode: EXIT.unavailable,
    });
  });

  it('waits for a connection for a few seconds, and closes one that comes later', async () => {
    const clock = new FakeClock();
    const late = Promise.withResolvers<Duplex>();
    const client = new AdminClient('pod a/b', { clock, connect: () => late.promise });
    const asked = assert.rejects(client.get('/xds'), { why: 'no answer within 5 s' });
    clock.advance(5_000);
    await asked;
    assert.equal(abandonedConnections(), 1);
    const stream = new Duplex({ read: () => undefined });
    late.resolve(stream);
    await once(stream, 'close');
    assert.equal(abandonedConnections(), 0);
  });

  it('waits for an answer for a while', async () => {
    const clock = new FakeClock();
    const asked = Promise.withResolvers<void>();
    await using server = await serving(() => asked.resolve());
    const client = new AdminClient(`http://127.0.0.1:${server.port}`, { clock });
    const refused = assert.rejects(client.get('/xds'), { why: 'no answer within 10 s' });
    await asked.promise;
    clock.advance(10_000);
    await refused;
  });

  it('says when the connection ends in the middle', async () => {
    await using server = await serving((_, response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => response.destroy());
    });
    const client = new AdminClient('pod a/b', { connect: async () => bareStream(server.port) });
    await assert.rejects(client.get('/xds'), { exitCode: EXIT.unavailable });
  });
});
