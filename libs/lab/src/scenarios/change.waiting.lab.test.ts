/** Change: it arrives everywhere and is acknowledged; without the controller everything goes on. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import {
  admin,
  type Bed,
  clientYaml,
  conditionsOf,
  echoYaml,
  inForce,
  makeBed,
  namespaceYaml,
  serviceYaml,
  yaml,
} from './bed.ts';
import type { Caller } from './caller.ts';

/** Thirty seconds, as it is promised; a soak takes longer. */
const AWAY_MS = 30_000;

function denyPath(path: string): string {
  return yaml({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { name: 'paths', namespace: 'shop' },
    spec: {
      selector: { matchLabels: { app: 'web' } },
      action: 'DENY',
      rules: [{ to: [{ operation: { paths: [path] } }] }],
    },
  });
}

describe('change', () => {
  let bed: Bed;
  let client: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
        clientYaml({ name: 'second', node: 'node2' }),
        denyPath('/first'),
      ].join(''),
    );
    client = bed.caller('shop/client');
    await inForce(bed.lab, 'AuthorizationPolicy/shop/paths');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  const statusOf = async (path: string): Promise<number> =>
    (await client.http({ url: `http://web${path}` })).status;

  it('of a file reaches everybody concerned and becomes Enforced', async () => {
    assert.equal(await statusOf('/first'), 403);
    bed.lab.apply(denyPath('/second'));
    await bed.lab.waitFor(async () => (await statusOf('/second')) === 403, {
      what: 'the change',
      timeoutMs: 5_000,
    });
    assert.equal(await statusOf('/first'), 200);
    await inForce(bed.lab, 'AuthorizationPolicy/shop/paths');
    const accepted = conditionsOf(bed.lab, 'AuthorizationPolicy/shop/paths').find(
      ({ type }) => type === 'Accepted',
    );
    assert.equal(accepted?.status, 'True');
  });

  it('waits while the controller is gone; traffic, mTLS and policy go on, new connections included', async () => {
    const capture = await bed.lab.capture();
    await bed.lab.stopComponent('controller');
    await client.startLoad('away', { url: 'http://web/canary-while-away' }, 50);
    await bed.lab.clock.sleep(AWAY_MS);
    assert.equal(await statusOf('/second'), 403, 'policy goes on');
    const report = await client.stopLoad('away');
    await capture.stop();
    assert.deepEqual(report.errors, {}, 'every request succeeded');
    assert.ok(report.ok > (AWAY_MS / 50) * 0.5, `${report.ok} requests`);
    assert.equal(capture.contains('canary-while-away'), false, 'mTLS goes on');
  });

  it('is all that is sent when the controller comes back', async () => {
    bed.lab.startComponent('controller');
    await bed.lab.waitFor(allSettled, { what: 'every proxy to be back', timeoutMs: 30_000 });
    assert.deepEqual(await pushed(), [], 'nothing changed, so nothing is sent');
    await client.startLoad('back', { url: 'http://web/' }, 20);
    bed.lab.apply(denyPath('/third'));
    await bed.lab.waitFor(async () => (await statusOf('/third')) === 403, {
      what: 'the change after the return',
    });
    const report = await client.stopLoad('back');
    assert.deepEqual(report.errors, {});
    assert.equal(await statusOf('/second'), 200);
    assert.deepEqual(await pushed(), ['Object changed 1'], 'the one object, to its waypoint');
  });

  /** Two agents and a waypoint are connected, and each has answered for every type that it asked for. */
  const allSettled = async (): Promise<boolean> => {
    const dump = (await admin(bed.lab, 'controller', '/config_dump')) as {
      streams: readonly { types: Readonly<Record<string, { isSettled: boolean }>> }[];
    };
    return (
      dump.streams.length === 3 &&
      dump.streams.every(({ types }) => {
        // What proxies say of themselves; nothing is ever sent for it.
        const known = Object.entries(types).filter(
          ([type]) => !['Capture', 'Trust'].includes(type),
        );
        return known.length > 0 && known.every(([, { isSettled }]) => isSettled);
      })
    );
  };
  /** `TYPE changed|removed COUNT` of the resources that this controller has sent since it started. */
  const pushed = async (): Promise<readonly string[]> => {
    const text = String(await admin(bed.lab, 'controller', '/metrics'));
    const lines = text.matchAll(/pushed_resources_total\{type="(\w+)",what="(\w+)"\} (\d+)/gu);
    return [...lines]
      .filter(([, , , count]) => count !== '0')
      .map(([, type, what, count]) => `${type} ${what} ${count}`);
  };
});
