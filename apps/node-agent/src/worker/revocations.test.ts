/** A certificate that its CA has taken back, at the agents of both ends. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HbonePool, HboneServer } from '@ambit/hbone';
import { mergedText } from '@ambit/telemetry';

import { workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

async function refusals(rig: WorkerRig): Promise<string[]> {
  rig.send({ kind: 'report', id: 1, what: 'metrics' });
  const report = rig.messages.findLast((message) => message.kind === 'report');
  const text = await mergedText([report?.value as never]);
  return text.split('\n').filter((line) => line.startsWith('ambit_tunnel_peers_refused_total{'));
}

describe('a certificate that is revoked', () => {
  for (const [role, name] of [
    ['client', 'client'],
    ['server', 'server'],
  ] as const) {
    it(`ends what the ${role} has open, and lets nothing new begin`, async () => {
      await using rig = new WorkerRig();
      const material = {
        client: rig.ca.workload('shop', 'client'),
        server: rig.ca.workload('shop', 'server'),
      };
      rig.workloads(
        workload('client', { addresses: [rig.address(1)] }),
        workload('server', { addresses: [rig.address(2)] }),
      );
      for (const one of Object.values(material)) rig.send({ kind: 'certificate', material: one });
      const list = (...revoked: Parameters<typeof rig.ca.crl>[0]): void =>
        rig.send({
          kind: 'revocations',
          state: { kind: 'lists', file: Buffer.from(rig.ca.crl(revoked)) },
        });
      list();
      await Promise.all([rig.addPod(1, 'client'), rig.addPod(2, 'server')]);
      const port = await rig.serve(2, (socket) => socket.pipe(socket));
      const to = { address: rig.address(2), port };
      const open = await rig.connect(1, to);
      open.conn.write(Buffer.from('x'));
      await open.until((r) => r.bytes === 1);
      list(rig.ca.workload('shop', 'other'));
      open.conn.write(Buffer.from('y'));
      await open.until((r) => r.bytes === 2);

      list(material[name]);
      await open.ended;
      open.conn.end();
      await open.closed;
      assert.ok(rig.metric('ambit_tunnel_sessions_revoked_total') >= 1);
      const later = await rig.connect(1, to);
      assert.ok((await later.closed) instanceof Error);
      assert.match((await refusals(rig)).join('\n'), new RegExp(`role="${role}",reason="revoked"`));
      if (role === 'client') {
        const line = rig.lines.find(({ error }) => String(error).includes('(revoked)'));
        assert.match(String(line?.['src.addr']), /^127\./);
      }
    });
  }

  it('is ended at every pod, also where one before it fails', async ({ mock }) => {
    await using rig = new WorkerRig();
    const client = rig.ca.workload('shop', 'client');
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('server', { addresses: [rig.address(2)] }),
    );
    rig.send({ kind: 'certificate', material: client });
    rig.certify('server');
    // The order in which they are asked.
    await rig.addPod(1, 'client');
    await rig.addPod(2, 'server');
    const port = await rig.serve(2, (socket) => socket.pipe(socket));
    const open = await rig.connect(1, { address: rig.address(2), port });
    open.conn.write(Buffer.from('x'));
    await open.until((r) => r.bytes === 1);
    for (const end of [HboneServer, HbonePool]) {
      const recheck = mock.method(end.prototype, 'recheck');
      recheck.mock.mockImplementationOnce(() => {
        throw new Error('a defect');
      });
    }
    const file = Buffer.from(rig.ca.crl([client]));
    rig.send({ kind: 'revocations', state: { kind: 'lists', file } });
    await open.ended;
    const failures = rig.lines.filter(({ error }) => String(error).includes('a defect'));
    assert.deepEqual(
      failures.map(({ uid }) => uid),
      ['uid-client', 'uid-client'],
    );
  });

  it('may be anybody while lists cannot be applied', async () => {
    await using rig = new WorkerRig();
    await rig.clientAndServer();
    const port = await rig.serve(2, (socket) => socket.end('never'));
    rig.send({ kind: 'revocations', state: undefined as never });
    const client = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await client.closed) instanceof Error);
    assert.ok(rig.line('the revocation lists cannot be applied'));
  });

  it('may be anybody while the lists cannot be read', async () => {
    await using rig = new WorkerRig();
    rig.workloads(
      workload('client', { addresses: [rig.address(1)] }),
      workload('server', { addresses: [rig.address(2)] }),
    );
    rig.certify('client');
    rig.certify('server');
    rig.send({ kind: 'revocations', state: { kind: 'unusable', reason: 'bad' } });
    await Promise.all([rig.addPod(1, 'client'), rig.addPod(2, 'server')]);
    const port = await rig.serve(2, (socket) => socket.end('never'));
    const client = await rig.connect(1, { address: rig.address(2), port });
    assert.ok((await client.closed) instanceof Error);
    assert.match((await refusals(rig)).join('\n'), /reason="revocation_unknown"/);
  });
});
