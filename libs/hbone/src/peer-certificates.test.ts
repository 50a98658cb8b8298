/** Certificates that are signed by the right CA and wrong all the same, shown in real handshakes, in both roles. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp, type Socket } from 'node:net';
import { describe, it } from 'node:test';
import { connect as connectTls, createServer, type TLSSocket } from 'node:tls';

import { systemClock } from '@ambit/core';
import { TestCa, type TestIdentity } from '@ambit/testkit';

import { HboneError } from './errors.ts';
import { refusedPeersFamily } from './peer-metrics.ts';
import type { PeerRefusal } from './peer-refusals.ts';
import { HbonePool } from './pool.ts';
import { TunnelRig } from './testing/index.ts';
import { tlsContextOptions } from './tls.ts';

const CA = new TestCa();
const OURS = CA.workload('shop', 'ours');
const ID = 'spiffe://cluster.local/ns/shop/sa/theirs';
const strangers = new TestCa('strangers');
const uri = (value: string) => ({ tag: 6, value });
const HOUR_MS = 3_600_000;

/** Of the peer; what it trusts is right, so that the refusal is ours. */
const odd = (options: Parameters<TestCa['odd']>[1]): TestIdentity => CA.odd(ID, options);
const WRONG: readonly (readonly [string, PeerRefusal, TestIdentity])[] = [
  ['a NUL behind the id', 'not_spiffe', odd({ names: [uri(`${ID}\0`)] })],
  ['a NUL and a name behind the id', 'not_spiffe', odd({ names: [uri(`${ID}\0.evil.example`)] })],
  ['a list in one name', 'not_spiffe', odd({ names: [uri(`x, URI:${ID}`)] })],
  ['a name in quotes', 'not_spiffe', odd({ names: [uri(`"${ID}"`)] })],
  ['no SPIFFE id', 'not_spiffe', odd({ names: [uri('https://example.org/')] })],
  ['two ids', 'several_uris', odd({ names: [uri(ID), uri(`${ID}2`)] })],
  ['the same id twice', 'several_uris', odd({ names: [uri(ID), uri(ID)] })],
  ['a DNS name beside', 'other_names', odd({ names: [uri(ID), { tag: 2, value: 'a.b' }] })],
  [
    'an address beside',
    'other_names',
    odd({ names: [uri(ID), { tag: 7, value: '\x7f\0\0\x01' }] }),
  ],
  ['a mail address before', 'other_names', odd({ names: [{ tag: 1, value: 'a@b' }, uri(ID)] })],
  ['a registered id beside', 'other_names', odd({ names: [uri(ID), { tag: 8, value: '*' }] })],
  ['no name at all', 'no_uri', odd({ names: [] })],
  ['a CA', 'ca', odd({ isCa: true })],
  ['key usage of a CA', 'ca', odd({ keyUsage: 0x86 })],
  ['no key usage', 'usage', odd({ keyUsage: undefined })],
  ['a key that may not sign', 'usage', odd({ keyUsage: 0x20 })],
  ['no extended key usage', 'usage', odd({ extendedUsage: undefined })],
  ['a use outside TLS', 'usage', odd({ extendedUsage: ['1.3.6.1.5.5.7.3.3'] })],
  ['another trust domain', 'trust_domain', CA.issue('spiffe://other.domain/ns/shop/sa/theirs')],
  ['another CA', 'chain', { ...strangers.issue(ID), rootsPem: CA.rootPem }],
  ['an end that has passed', 'expired', CA.issue(ID, { notAfterMs: Date.now() - 1_000 })],
  [
    'a beginning that has not come',
    'expired',
    CA.issue(ID, { notBeforeMs: Date.now() + HOUR_MS / 2 }),
  ],
];
const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';
const SERVER_AUTH = '1.3.6.1.5.5.7.3.1';

async function closeOf(socket: TLSSocket): Promise<void> {
  socket.on('error', () => undefined);
  socket.resume();
  await new Promise<void>((resolve) => socket.once('close', () => resolve()));
}

