/** A CONNECT stream is a `ByteConn`: the suite of the contract, at both ends and over TCP as well. */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { systemClock } from '@ambit/core';
import { type ByteConn, SocketConn } from '@ambit/proxy';
import { byteConnSuite, connPair } from '@ambit/proxy/testing';
import { ClientSession } from './client-session.ts';
import { EDGE_LIMITS, type H2Limits, MESH_LIMITS } from './limits.ts';
import { ServerSession } from './server-session.ts';

const TUNNEL = {
  method: 'CONNECT',
  scheme: undefined,
  path: undefined,
  authority: '10.0.0.1:80',
  fields: [],
};

async function tunnel(transports: readonly [ByteConn, ByteConn], limits: H2Limits) {
  const [near, far] = transports;
  const common = { clock: systemClock, limits };
  const accepted = Promise.withResolvers<ByteConn>();
  const answered = Promise.withResolvers<void>();
  const server = new ServerSession({
    ...common,
    transport: far,
    onStream: (stream) => {
      stream.respond({ status: 200, fields: [] });
      accepted.resolve(stream);
    },
  });
  const client = new ClientSession({ ...common, transport: near });
  const stream = client.request(TUNNEL, {
    onResponse: () => answered.resolve(),
    onNoResponse: (error) => answered.reject(error ?? new Error('no answer')),
  });
  await answered.promise;
  const close = (): void => {
    client.destroy();
    server.destroy();
  };
  return { stream, accepted: await accepted.promise, close };
}

async function tcpPair(): Promise<[ByteConn, ByteConn]> {
  const server = createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  const accepted = once(server, 'connection');
  const near = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const [[far]] = await Promise.all([accepted, once(near, 'connect')]);
  server.close();
  return [new SocketConn(near, { side: 'upstream' }), new SocketConn(far, { side: 'downstream' })];
}

for (const [name, transports, limits] of [
  ['in memory', async () => connPair(), MESH_LIMITS],
  ['on TCP', tcpPair, MESH_LIMITS],
  ['on TCP, at an edge', tcpPair, EDGE_LIMITS],
] as const) {
  byteConnSuite({
    name: `the client's end of an HTTP/2 stream ${name}`,
    make: async () => {
      const { stream, accepted, close } = await tunnel(await transports(), limits);
      return { near: stream, far: accepted, close };
    },
  });
  byteConnSuite({
    name: `the server's end of an HTTP/2 stream ${name}`,
    make: async () => {
      const { stream, accepted, close } = await tunnel(await transports(), limits);
      return { near: accepted, far: stream, close };
    },
  });
}
