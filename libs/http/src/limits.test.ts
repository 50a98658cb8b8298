/** Bounds that are reached: what answers, and what is counted. */
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { ask } from './fixtures/client.ts';
import { startBackend, startHarness } from './fixtures/harness.ts';

describe('HttpEngine, at its bounds', () => {
  it('answers 503 with OM beyond the requests it works on', async () => {
    const go = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    await using backend = await startBackend((_request, response) => {
      arrived.resolve();
      go.promise.then(
        () => response.end(),
        () => undefined,
      );
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      limits: { requestsMax: 1 },
    });
    const first = ask({ port: harness.port });
    await arrived.promise;
    assert.equal((await ask({ port: harness.port })).status, 503);
    assert.deepEqual((await harness.nextRequest()).flags, ['OM']);
    assert.equal(harness.engine.counters.overloaded, 1);
    go.resolve();
    assert.equal((await first).status, 200);
  });

  it('leaves a mirror out beyond those in flight', async () => {
    await using backend = await startBackend((_request, response) => response.end('ok'));
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      limits: { mirrorsMax: 0 },
      objects: [
        {
          kind: 'VirtualService',
          spec: {
            hosts: ['reviews'],
            http: [{ route: [{ destination: { host: 'reviews' } }], mirror: { host: 'reviews' } }],
          },
        },
      ],
    });
    assert.equal((await ask({ port: harness.port })).status, 200);
    assert.equal(harness.engine.counters.mirrorsDropped, 1);
  });

  it('refuses TLS towards an endpoint rather than sending in clear', async () => {
    await using backend = await startBackend((_request, response) => response.end('ok'));
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [
        {
          kind: 'DestinationRule',
          spec: { host: 'reviews', trafficPolicy: { tls: { mode: 'SIMPLE' } } },
        },
      ],
    });
    assert.equal((await ask({ port: harness.port })).status, 503);
    assert.deepEqual((await harness.nextRequest()).flags, ['NC']);
    assert.equal(harness.plane.dials, 0);
  });

  it('waits for a connection where maxConnections says so, and refuses beyond the queue', async () => {
    const go = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    await using backend = await startBackend((_request, response) => {
      arrived.resolve();
      go.promise.then(
        () => response.end(),
        () => undefined,
      );
    });
    await using harness = await startHarness({
      backends: [{ name: 'v1', port: backend.port }],
      objects: [
        {
          kind: 'DestinationRule',
          spec: {
            host: 'reviews',
            trafficPolicy: {
              connectionPool: { tcp: { maxConnections: 1 }, http: { http1MaxPendingRequests: 1 } },
            },
          },
        },
      ],
    });
    const first = ask({ port: harness.port });
    await arrived.promise;
    const others = [ask({ port: harness.port }), ask({ port: harness.port })];
    assert.equal((await Promise.race(others)).status, 503);
    go.resolve();
    assert.equal((await first).status, 200);
    const statuses = (await Promise.all(others)).map(({ status }) => status);
    assert.deepEqual(statuses.sort(), [200, 503]);
    assert.equal(harness.plane.dials, 1);
  });

  it('lets those who wait go on when a new configuration lets them, without another request', async () => {
    const limited = (maxConnections: number) => [
      {
        kind: 'DestinationRule',
        spec: {
          host: 'reviews',
          trafficPolicy: { connectionPool: { tcp: { maxConnections } } },
        },
      },
    ];
    const go = Promise.withResolvers<void>();
    const arrivals = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let requests = 0;
    await using backend = await startBackend((_request, response) => {
      arrivals[requests++]?.resolve();
      go.promise.then(
        () => response.end(),
        () => undefined,
      );
    });
    const backends = [{ name: 'v1', port: backend.port }];
    await using harness = await startHarness({ backends, objects: limited(1) });
    const waiting = () => harness.engine.clusters.values()[0]?.breaker.held('pending');
    const asked = [ask({ port: harness.port })];
    await arrivals[0]?.promise;
    asked.push(ask({ port: harness.port }));
    while (waiting() !== 1) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    harness.plane.configure(limited(2));
    assert.equal(harness.engine.recheck(), 0);
    await arrivals[1]?.promise;
    go.resolve();
    assert.deepEqual(
      (await Promise.all(asked)).map(({ status }) => status),
      [200, 200],
    );
    assert.equal(harness.plane.dials, 2);
  });

  it('drains: ends idle connections, lets work finish', async () => {
    const go = Promise.withResolvers<void>();
    const arrived = Promise.withResolvers<void>();
    await using backend = await startBackend((_request, response) => {
      arrived.resolve();
      go.promise.then(
        () => response.end('done'),
        () => undefined,
      );
    });
    await using harness = await startHarness({ backends: [{ name: 'v1', port: backend.port }] });
    const idle = connect(harness.port, '127.0.0.1');
    idle.on('error', () => undefined);
    const closed = new Promise((resolve) => idle.once('close', resolve));
    idle.resume();
    idle.write('GET /%zz HTTP/1.1\r\nhost: a\r\n\r\n');
    await harness.nextRequest();
    const agent = new Agent({ keepAlive: true });
    const busy = ask({ port: harness.port, agent });
    await arrived.promise;
    const drained = harness.engine.drain();
    await closed;
    go.resolve();
    const answer = await busy;
    assert.deepEqual([answer.body, answer.headers.connection], ['done', 'close']);
    await drained;
    assert.equal(harness.engine.live, 0);
    agent.destroy();
  });
});