describe('a server of tunnels', () => {
  const wrong = [
    ...WRONG,
    ['the use of servers alone', 'usage', odd({ extendedUsage: [SERVER_AUTH] })] as const,
  ];
  for (const [what, reason, client] of wrong) {
    it(`refuses a client with ${what}: ${reason}`, async () => {
      await using rig = await TunnelRig.start({
        server: OURS,
        client: OURS,
        onConnect: () => ({ status: 400, reason: 'nobody gets here' }),
      });
      const options = { ...tlsContextOptions(client), ALPNProtocols: ['h2'] };
      const socket = connectTls({
        port: rig.port,
        host: '127.0.0.1',
        ...options,
        checkServerIdentity: () => undefined,
      });
      const { port: localPort } = await once(socket, 'connect').then(
        () => ({ port: socket.localPort }),
        () => ({ port: undefined }),
      );
      await closeOf(socket);
      assert.equal(rig.server.counters.refusedPeers[reason], 1);
      assert.equal(
        Object.values(rig.server.counters.refusedPeers).reduce((a, b) => a + b),
        1,
      );
      assert.equal(rig.server.counters.tunnels, 0);
      assert.deepEqual(
        refusedPeersFamily({ servers: [rig.server.counters], pools: [rig.pool.counters] }).values,
        [{ labels: { role: 'client', reason }, value: 1 }],
      );
      const [rejected] = rig.rejected;
      assert.ok(rejected?.error instanceof HboneError);
      assert.equal(rejected.error.refusal, reason);
      assert.match(rejected.error.message, new RegExp(`\\(${reason}\\)`));
      assert.equal(rejected.remoteAddress, '127.0.0.1');
      if (localPort !== undefined) assert.equal(rejected.remotePort, localPort);
      assert.equal(rig.rejected.length, 1);
    });
  }

  it('refuses a client without a certificate: no_certificate', async () => {
    await using rig = await TunnelRig.start({
      server: OURS,
      client: OURS,
      onConnect: () => ({ status: 400, reason: 'nobody gets here' }),
    });
    const socket = connectTls({
      port: rig.port,
      host: '127.0.0.1',
      ca: CA.rootPem,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    await closeOf(socket);
    assert.equal(rig.server.counters.refusedPeers.no_certificate, 1);
    assert.equal(rig.rejected[0]?.remoteAddress, '127.0.0.1');
  });

  it('takes a client whose certificate is for clients alone', async () => {
    await using rig = await TunnelRig.start({
      server: OURS,
      client: odd({ extendedUsage: [CLIENT_AUTH] }),
      onConnect: ({ peer }) => ({ status: peer.uri === ID ? 401 : 400, reason: 'heard' }),
    });
    await assert.rejects(rig.pool.connect(rig.key(), { authority: '10.0.0.7:80' }), {
      status: 401,
    });
  });
});

describe('a client of tunnels', () => {
  /** Why the pool refuses a server with this certificate. */
  async function refusalOf(server: TestIdentity): Promise<HboneError> {
    const tls = createServer({
      ...tlsContextOptions(server),
      requestCert: true,
      ALPNProtocols: ['h2'],
    });
    tls.on('tlsClientError', () => undefined);
    tls.on('secureConnection', (socket) => socket.on('error', () => undefined).resume());
    tls.listen(0, '127.0.0.1');
    await once(tls, 'listening');
    const address = tls.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    const pool = new HbonePool({
      clock: systemClock,
      identity: () => OURS,
      dial: async () => {
        const socket: Socket = connectTcp({ port, host: '127.0.0.1' });
        await once(socket, 'connect');
        return socket;
      },
    });
    const key = {
      sourceIdentity: OURS.identity,
      expectedIdentities: [ID, 'spiffe://other.domain/ns/shop/sa/theirs'],
      address: '127.0.0.1',
      port,
      sourcePod: 'pod',
    };
    try {
      const failed = await pool
        .connect(key, { authority: '10.0.0.7:80' })
        .catch((error: unknown) => error);
      assert.ok(failed instanceof HboneError, String(failed));
      const counted = Object.entries(pool.counters.refusedPeers).filter(([, n]) => n > 0);
      assert.deepEqual(counted, [[failed.refusal, 1]]);
      return failed;
    } finally {
      pool.destroy();
      tls.close();
    }
  }

  const wrong = [
    ...WRONG,
    ['the use of clients alone', 'usage', odd({ extendedUsage: [CLIENT_AUTH] })] as const,
    ['another identity', 'unexpected', CA.workload('shop', 'other')] as const,
  ];
  for (const [what, reason, server] of wrong) {
    it(`refuses a server with ${what}: ${reason}`, async () => {
      const error = await refusalOf(server);
      assert.equal(error.refusal, reason);
      assert.match(error.message, new RegExp(`\\(${reason}\\)`));
    });
  }
});
