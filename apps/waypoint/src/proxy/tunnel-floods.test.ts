/** Floods at the port for tunnels of a waypoint are told apart in metrics, and from those inside of tunnels. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { it } from 'node:test';
import { connect } from 'node:tls';
import { attackByHttp2, H2_ATTACKS } from '@ambit/h2/testing';
import { TlsConn } from '@ambit/proxy';
import { mergedText } from '@ambit/telemetry';
import { PORT, VIP } from '../testing.ts';
import { client, type Rig, startRig } from './proxy-worker.testing.ts';

const REQUEST = [':method', 'CONNECT', ':authority', `${VIP}:${PORT}`];

async function floods(rig: Rig): Promise<string[]> {
  rig.worker.receive({ kind: 'report', id: 1, what: 'metrics' });
  const report = rig.said.findLast((message) => message.kind === 'report');
  const text = await mergedText([report?.value as never]);
  return text.split('\n').filter((line) => /^ambit_[a-z0-9_]*floods_total\{/.test(line));
}

it('counts each flood of a tunnel by its reason', async () => {
  await using rig = await startRig();
  assert.deepEqual(await floods(rig), []);
  for (const [name, series] of [
    ['SETTINGS flood', 'ambit_tunnel_floods_total{reason="settings"} 1'],
    ['CONTINUATION flood', 'ambit_tunnel_floods_total{reason="boundsReached"} 1'],
  ] as const) {
    const attack = H2_ATTACKS.find((one) => one.name === name);
    assert.ok(attack !== undefined);
    const socket = connect({
      host: '127.0.0.1',
      port: rig.port,
      key: client.privateKeyPem,
      cert: client.chainPem,
      ca: client.rootsPem,
      ALPNProtocols: ['h2'],
      checkServerIdentity: () => undefined,
    });
    socket.on('error', () => undefined);
    await once(socket, 'secureConnect');
    await attackByHttp2(new TlsConn(socket, { side: 'upstream' }), attack, REQUEST);
    assert.ok((await floods(rig)).includes(series), series);
    socket.destroy();
  }
  assert.equal((await floods(rig)).length, 2, 'and nothing else');
});
