import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { Counter } from 'prom-client';

import {
  loggingRoute,
  metricsRoute,
  profileRoutes,
  readinessRoute,
  registryText,
} from './admin-routes.ts';
import { AdminServer, jsonResponse } from './admin-server.ts';
import { createLogger, LogLevels } from './log.ts';
import { createRegistry, mergedText, snapshotOf } from './metrics.ts';
import { Readiness } from './readiness.ts';

describe('AdminServer', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ambit-admin-'));
  const socketPath = join(folder, 'admin.sock');
  const levels = new LogLevels('off');
  const readiness = new Readiness();
  const registry = createRegistry();
  const clock = new FakeClock();
  const workers = new Map<string, () => Promise<Readable>>([
    [
      'worker-0',
      () => Promise.resolve(Readable.from([Buffer.from('of '), Buffer.from('worker 0')])),
    ],
    ['worker-1', () => Promise.reject(new Error('it is not running'))],
    ['worker-2', () => new Promise<Readable>(() => undefined)],
  ]);
  const log = createLogger({ scope: 'admin', levels, sink: { write() {} }, wallNow: () => 0 });
  const server = new AdminServer({
    title: 'test',
    log,
    routes: [
      readinessRoute('/healthz/ready', readiness),
      loggingRoute(levels),
      metricsRoute('/metrics', registryText(registry)),
      ...profileRoutes(clock, () => workers),
      {
        method: 'GET',
        path: '/v1/objects/*',
        summary: 'objects',
        handle: ({ path }) => jsonResponse({ path }),
      },
      {
        method: 'GET',
        path: '/broken',
        summary: '',
        handle: () => {
          throw new Error('broken on purpose');
        },
      },
    ],
  });

  const ask = (method: string, path: string, body = '', headers = {}) =>
    new Promise<{ status: number; type: string; text: string }>((resolve, reject) => {
      const call = request({ socketPath, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () =>
          resolve({
            status: response.statusCode ?? 0,
            type: response.headers['content-type'] ?? '',
            text: Buffer.concat(chunks).toString(),
          }),
        );
      });
      call.on('error', reject);
      call.end(body);
    });

  before(async () => {
    await server.listen({ socketPath });
  });
  after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
  });

  it('tells what readiness waits for', async () => {
    const hold = readiness.hold('state manager');
    assert.deepEqual(await ask('GET', '/healthz/ready'), {
      status: 500,
      type: 'text/plain; charset=utf-8',
      text: 'not ready, pending: state manager\n',
    });
    hold[Symbol.dispose]();
    assert.equal((await ask('GET', '/healthz/ready')).text, 'ready\n');
  });

  for (const [method, path, status] of [
    ['GET', '/', 200],
    ['GET', '/v1/objects/Service/shop/reviews', 200],
    ['GET', '/v1/objects', 404],
    ['GET', '/nothing', 404],
    ['GET', '/logging', 405],
    ['POST', '/logging?level=loud', 400],
    ['GET', '/broken', 500],
    ['GET', '/debug/pprof/profile?seconds=0', 400],
    ['GET', '/debug/pprof/profile?seconds=301', 400],
    ['GET', '/debug/pprof/heap?thread=main', 200],
    ['GET', '/debug/pprof/heap?thread=worker-0', 200],
    ['GET', '/debug/pprof/heap?thread=worker-3', 400],
    ['GET', '/debug/pprof/heap?thread=', 400],
    ['GET', '/debug/pprof/heap?thread=worker-1', 500],
  ] as const) {
    it(`answers ${status} to ${method} ${path}`, async () => {
      const answer = await ask(method, path);
      assert.equal(answer.status, status);
      assert.doesNotMatch(answer.text, /\.ts:\d+/, 'no stack leaves the process');
    });
  }

  it('changes log levels', async () => {
    assert.equal(
      (await ask('POST', '/logging?level=access:debug')).text,
      'current log level is access=debug,off\n',
    );
  });

  it('refuses a body over the bound', async () => {
    assert.equal((await ask('POST', '/logging', 'x'.repeat(1_048_577))).status, 413);
  });

  it('serves metrics, with the end mark for OpenMetrics only', async () => {
    const counter = new Counter({ name: 'test_total', help: 'test', registers: [registry] });
    counter.inc(2);
    assert.match((await ask('GET', '/metrics')).text, /^test_total 2$/m);
    const open = await ask('GET', '/metrics', '', { accept: 'application/openmetrics-text' });
    assert.match(open.text, /# EOF\n$/);
    assert.match(open.type, /^application\/openmetrics-text/);
  });

  it('takes a heap snapshot, of the main thread if no other is asked for', async () => {
    const answer = await ask('GET', '/debug/pprof/heap');
    assert.equal(answer.status, 200);
    assert.match(answer.text.slice(0, 40), /^\{"snapshot":/);
    assert.equal((await ask('GET', '/debug/pprof/heap?thread=worker-0')).text, 'of worker 0');
    assert.equal(
      (await ask('GET', '/debug/pprof/heap?thread=x')).text,
      'no such thread, there are main, worker-0, worker-1, worker-2\n',
    );
  });

  it('gives a thread up that takes no snapshot, and takes one at a time', async () => {
    const silent = ask('GET', '/debug/pprof/heap?thread=worker-2');
    while ((await ask('GET', '/debug/pprof/heap?thread=worker-0')).status !== 409) {
      // The first has not come yet.
    }
    clock.advance(60_000);
    assert.equal((await silent).status, 504);
    assert.equal((await ask('GET', '/debug/pprof/heap?thread=worker-0')).status, 200);
  });
});

it('mergedText adds what two workers counted', async () => {
  const snapshots = await Promise.all(
    [1, 2].map(async (n) => {
      const registry = createRegistry();
      new Counter({
        name: 'a_total',
        help: 'a',
        labelNames: ['side'],
        registers: [registry],
      }).inc({ side: 'x' }, n);
      return structuredClone(await snapshotOf(registry));
    }),
  );
  assert.match(await mergedText(snapshots), /a_total\{side="x"\} 3/);
});
