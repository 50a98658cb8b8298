/**
 * The conformance suite of HTTP/2, strict, against what a waypoint listens on: its port for tunnels, and inside of a tunnel.
 * There is no other listener of HTTP/2. A shim speaks TLS, and opens the tunnel, for a suite that knows neither. Needs Go.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';
import { systemClock } from '@ambit/core';
import { h2specProgram, runH2spec, TestServer } from '@ambit/h2/testing';
import { copyBoth, SocketConn } from '@ambit/proxy';
import { service, workload } from '../testing.ts';
import { client, startRig } from './proxy-worker.testing.ts';

/** The first run on a machine builds the program. */
const TIMEOUT_MS = 300_000;
const GATHER_MS = 4;
const CASES = 146;
const WHOLE = { passed: CASES, skipped: 0, failed: 0, report: '' };

type Relay = (plain: Socket) => Promise<void>;

async function specify(relay: Relay): Promise<object> {
  const program = h2specProgram();
  const shim = createServer({ allowHalfOpen: true }, (plain) => {
    plain.on('error', () => undefined);
    relay(plain).catch(() => plain.destroy());
  });
  shim.listen(0, '127.0.0.1');
  await once(shim, 'listening');
  const address = shim.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  try {
    const result = await runH2spec(program, { host: '127.0.0.1', port });
    return { ...result, report: result.report.trim() };
  } finally {
    shim.close();
  }
}

/**
 * Through TLS. What the suite sends at once stays together: a tunnel that is refused is over at once, and the second of two frames
 * would otherwise come too late to be what is looked at.
 */
async function secure(plain: Socket, port: number): Promise<void> {
  const socket = connectTls({
    host: '127.0.0.1',
    port,
    key: client.privateKeyPem,
    cert: client.chainPem,
    ca: client.rootsPem,
    ALPNProtocols: ['h2'],
    checkServerIdentity: () => undefined,
  });
  socket.on('error', () => plain.destroy());
  await once(socket, 'secureConnect');
  let waiting: Buffer[] = [];
  const flush = (): void => {
    socket.write(Buffer.concat(waiting));
    waiting = [];
  };
  plain.on('data', (chunk: Buffer) => {
    waiting.push(chunk);
    if (waiting.length === 1) {
      systemClock.sleep(GATHER_MS).then(flush, () => undefined);
    }
  });
  plain.once('close', () => socket.destroy());
  socket.pipe(plain);
}

describe('h2spec', () => {
  it('passes against the tunnels of a waypoint', { timeout: TIMEOUT_MS }, async () => {
    await using rig = await startRig();
    const result = await specify((plain) => secure(plain, rig.port));
    assert.deepEqual(result, WHOLE);
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
    const result = await specify(async (plain) => {
      const near = new SocketConn(plain, { side: 'downstream' });
      const far = await rig.tunnel(client);
      await new Promise((resolve) => {
        copyBoth(near, far, { onDone: resolve });
      });
    });
    assert.deepEqual(result, WHOLE);
  });
});
