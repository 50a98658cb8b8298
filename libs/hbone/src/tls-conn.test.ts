/** `TlsConn` of @ambit/proxy under the suite of all connections; here because certificates are made above that package. */
import { once } from 'node:events';
import { createServer, type TLSSocket, connect as tlsConnect } from 'node:tls';

import { TlsConn } from '@ambit/proxy';
import { byteConnSuite, connPair, duplexFromConn } from '@ambit/proxy/testing';
import { TestCa } from '@ambit/testkit';

import { tlsContextOptions } from './tls.ts';

const CA = new TestCa();
const SERVER = { ...tlsContextOptions(CA.workload('shop', 'server')), requestCert: true };
const CLIENT = {
  ...tlsContextOptions(CA.workload('shop', 'client')),
  checkServerIdentity: () => undefined,
};

byteConnSuite({
  name: 'a TLS socket',
  // A socket that is destroyed ends by FIN under TLS; whether the peer sees a reset is a race.
  carriesReset: false,
  make: async () => {
    // Node has this option of net.createServer here too; its types do not.
    const options = { ...SERVER, allowHalfOpen: true };
    const server = createServer(options);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    const near = tlsConnect({ ...CLIENT, port, host: '127.0.0.1' });
    near.allowHalfOpen = true;
    const [[far]] = await Promise.all([accepted, once(near, 'secureConnect')]);
    return {
      near: new TlsConn(near, { side: 'upstream' }),
      far: new TlsConn(far, { side: 'downstream' }),
      close: () => void server.close(),
    };
  },
});

byteConnSuite({
  name: 'TLS inside another connection',
  carriesReset: false,
  make: async () => {
    const [a, b] = connPair();
    const server = createServer(SERVER);
    const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
    server.emit('connection', duplexFromConn(b));
    const near = tlsConnect({ ...CLIENT, socket: duplexFromConn(a) });
    const [[far]] = await Promise.all([accepted, once(near, 'secureConnect')]);
    return {
      near: new TlsConn(near, { side: 'upstream' }),
      far: new TlsConn(far, { side: 'downstream' }),
      close: () => undefined,
    };
  },
});
