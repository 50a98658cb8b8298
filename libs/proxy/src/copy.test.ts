import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';

import { type CopyObserver, type CopyOptions, type CopyResult, copyBoth } from './copy.ts';
import { ProxyError } from './errors.ts';
import { connPair, Recorder } from './testing/index.ts';

/** Client and server at the outer ends of two joined connections. */
function joined({ onBytes, ...options }: CopyOptions & Pick<CopyObserver, 'onBytes'> = {}) {
  const [client, a] = connPair();
  const [b, server] = connPair();
  const { promise: done, resolve } = Promise.withResolvers<CopyResult>();
  let told = 0;
  const onDone = (result: CopyResult): void => {
    told += 1;
    assert.equal(told, 1);
    resolve(result);
  };
  copyBoth(a, b, { onDone, ...(onBytes && { onBytes }) }, options);
  return { client, server, done };
}

describe('copyBoth', () => {
  it('copies both ways, counts, and ends when both have ended', async () => {
    const seen: [boolean, number][] = [];
    const { client, server, done } = joined({ onBytes: (fromA, n) => seen.push([fromA, n]) });
    const [c, s] = [Recorder.on(client), Recorder.on(server)];
    client.write(Buffer.from('request'));
    client.end();
    await s.ended;
    assert.equal(s.text, 'request');
    server.write(Buffer.from('ok'));
    server.end();
    assert.deepEqual(await done, { bytesFromA: 7, bytesFromB: 2, end: 'finished' });
    assert.equal(c.text, 'ok');
    assert.equal(await c.closed, undefined);
    assert.deepEqual(seen, [
      [true, 7],
      [false, 2],
    ]);
  });

  it('lets one direction go on for as long as it likes after the other has ended', async () => {
    const clock = new FakeClock();
    const { client, server, done } = joined({ clock });
    const [c, s] = [Recorder.on(client), Recorder.on(server)];
    server.end();
    await c.ended;
    clock.advance(86_400_000);
    client.write(Buffer.from('late'));
    await s.until((r) => r.bytes === 4);
    client.end();
    assert.equal((await done).end, 'finished');
  });

  it('holds a fast writer back for a slow reader and loses nothing', async () => {
    const { client, server, done } = joined();
    const c = Recorder.on(client);
    const s = new Recorder();
    server.pause();
    server.start(s);
    const chunk = Buffer.alloc(64 * 1024);
    let sent = 0;
    let drains = -1;
    // Far more turns than the bound allows writes: without backpressure each would take a chunk.
    for (let turn = 0; turn < 200; turn += 1) {
      if (c.drains > drains) {
        drains = c.drains;
        while (client.write(chunk)) {
          sent += chunk.length;
        }
        sent += chunk.length;
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
    assert.ok(sent <= 8 * chunk.length, `${sent} bytes taken`);
    server.resume();
    await s.until((r) => r.bytes === sent);
    client.end();
    server.end();
    await done;
    assert.equal(c.drains > 0, true);
  });

  for (const vanished of ['client', 'server'] as const) {
    it(`ends cleanly towards the other side when the ${vanished} vanishes`, async () => {
      const ends = joined();
      const gone = ends[vanished];
      const other = vanished === 'client' ? ends.server : ends.client;
      const o = Recorder.on(other);
      Recorder.on(gone);
      gone.destroy(new MeshError('RESET', 'reset', { side: 'local' }));
      await o.ended;
      assert.deepEqual(o.events, ['end'], 'an end, not a reset');
      other.end();
      assert.equal((await ends.done).end, 'gone');
    });
  }

  it('cuts off a side that keeps sending to nobody', async () => {
    const { client, server, done } = joined();
    const s = Recorder.on(server);
    Recorder.on(client);
    client.destroy(new MeshError('RESET', 'reset', { side: 'local' }));
    await s.ended;
    server.write(Buffer.from('anybody?'));
    assert.ok((await s.closed) instanceof Error);
    assert.equal((await done).end, 'gone');
  });

  it('does not wait for ever for a side that neither sends nor ends', async () => {
    const clock = new FakeClock();
    const { client, server, done } = joined({ clock });
    const s = Recorder.on(server);
    Recorder.on(client);
    client.destroy(new MeshError('RESET', 'reset', { side: 'local' }));
    await s.ended;
    clock.advance(30_000);
    assert.ok((await s.closed) instanceof Error);
    assert.equal((await done).end, 'gone');
  });

  it('destroys both sides with the reason of the signal', async () => {
    const abort = new AbortController();
    const { client, server, done } = joined({ signal: abort.signal });
    const [c, s] = [Recorder.on(client), Recorder.on(server)];
    const reason = new MeshError('DENIED', 'policy change', { side: 'local' });
    abort.abort(reason);
    const result = await done;
    assert.equal(result.end, 'aborted');
    assert.equal(result.error, reason);
    assert.ok((await c.closed) instanceof Error);
    assert.ok((await s.closed) instanceof Error);
  });

  it('closes at once when the signal was aborted before', async () => {
    const { client, server, done } = joined({ signal: AbortSignal.abort() });
    Recorder.on(client);
    Recorder.on(server);
    const result = await done;
    assert.equal(result.end, 'aborted');
    assert.equal(result.error?.code, 'PROXY_ABORTED');
  });

  it('reports a failure that is no peer going away', async () => {
    const [client, a] = connPair();
    const [b, server] = connPair();
    const { promise: done, resolve } = Promise.withResolvers<CopyResult>();
    copyBoth(a, b, { onDone: resolve });
    Recorder.on(client);
    const s = Recorder.on(server);
    a.destroy(new ProxyError('PROXY_PEER_SILENT', 'timed out', { side: 'downstream' }));
    await s.ended;
    server.end();
    const result = await done;
    assert.equal(result.end, 'failed');
    assert.equal(result.error?.code, 'PROXY_PEER_SILENT');
  });
});
