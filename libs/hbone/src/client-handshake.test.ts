/** What a dial leaves behind that came to nothing: no connection, and no tunnel to a server that was revoked meanwhile. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import { systemClock } from '@ambit/core';
import { RevocationLists, type Revocations } from '@ambit/identity';
import { TestCa } from '@ambit/testkit';

import { HbonePool } from './pool.ts';
import { TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const SERVER = CA.workload('shop', 'server');
const CLIENT = CA.workload('shop', 'client');
const TARGET = { authority: '10.0.0.7:80' };

async function start() {
  const onConnect = (): never => assert.fail();
  const rig = await TunnelRig.start({ server: SERVER, client: CLIENT, onConnect });
  const dialled: Socket[] = [];
  const dial = async (): Promise<Socket> => {
    const socket = await rig.dial();
    dialled.push(socket);
    return socket;
  };
  return {
    rig,
    dialled,
    dial,
    [Symbol.asyncDispose]: async () => await rig[Symbol.asyncDispose](),
  };
}

describe('a dial that comes to nothing', () => {
  it('ends its socket where no handshake can begin', async () => {
    const { privateKeyPem } = CA.workload('shop', 'other');
    await using started = await start();
    const { rig, dialled, dial } = started;
    const pool = new HbonePool({
      clock: systemClock,
      // No key of the certificate's: there is no TLS context of it.
      identity: () => ({ ...CLIENT, privateKeyPem }),
      dial,
    });
    await assert.rejects(pool.connect(rig.key(), TARGET), /key values/);
    const [socket] = dialled;
    assert.ok(socket?.destroyed);
    if (!socket.closed) await once(socket, 'close');
  });

  it('takes no server that a list names which came during the handshake', async () => {
    const lists: Revocations | undefined = RevocationLists.parse(Buffer.from(CA.crl([SERVER])));
    const asked: (Revocations | undefined)[] = [];
    let revocations: Revocations | undefined;
    await using started = await start();
    const { rig, dialled, dial } = started;
    const pool = new HbonePool({
      clock: systemClock,
      identity: () => CLIENT,
      revocations: () => {
        asked.push(revocations);
        return revocations;
      },
      dial,
    });
    const connecting = assert.rejects(pool.connect(rig.key(), TARGET), { refusal: 'revoked' });
    while (asked.length === 0) await new Promise(setImmediate);
    revocations = lists;
    pool.recheck();
    await connecting;
    assert.equal(asked[0], undefined, 'the handshake began without the list');
    assert.equal(pool.size, 0);
    assert.equal(pool.counters.refusedPeers.revoked, 1);
    assert.ok(dialled.length === 1 && dialled.every(({ destroyed }) => destroyed));
  });
});
