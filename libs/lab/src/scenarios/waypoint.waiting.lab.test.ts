/** Waypoints that people ask for: a Gateway of either class, and the label that sends a service through it. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml } from './bed.ts';
import type { Caller } from './caller.ts';
import { gatewayYaml, serviceThroughYaml } from './waypoints.ts';

describe('waypoints by Gateway', () => {
  let bed: Bed;
  let client: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceThroughYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
      ].join(''),
    );
    client = bed.caller('shop/client');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  /** The waypoint's account that the server was told about; empty when none was on the way. */
  const seenBy = async (): Promise<string> => {
    const echo = await client.echo('http://web/');
    const header = echo.headers['x-forwarded-client-cert'] ?? '';
    return /By=spiffe:\/\/[^/]+\/ns\/shop\/sa\/([^;,]+)/.exec(header)?.[1] ?? '';
  };
  const becomes = async (expected: string): Promise<void> => {
    await bed.lab.waitFor(async () => (await seenBy()) === expected, {
      what: `traffic to go through "${expected}"`,
      timeoutMs: 20_000,
    });
  };

  it('are not there unless somebody asks', async () => {
    assert.equal(await seenBy(), '');
    assert.equal(bed.lab.cluster.pods.all.length, 2);
  });

  for (const [name, className] of [
    ['gate', 'istio-waypoint'],
    ['door', 'ambit-waypoint'],
  ] as const) {
    it(`of class ${className} carry a service that is labelled with their name`, async () => {
      bed.lab.apply(gatewayYaml(name, { className }));
      bed.lab.apply(serviceThroughYaml('web', name));
      await becomes(name);
      const echo = await client.echo('http://web/', {
        'x-forwarded-client-cert': 'URI=spiffe://forged',
      });
      const header = echo.headers['x-forwarded-client-cert'] ?? '';
      assert.match(header, /URI=spiffe:\/\/cluster\.local\/ns\/shop\/sa\/client$/);
      assert.doesNotMatch(header, /forged/);
      const tcp = await client.tcp({ host: 'web', port: 9000, send: 'word' });
      assert.match(tcp.received, /^word/, 'TCP goes through it too');
    });
  }

  it('leave the way when the label goes, and end with their Gateway', async () => {
    bed.lab.apply(serviceThroughYaml('web'));
    await becomes('');
    bed.lab.delete('Gateway/shop/gate');
    bed.lab.delete('Gateway/shop/door');
    await bed.lab.waitFor(() => bed.lab.cluster.pods.all.length === 2, {
      what: 'the waypoints to end',
    });
    assert.equal(await seenBy(), '');
  });
});
