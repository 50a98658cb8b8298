/** CONNECTs at port 15008 that are taken back in the read that brought them. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { connect as connectTls } from 'node:tls';

import { headers, RawPeer, reset, settled } from '@ambit/h2/testing';
import { TlsConn } from '@ambit/proxy';

import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

/** Fewer than end the session. */
const REQUESTS = 20;

describe('a tunnel that is taken back by the read that brought it', () => {
  it('has no application dialled for it', async () => {
    await using rig = new WorkerRig();
    rig.workloads(workload('server', { addresses: [rig.address(2)] }));
    rig.certify('server');
    await rig.addPod(2, 'server');
    const port = await rig.serve(2, (socket) => socket.resume());
    const { privateKeyPem, chainPem, rootsPem } = rig.ca.workload('shop', 'client');
    const from = {
      host: rig.address(2),
      port: 15_008,
      localAddress: rig.address(3),
    };
    const socket = connectTls({
      ...from,
      key: privateKeyPem,
      cert: chainPem,
      ca: rootsPem,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    try {
      const peer = new RawPeer(new TlsConn(socket, { side: 'upstream' }), 'client');
      peer.greetAsClient();
      await settled(5);
      const request = [':method', 'CONNECT', ':authority', `${rig.address(2)}:${port}`];
      const one = (n: number) => [headers(2 * n + 1, request), reset(2 * n + 1)];
      const all = Array.from({ length: REQUESTS }, (_, n) => one(n)).flat();
      // The last one stays: when it is answered, those before it have been looked at.
      const last = 2 * REQUESTS + 1;
      peer.send(Buffer.concat([...all, headers(last, request)]));
      const isAnswered = (): boolean =>
        peer.frames.some((text) => text.startsWith(`HEADERS ${last}`));
      while (!isAnswered()) {
        await settled(1);
      }
      assert.deepEqual(rig.dialled, [rig.address(2)]);
    } finally {
      socket.destroy();
    }
  });
});
