/** A waypoint that stands behind its pod's agent: the tunnel ends in the agent, and PROXY protocol tells whose it was. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';

import { HbonePool } from '@ambit/hbone';

import { service, workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const CLIENT = 'spiffe://cluster.local/ns/shop/sa/client';
const HEADER_BYTES = 16 + 12 + 3 + CLIENT.length;

describe('a proxy behind its agent', () => {
  it('is told of client, identity and destination before the first byte', async () => {
    await using rig = new WorkerRig();
    let heard = Buffer.alloc(0);
    const port = await rig.serve('loopback', (socket) => {
      socket.on('data', (chunk: Buffer) => {
        heard = Buffer.concat([heard, chunk]);
        if (heard.length === HEADER_BYTES + 5) socket.end('seen');
      });
    });
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('waypoint', {
        addresses: [rig.address(2)],
        applicationTunnel: { protocol: 'PROXY', port },
      }),
    );
    rig.certify('client');
    rig.certify('waypoint');
    await Promise.all([rig.addPod(1, 'client'), rig.addPod(2, 'waypoint')]);
    const client = await rig.connect(1, { address: rig.address(2), port: 8080 });
    client.conn.write(Buffer.from('hello'));
    client.conn.end();
    await client.closed;
    assert.equal(client.text, 'seen');
    assert.equal(heard.subarray(0, 12).toString('hex'), '0d0a0d0a000d0a515549540a');
    assert.equal(heard.subarray(16, 20).join('.'), rig.address(1));
    assert.equal(heard.subarray(20, 24).join('.'), rig.address(2));
    assert.equal(heard.readUInt16BE(26), 8080);
    assert.equal(heard[28], 0xd0);
    assert.equal(heard.subarray(31, HEADER_BYTES).toString(), CLIENT);
    assert.equal(heard.subarray(HEADER_BYTES).toString(), 'hello');
  });

  it('is not dialled where it could not be told', async () => {
    await using rig = new WorkerRig();
    const port = await rig.serve('loopback', () => undefined);
    const odd = service('odd', { addresses: [{ network: '', address: 'nowhere' }] });
    rig.resources({ addresses: [{ kind: 'service', service: odd }] });
    rig.workloads(
      workload('waypoint', {
        addresses: [rig.address(2)],
        applicationTunnel: { protocol: 'PROXY', port },
      }),
    );
    rig.certify('waypoint');
    await rig.addPod(2, 'waypoint');
    const pool = new HbonePool({
      clock: rig.clock,
      identity: () => rig.ca.workload('shop', 'client'),
      dial: async () => {
        const socket = connect({
          host: rig.address(2),
          port: 15_008,
          localAddress: rig.address(1),
        });
        await once(socket, 'connect');
        return socket;
      },
    });
    const key = {
      sourceIdentity: CLIENT,
      expectedIdentities: ['spiffe://cluster.local/ns/shop/sa/waypoint'],
      address: rig.address(2),
      port: 15_008,
      sourcePod: 'uid-client',
    };
    const asked = pool.connect(key, { authority: `${odd.hostname}:80` });
    await assert.rejects(asked, { status: 503 });
    assert.deepEqual(rig.dialled, []);
    pool.destroy();
  });
});
