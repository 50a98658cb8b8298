/**
 * A keepsake leads to the session that the work was on, and that to the key that it was made with. While such a session lasts, its key is
 * there anyhow; what is kept beyond its end must be of the key in use.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { keepsake } from '@ambit/core';
import { isCollected } from '@ambit/core/testing';
import { TestCa } from '@ambit/testkit';

import { TunnelRig } from './testing/index.ts';

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
