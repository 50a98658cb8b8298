/**
 * `tls-relay.ts entry|exit CERTIFICATE KEY CA ADDRESS HOST ENTRY:WIRE:EXIT...`: the least that two ends of a tunnel take in Node.
 *
 * One thread, a TLS connection for each client connection, no HTTP/2, no mesh: what is read is written to the other side.
 */
import { readFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import {
  connect as connectTls,
  createSecureContext,
  createServer as createTlsServer,
} from 'node:tls';

const [role, certificate = '', key = '', ca = '', address = '', host = '', ...ports] =
  process.argv.slice(2);
const options = {
  cert: readFileSync(certificate),
  key: readFileSync(key),
  ca: readFileSync(ca),
  minVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_256_GCM_SHA384',
  ecdhCurve: 'X25519',
} as const;
const secureContext = createSecureContext(options);
const half = { allowHalfOpen: true, noDelay: true } as const;

function join(a: Socket, b: Socket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on('data', (bytes) => {
      if (!to.write(bytes)) {
        from.pause();
        to.once('drain', () => from.resume());
      }
    });
    from.on('end', () => to.end());
    from.on('error', () => to.destroy());
  }
}

for (const ends of ports) {
  const [entry, wire = 0, exit = 0] = ends.split(':').map(Number);
  const toWire = { host: address, port: wire, servername: host, secureContext, ...half };
  if (role === 'entry') {
    createServer(half, (client) => join(client, connectTls(toWire))).listen(entry, '127.0.0.1');
  } else {
    const mutual = { ...options, ...half, requestCert: true, rejectUnauthorized: true };
    const toServer = { host: '127.0.0.1', port: exit, ...half };
    createTlsServer(mutual, (client) => join(client, connect(toServer))).listen(wire);
  }
}
