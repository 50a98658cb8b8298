/**
 * A keepsake leads to the session that the work was on, and that to the key that it was made with. While such a session lasts, its key is
 * there anyhow; what is kept beyond its end must be of the key in use.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';

import { forgetKeepsakes, keepsake } from '@ambit/core';
import { isCollected } from '@ambit/core/testing';
import { TestCa, type TestIdentity } from '@ambit/testkit';

import { TunnelRig } from './testing/index.ts';
import { ALPN, tlsContextOptions } from './tls.ts';

const CA = new TestCa();

function kept(): WeakRef<object> {
  const work = { of: 'a test' };
  keepsake('test', work);
  return new WeakRef(work);
}

async function rigWithTunnel() {
  const rig = await TunnelRig.start({
    server: CA.workload('shop', 'server'),
    client: CA.workload('shop', 'client'),
    onConnect: () => ({ status: 200, serve: (conn) => conn.end() }),
  });
  await rig.pool.connect(rig.key(), { authority: '10.0.0.1:80' });
  return rig;
}

async function endOfSessions(rig: TunnelRig): Promise<void> {
  rig.pool.destroy();
  while (rig.pool.size + rig.server.live > 0) await new Promise(setImmediate);
}

describe('what is kept of the last work, when a session ends', () => {
  type Change = (rig: TunnelRig) => unknown;
  const cases: readonly (readonly [name: string, change: Change, isGone: boolean])[] = [
    ['made under the certificates in use', () => undefined, false],
    [
      'the server of which has another certificate now',
      (rig) => {
        rig.serverIdentity = CA.workload('shop', 'server');
      },
      true,
    ],
    [
      'the client of which has another certificate now',
      async (rig) => {
        rig.clientIdentity = CA.workload('shop', 'client');
        await rig.pool.connect(rig.key(), { authority: '10.0.0.1:80' });
      },
      true,
    ],
    [
      'the server of which has a certificate that has ended',
      (rig) => {
        rig.serverIdentity = CA.expired('shop', 'server');
      },
      true,
    ],
  ];
  for (const [name, change, isGone] of cases) {
    it(`is ${isGone ? 'let go' : 'kept'} after one ${name}`, async () => {
      await using rig = await rigWithTunnel();
      await change(rig);
      const work = kept();
      await endOfSessions(rig);
      assert.equal(await isCollected(work), isGone);
    });
  }
});

describe('the certificate of an idle server', () => {
  type Change = (rig: TunnelRig) => unknown;
  const cases: readonly (readonly [name: string, change: Change, isGone: boolean])[] = [
    ['while it is in use', () => undefined, false],
    [
      'when there is another',
      (rig) => {
        rig.serverIdentity = CA.workload('shop', 'server');
      },
      true,
    ],
    [
      'when there is none any more',
      (rig) => {
        Object.defineProperty(rig, 'serverIdentity', {
          get: () => assert.fail('there is none'),
        });
      },
      true,
    ],
  ];
  for (const [name, change, isGone] of cases) {
    it(`is ${isGone ? 'let go' : 'kept'} ${name}`, async () => {
      await using rig = await TunnelRig.start({
        server: CA.workload('shop', 'other'),
        client: CA.workload('shop', 'client'),
        onConnect: () => ({ status: 200, serve: (conn) => conn.end() }),
      });
      const own = new WeakRef(renewed(rig));
      await rig.pool.connect(rig.key(), { authority: '10.0.0.1:80' });
      await endOfSessions(rig);
      change(rig);
      assert.equal(rig.server.recheckRoots(), 0);
      forgetKeepsakes();
      assert.equal(await isCollected(own), isGone);
    });
  }

  it('is not missed by handshakes that have begun, nor by those that follow', async () => {
    await using rig = await TunnelRig.start({
      server: CA.workload('shop', 'server'),
      client: CA.workload('shop', 'client'),
      onConnect: () => ({ status: 200, serve: (conn) => conn.end() }),
    });
    const socket = await rig.dial();
    while (rig.sockets.length === 0) await new Promise(setImmediate);
    renewed(rig);
    rig.server.recheckRoots();
    const secured = connectTls({
      socket,
      ...tlsContextOptions(rig.clientIdentity),
      ALPNProtocols: [ALPN],
      checkServerIdentity: () => undefined,
    });
    await once(secured, 'secureConnect');
    assert.equal(secured.authorized, true);
    secured.destroy();
    await rig.pool.connect(rig.key(), { authority: '10.0.0.1:80' });
  });
});

/** Not a value of the test, which would keep it. */
function renewed(rig: TunnelRig): TestIdentity {
  const identity = CA.workload('shop', 'server');
  rig.serverIdentity = identity;
  return identity;
}
