import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { KubeClient } from './client.ts';
import { FakeApiServer, fail } from './fake-api-server.ts';
import { KubeHttp } from './http.ts';
import { RateLimiter } from './rate-limiter.ts';
import { until, WIDGETS, widget } from './reflector.testing.ts';
import { StatusWriter, type StatusWriterOptions } from './status-writer.ts';

const gvr = { group: 'test.ambit.io', version: 'v1', resource: 'widgets' };
const ref = { namespace: 'a', name: 'one' };

async function bed(options: Partial<StatusWriterOptions> = {}) {
  const server = new FakeApiServer([WIDGETS]);
  await server.start();
  server.put('widgets', widget('one', 1));
  const http = new KubeHttp({ credentials: server.credentials, clock: systemClock });
  const writer = new StatusWriter({
    client: new KubeClient({ http }),
    clock: systemClock,
    perSecond: 1000,
    random: () => 0.5,
    ...options,
  });
  return {
    server,
    writer,
    puts: () => server.requests.filter((request) => request.method === 'PUT'),
    status: () => server.get('widgets', 'a/one')?.['status'],
    async [Symbol.asyncDispose]() {
      await writer.stop();
      http.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

describe('StatusWriter', () => {
  it('writes the last wanted status of an object once', async () => {
    await using b = await bed();
    for (const n of [1, 2, 3]) {
      b.writer.write({ gvr, ref, compute: () => ({ n }) });
    }
    b.writer.start();
    await b.writer.drain();
    assert.deepEqual(b.status(), { n: 3 });
    assert.equal(b.puts().length, 1);
    assert.equal(b.puts()[0]?.url.pathname.endsWith('/widgets/one/status'), true);
  });

  it('writes nothing when nothing changes, the object is gone, or is another', async () => {
    await using b = await bed();
    b.server.put('widgets', { ...widget('one', 1), status: { n: 1 } });
    b.writer.start();
    const compute = () => ({ n: 1 });
    b.writer.write({ gvr, ref, compute });
    b.writer.write({ gvr, ref: { namespace: 'a', name: 'none' }, compute });
    await until(() => b.writer.depth === 0);
    b.writer.write({ gvr, ref, uid: 'other', compute: () => ({ n: 2 }) });
    await until(() => b.writer.depth === 0);
    b.writer.write({ gvr, ref, compute: () => undefined });
    await until(() => b.writer.depth === 0);
    assert.equal(b.puts().length, 0);
  });

  it('computes again from the new status after a conflict', async () => {
    await using b = await bed();
    let conflicts = 0;
    b.server.intercept = (request, response) => {
      if (request.method === 'PUT' && conflicts === 0) {
        conflicts += 1;
        b.server.put('widgets', { ...widget('one', 1), status: { theirs: 1 } });
        fail(response, 409, 'Conflict');
        return true;
      }
      return false;
    };
    b.writer.start();
    b.writer.write({ gvr, ref, compute: (current) => ({ ...current, ours: 1 }) });
    await until(() => b.writer.depth === 0);
    assert.deepEqual(b.status(), { theirs: 1, ours: 1 });
    assert.equal(conflicts, 1);
  });

  it('writes nothing when leadership is lost before the write', async () => {
    let asked = 0;
    const mayWrite = (): boolean => {
      asked += 1;
      return asked < 2;
    };
    await using b = await bed({ mayWrite });
    b.writer.start();
    b.writer.write({ gvr, ref, compute: () => ({ n: 1 }) });
    await until(() => b.writer.depth === 0);
    assert.equal(b.puts().length, 0);
    assert.equal(asked, 2);
  });

  it('does not lose what is wanted while an earlier status is written', async () => {
    await using b = await bed();
    b.writer.start();
    b.writer.write({
      gvr,
      ref,
      compute: () => {
        b.writer.write({ gvr, ref, compute: () => ({ n: 2 }) });
        return { n: 1 };
      },
    });
    await until(() => b.writer.depth === 0);
    assert.deepEqual(b.status(), { n: 2 });
  });
});

describe('RateLimiter', () => {
  it('lets the burst through at once and the rest in order', async () => {
    const clock = new FakeClock();
    const limiter = new RateLimiter({ clock, perSecond: 10, burst: 3 });
    const { signal } = new AbortController();
    const through: number[] = [];
    const takes = [0, 1, 2, 3, 4].map(async (n) => {
      await limiter.take(signal);
      through.push(n);
    });
    await systemClock.sleep(1);
    assert.deepEqual(through, [0, 1, 2]);
    clock.advance(100);
    await systemClock.sleep(1);
    assert.deepEqual(through, [0, 1, 2, 3]);
    clock.advance(100);
    await Promise.all(takes);
    assert.deepEqual(through, [0, 1, 2, 3, 4]);
  });
});
