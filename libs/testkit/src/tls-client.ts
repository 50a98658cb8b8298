/** A client of TLS as the mesh speaks it, for tests that need a handshake and no HTTP/2 behind it. */
import { once } from 'node:events';
import { type ConnectionOptions, connect } from 'node:tls';
import type { TestIdentity } from './test-ca.ts';

/** Whoever answers is taken: what is tested is the other end. */
export function tlsOf({ privateKeyPem, chainPem, rootsPem }: TestIdentity): ConnectionOptions {
  return {
    ...{ key: privateKeyPem, cert: chainPem, ca: rootsPem },
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  };
}

/** Resolves when the handshake is over and the connection has gone again. */
export async function shakeHands(options: ConnectionOptions): Promise<void> {
  const socket = connect(options);
  await once(socket, 'secureConnect');
  socket.destroy();
  await once(socket, 'close');
}
