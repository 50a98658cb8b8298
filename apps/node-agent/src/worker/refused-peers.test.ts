/** A peer whose certificate is refused for what it names: the agent's log and metrics say for what. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectTcp } from 'node:net';
import { describe, it } from 'node:test';
import { connect } from 'node:tls';

import type { TestCa, TestIdentity } from '@ambit/testkit';

import { WorkerRig } from './testing/worker-rig.ts';

const HBONE_PORT = 15_008;
const ID = 'spiffe://cluster.local/ns/shop/sa/client';
const uri = (value: string) => ({ tag: 6, value });

const PEERS: readonly (readonly [string, string, (ca: TestCa) => TestIdentity])[] = [
  ['two ids', 'several_uris', (ca) => ca.odd(ID, { names: [uri(ID), uri(`${ID}2`)] })],
  ['a NUL behind the id', 'not_spiffe', (ca) => ca.odd(ID, { names: [uri(`${ID}\0`)] })],
  ['another trust domain', 'trust_domain', (ca) => ca.issue('spiffe://other/ns/shop/sa/client')],
];

describe('a peer with a certificate of the right CA', () => {
  for (const [what, reason, issue] of PEERS) {
    it(`that has ${what} is refused as ${reason}`, async () => {
      await using rig = new WorkerRig();
      await rig.clientAndServer();
      const { privateKeyPem, chainPem } = issue(rig.ca);
      const from = rig.address(9);
      const socket = connect({
        socket: connectTcp({ host: rig.address(2), port: HBONE_PORT, localAddress: from }),
        key: privateKeyPem,
        cert: chainPem,
        ca: rig.ca.rootPem,
        ALPNProtocols: ['h2'],
        checkServerIdentity: () => undefined,
      });
      socket.on('error', () => undefined);
      socket.resume();
      await once(socket, 'close');
      assert.deepEqual(rig.metricValues('ambit_tunnel_peers_refused_total'), [
        { labels: { role: 'client', reason }, value: 1 },
      ]);
      const line = rig.lines.find(({ error }) => String(error).includes(`(${reason})`));
      assert.equal(line?.['code'], 'HBONE_PEER_IDENTITY');
      assert.match(String(line['src.addr']), new RegExp(`^${from.replaceAll('.', '\\.')}:\\d+$`));
      assert.equal(line['direction'], 'inbound');
    });
  }

  it('that names itself once is served, and nothing is said', async () => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    const port = await rig.serve(2, (socket) => socket.pipe(socket));
    const client = await rig.connect(1, { address: rig.address(2), port });
    client.conn.write(Buffer.from('x'));
    await client.until(({ bytes }) => bytes === 1);
    assert.deepEqual(rig.metricValues('ambit_tunnel_peers_refused_total'), []);
  });
});
