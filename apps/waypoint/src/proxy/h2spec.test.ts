/**
 * The conformance suite of HTTP/2, strict, against what a waypoint listens on: its port for tunnels, and inside of a tunnel.
 * There is no other listener of HTTP/2. A shim speaks TLS, and opens the tunnel, for a suite that knows neither. Needs Go.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { h2specProgram, runH2spec, TestServer } from '@ambit/h2/testing';
import { type ByteConn, copyBoth, SocketConn, TlsConn } from '@ambit/proxy';
import { service, workload } from '../testing.ts';
import { client, type Rig, startRig } from './proxy-worker.testing.ts';

/** The first run on a machine builds the program. */
const TIMEOUT_MS = 300_000;
const CASES = 146;
/** As at port 15008 of a pod, where it is said why (apps/node-agent/src/worker/h2spec.test.ts). */
const TUNNEL = { passed: 139, skipped: 4 };
const TUNNEL_SECTIONS: readonly string[] = [
  'generic/1',
  ...['1', '4', '5'].map((number) => `generic/2/${number}`),
  ...['3', '4', '5'].map((number) => `generic/${number}`),
  ...['3', '4', '5.1.1', '5.3', '5.4', '5.5', '6', '7', '8'].map((id) => `http2/${id}`),
  ...Array.from({ length: 13 }, (_, at) => `http2/5.1/${at + 1}`),
  'hpack',
];

async function specify(
  open: () => Promise<ByteConn>,
  sections: readonly string[] = [],
): Promise<object> {
  const program = h2specProgram();
  const shim = createServer({ allowHalfOpen: true }, (plain: Socket) => {
    const near = new SocketConn(plain, { side: 'downstream' });
    open()
      .then(async (far) => await copyBoth(near, far))
      .catch(() => plain.destroy());
  });
  shim.listen(0, '127.0.0.1');
  await once(shim, 'listening');
  const address = shim.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  try {
    const result = await runH2spec(program, { host: '127.0.0.1', port, arguments: sections });
    return { ...result, report: result.report.trim() };
  } finally {
    shim.close();
  }
}

async function secure(rig: Rig): Promise<ByteConn> {
  const socket = connectTls({
    host: '127.0.0.1',
    port: rig.port,
    key: client.privateKeyPem,
    cert: client.chainPem,
    ca: client.rootsPem,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => undefined);
  await once(socket, 'secureConnect');
  return new TlsConn(socket, { side: 'upstream' });
}

describe('h2spec', () => {
  it('passes against the tunnels of a waypoint', { timeout: TIMEOUT_MS }, async () => {
    await using rig = await startRig();
    const result = await specify(async () => await secure(rig), TUNNEL_SECTIONS);
    assert.deepEqual(result, { ...TUNNEL, failed: 0, report: '' });
  });

  it('passes whole inside of a tunnel', { timeout: TIMEOUT_MS }, async () => {
    await using backend = await TestServer.listen();
    await using rig = await startRig();
    rig.tell([
      { kind: 'service', service: service('HTTP2') },
      {
        kind: 'workload',
        workload: workload('reviews', backend.port, { tunnelProtocol: 'NONE' }),
      },
    ]);
    const result = await specify(async () => await rig.tunnel(client));
    assert.deepEqual(result, { passed: CASES, skipped: 0, failed: 0, report: '' });
  });
});
