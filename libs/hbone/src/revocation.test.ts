/** Open sessions with peers that are revoked: both ends end them, whoever is told first. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RevocationLists, type RevocationProblem, type Revocations } from '@ambit/identity';
import { Recorder } from '@ambit/proxy/testing';
import { TestCa, type TestIdentity } from '@ambit/testkit';

import type { ConnectAnswer } from './server-session.ts';
import { TunnelRig } from './testing/index.ts';

const CA = new TestCa();
const SERVER = CA.workload('shop', 'server');
const CLIENT = CA.workload('shop', 'client');
const TARGET = { authority: '10.0.0.7:80' };

const echo: ConnectAnswer = {
  status: 200,
  serve: (conn) => {
    conn.start({
      onData: (chunk) => void conn.write(chunk),
      onEnd: () => conn.end(),
      onDrain: () => undefined,
      onClose: () => undefined,
    });
  },
};

const listOf = (revoked: readonly TestIdentity[]): RevocationLists | undefined =>
  RevocationLists.parse(Buffer.from(CA.crl(revoked)));

describe('a session with a peer that is revoked', () => {
  for (const [title, revoked, end, role] of [
    ['is ended by the server', CLIENT, 'server', 'client'],
    ['is ended by the client', SERVER, 'pool', 'server'],
  ] as const) {
    it(title, async () => {
      let revocations: Revocations | undefined;
      await using rig = await TunnelRig.start({
        server: SERVER,
        client: CLIENT,
        onConnect: () => echo,
        revocations: () => revocations,
      });
      const { conn } = await rig.pool.connect(rig.key(), TARGET);
      const got = Recorder.on(conn);
      conn.write(Buffer.from('x'));
      await got.until((r) => r.bytes === 1);
      revocations = listOf([CA.workload('shop', 'other')]);
      rig[end].recheck();
      conn.write(Buffer.from('y'));
      await got.until((r) => r.bytes === 2);
      assert.equal(rig[end].counters.endedByRecheck, 0);

      revocations = listOf([revoked]);
      rig[end].recheck();
      assert.ok((await got.closed) instanceof Error);
      assert.equal(rig[end].counters.endedByRecheck, 1);
      assert.equal(rig[end].counters.refusedPeers.revoked, 1);
      await assert.rejects(rig.pool.connect(rig.key(), TARGET));
      assert.equal(rig[end].counters.refusedPeers.revoked, 2, role);
    });
  }

  for (const end of ['server', 'pool'] as const) {
    it(`is ended by the ${end} if it cannot be judged, and the next is judged all the same`, async () => {
      const answers: (() => RevocationProblem)[] = [];
      await using rig = await TunnelRig.start({
        server: SERVER,
        client: CLIENT,
        onConnect: () => echo,
        revocations: () => ({ problemOf: () => answers.shift()?.() }),
      });
      const ended: Promise<unknown>[] = [];
      for (const sourcePod of ['pod-1', 'pod-2']) {
        const { conn } = await rig.pool.connect({ ...rig.key(), sourcePod }, TARGET);
        ended.push(Recorder.on(conn).closed);
      }
      answers.push(
        () => {
          throw new Error('of another library');
        },
        () => ({ kind: 'revoked', reason: 'it is on the list' }),
      );
      rig[end].recheck();
      assert.ok((await Promise.all(ended)).every((reason) => reason instanceof Error));
      assert.equal(rig[end].counters.endedByRecheck, 2);
      assert.equal(rig[end].counters.refusedPeers.revocation_unknown, 1);
      assert.equal(rig[end].counters.refusedPeers.revoked, 1);
    });
  }

  it('goes on where the list has run out, while nobody new is taken', async () => {
    let revocations: Revocations | undefined;
    await using rig = await TunnelRig.start({
      server: SERVER,
      client: CLIENT,
      onConnect: () => echo,
      revocations: () => revocations,
    });
    const { conn } = await rig.pool.connect(rig.key(), TARGET);
    const got = Recorder.on(conn);
    revocations = RevocationLists.parse(
      Buffer.from(CA.crl([], { nextUpdateMs: Date.now() - 1000 })),
    );
    rig.server.recheck();
    rig.pool.recheck();
    conn.write(Buffer.from('x'));
    await got.until((r) => r.bytes === 1);
    await assert.rejects(rig.pool.connect({ ...rig.key(), sourcePod: 'pod-2' }, TARGET), {
      refusal: 'revocation_unknown',
    });
  });
});
