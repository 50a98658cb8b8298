import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

import { connFromDuplex, duplexFromConn } from './duplex.ts';
import { SocketConn } from './socket-conn.ts';
import { byteConnSuite, connPair } from './testing/index.ts';

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

const ADDRESSES = {
  remoteAddress: '10.0.0.1',
  remotePort: 1,
  localAddress: '10.0.0.2',
  localPort: 2,
  side: 'upstream',
} as const;

byteConnSuite({
  name: 'a Duplex on a connection in memory',
  make: async () => {
    const [near, far] = connPair();
    return { near: connFromDuplex(duplexFromConn(near), ADDRESSES), far, close: () => undefined };
  },
});
