/** Certificates that their CA has taken back, at a waypoint: callers of its tunnels, and endpoints behind it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Recorder } from '@ambit/proxy/testing';
import { mergedText } from '@ambit/telemetry';

import { service, workload } from '../testing.ts';
import { ask, ca, client, type Rig, startRig, stranger } from './proxy-worker.testing.ts';

const list = (revoked: Parameters<typeof ca.crl>[0]) =>
  ({
    kind: 'revocations',
    state: { kind: 'lists', file: Buffer.from(ca.crl(revoked)) },
  }) as const;

async function metrics({ worker, said }: Rig): Promise<string> {
  worker.receive({ kind: 'report', id: 1, what: 'metrics' });
  const report = said.findLast((message) => message.kind === 'report');
  return await mergedText([report?.value as never]);
}

function tellOfReviews(rig: Rig): void {
  rig.tell([
    { kind: 'service', service: service('HTTP11') },
    { kind: 'workload', workload: workload('reviews', rig.backendPort) },
  ]);
}

describe('a waypoint that is told of revocations', () => {
  it('ends the tunnels of a caller who is revoked, takes no new ones, and goes on with others', async () => {
    await using rig = await startRig();
    tellOfReviews(rig);
    rig.worker.receive(list([]));
    const mine = Recorder.on(await rig.tunnel(client));
    rig.worker.receive(list([client]));
    await mine.closed;
    await assert.rejects(rig.tunnel(client));
    assert.equal((await ask(await rig.tunnel(stranger))).status, 200);
    const text = await metrics(rig);
    assert.match(text, /ambit_tunnel_peers_refused_total\{role="client",reason="revoked"\} 2/);
    assert.match(text, /ambit_tunnel_sessions_revoked_total 1/);
  });

  it('goes on where they cannot be applied, and takes nobody', async () => {
    await using rig = await startRig();
    tellOfReviews(rig);
    const mine = Recorder.on(await rig.tunnel(client));
    rig.worker.receive({ kind: 'revocations', state: undefined as never });
    await assert.rejects(rig.tunnel(stranger));
    assert.match(JSON.stringify(rig.lines), /the revocation lists cannot be applied/);
    rig.worker.receive(list([client]));
    await mine.closed;
    assert.equal((await ask(await rig.tunnel(stranger))).status, 200);
  });

  it('asks no endpoint whose status nobody knows', async () => {
    await using rig = await startRig();
    tellOfReviews(rig);
    const before = await rig.tunnel(client);
    rig.worker.receive({ kind: 'revocations', state: { kind: 'unusable', reason: 'bad' } });
    assert.equal((await ask(before)).status, 503);
    assert.match(await metrics(rig), /\{role="server",reason="revocation_unknown"\} [1-9]/);
  });
});
