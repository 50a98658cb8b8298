/** The world of the scenarios itself, without a mesh: what is wrong here is no fault of the mesh. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Bed, clientYaml, echoYaml, makeBed, namespaceYaml, serviceYaml } from './bed.ts';
import type { Caller } from './caller.ts';

describe('the programs of the scenarios', () => {
  let bed: Bed;
  let client: Caller;
  before(async () => {
    bed = await makeBed(
      [
        namespaceYaml('shop'),
        echoYaml({ name: 'web', node: 'node2' }),
        serviceYaml('web'),
        clientYaml({ name: 'client', node: 'node1' }),
      ].join(''),
      { mesh: false },
    );
    client = bed.caller('shop/client');
  });
  after(async () => await bed[Symbol.asyncDispose]());

  it('speak HTTP/1.1, HTTP/2, gRPC and WebSocket on one port', async () => {
    const echo = await client.echo('http://web/path?a=b', { 'x-test': 'yes' });
    assert.deepEqual(
      [echo.path, echo.headers['x-test'], echo.authority],
      ['/path?a=b', 'yes', 'web'],
    );
    const http2 = await client.http2({ url: 'http://web/two' });
    assert.equal(JSON.parse(http2.body).path, '/two');
    const grpc = await client.http2({ url: 'http://web/pkg.Service/Method', grpc: true });
    assert.equal(grpc.trailers?.['grpc-status'], '0');
    const socket = await client.http({
      url: 'http://web/ws',
      headers: {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
        'sec-websocket-version': '13',
      },
    });
    assert.deepEqual([socket.status, socket.body], [101, 'through the upgrade']);
    assert.equal((await client.http({ url: 'http://web/?status=418' })).status, 418);
  });

  it('speak TCP: echo with half-close, server first, much data, connections that stay', async () => {
    const from = bed.lab.pod('shop/client').addresses[0];
    const { addresses } = await client.dns('web', 4);
    const host = addresses[0] ?? '';
    const echo = await client.tcp({ host, port: 9000, send: 'word' });
    assert.match(echo.received, new RegExp(`^wordbye web-.* ${from}$`));
    const first = await client.tcp({ host, port: 9001, wait: true, send: 'after' });
    assert.match(first.received, /^hello from web-.*\nafter$/);
    assert.equal((await client.tcp({ host, port: 9002 })).bytes, 64 << 20);
    assert.equal((await client.hold('one', host, 9000)).ok, true);
    assert.deepEqual(await client.ping('one'), { ok: true });
  });

  it('count: many requests, and a load with its longest gap', async () => {
    const tally = await client.many({ url: 'http://web/' }, 50);
    assert.deepEqual(tally.versions, { v1: 50 });
    await client.startLoad('load', { url: 'http://web/' }, 5);
    await client.many({ url: 'http://web/' }, 50);
    const report = await client.stopLoad('load');
    assert.equal(report.ok, report.sent);
    assert.deepEqual(report.errors, {});
  });

  it('hold connections of every kind, and tell how each ended', async () => {
    await client.release();
    for (const as of ['tcp', 'upgraded', 'streaming', 'idle'] as const) {
      assert.equal((await client.hold(as, 'web', as === 'tcp' ? 9000 : 80, as)).ok, true, as);
    }
    for (const as of ['tcp', 'upgraded', 'streaming']) {
      assert.deepEqual(await client.ping(as), { ok: true }, as);
    }
    assert.deepEqual(await client.ends(), {});
    const { name } = bed.lab.pod('web').plan;
    bed.lab.kill(`pod/shop/${name}`, 'SIGTERM');
    await bed.lab.waitFor(async () => Object.keys(await client.ends()).length === 4, {
      what: 'the end of all of them',
    });
    assert.equal((await client.ends())['idle']?.error, 'CLOSED');
  });
});
