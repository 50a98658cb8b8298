/** What a tunnel's headers may say: a service's name from anyone, a caller's name from the bound waypoint alone. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { HbonePool } from '@ambit/hbone';
import { duplexFromConn } from '@ambit/proxy/testing';
import { mergedText } from '@ambit/telemetry';
import { service, workload } from './testing/fixtures.ts';
import { WorkerRig } from './testing/worker-rig.ts';

const CALLER = 'spiffe://cluster.local/ns/shop/sa/client';
const WAYPOINT = 'spiffe://cluster.local/ns/shop/sa/waypoint';
const hostOf = (name: string): string => `${name}.shop.svc.cluster.local`;

/** A pod that serves `plain` and `named` on one port; one connection to it, whose line is returned. */
async function lineOf(
  rig: WorkerRig,
  from: { readonly account: string; readonly host: string; readonly isGuarded: boolean },
): Promise<Record<string, unknown>> {
  const port = await rig.serve(2, (socket) => socket.pipe(socket));
  const mapping = [{ servicePort: 80, targetPort: port, appProtocol: 'TCP' }] as const;
  const guard = { waypointIdentities: [WAYPOINT], ports: [port], exclusive: true, because: [] };
  const ports = [{ servicePort: 80, targetPort: port, appProtocol: 'TCP' }] as const;
  rig.resources({
    addresses: [
      { kind: 'service', service: service('plain', { ports }) },
      { kind: 'service', service: service('named', { ports }) },
      {
        kind: 'workload',
        workload: workload('server', {
          addresses: [rig.address(2)],
          services: { [`shop/${hostOf('plain')}`]: mapping, [`shop/${hostOf('named')}`]: mapping },
          ...(from.isGuarded && { guard }),
        }),
      },
    ],
  });
  rig.certify('server');
  await rig.addPod(2, 'server');
  const identity = rig.ca.workload('shop', from.account);
  const pool = new HbonePool({
    clock: systemClock,
    identity: () => identity,
    dial: async ({ address, port: hbonePort }) => {
      const socket = connect({ host: address, port: hbonePort, localAddress: rig.address(3) });
      await once(socket, 'connect');
      return socket;
    },
  });
  try {
    const { conn } = await pool.connect(
      {
        sourceIdentity: identity.identity,
        expectedIdentities: ['spiffe://cluster.local/ns/shop/sa/server'],
        address: rig.address(2),
        port: 15008,
        sourcePod: '',
      },
      {
        authority: `${rig.address(2)}:${port}`,
        headers: { 'x-ambit-source': CALLER, forwarded: `for="10.0.0.9:4000";host=${from.host}` },
      },
    );
    const socket = duplexFromConn(conn);
    socket.end('x');
    assert.equal((await socket.toArray()).join(''), 'x');
    await rig.until(() => rig.line('connection complete') !== undefined);
  } finally {
    pool.destroy();
  }
  return rig.line('connection complete') ?? {};
}

describe('a tunnel to a pod', () => {
  const cases = [
    ['the bound waypoint', 'waypoint', 'named', { isGuarded: true, caller: CALLER }],
    ['another workload', 'stranger', 'named', { isGuarded: false, caller: undefined }],
    ['the waypoint of others', 'waypoint', 'plain', { isGuarded: false, caller: undefined }],
  ] as const;
  for (const [who, account, name, { isGuarded, caller }] of cases) {
    it(`from ${who} names ${caller === undefined ? 'no' : 'the'} caller, and the service`, async () => {
      await using rig = new WorkerRig();
      const line = await lineOf(rig, { account, host: hostOf(name), isGuarded });
      assert.equal(line['src.caller'], caller);
      assert.equal(line['src.identity'], `spiffe://cluster.local/ns/shop/sa/${account}`);
      assert.match(String(line['src.addr']), new RegExp(`^${rig.address(3)}:`));
      assert.equal(line['dst.service'], hostOf(name));
      rig.send({ kind: 'report', id: 1, what: 'metrics' });
      const report = rig.messages.find(({ kind }) => kind === 'report');
      assert.ok(report?.kind === 'report');
      const text = await mergedText([report.value as never]);
      assert.match(
        text,
        new RegExp(
          `istio_tcp_connections_closed_total\\{[^}]*destination_service="${hostOf(name)}"`,
        ),
      );
      assert.ok(text.includes(`source_principal="spiffe://cluster.local/ns/shop/sa/${account}"`));
    });
  }

  it('is told by a name that the pod does not serve no more than by none', async () => {
    await using rig = new WorkerRig();
    const from = { account: 'waypoint', host: 'bank.other.svc.cluster.local', isGuarded: true };
    assert.equal((await lineOf(rig, from))['dst.service'], hostOf('plain'));
  });
});
