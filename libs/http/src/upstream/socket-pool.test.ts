/** How long connections to endpoints are kept, as a connection pool says. */
import assert from 'node:assert/strict';
import { connect, createServer } from 'node:net';
import { after, before, describe, it } from 'node:test';
import type { ConnectionPoolSettings } from '@ambit/api';
import { FakeClock } from '@ambit/core/testing';
import { SocketConn } from '@ambit/proxy';
import type { Cluster } from '@ambit/routing';
import { listen } from '../fixtures/harness.ts';
import { ClusterStates } from './cluster-state.ts';
import type { UpstreamLink } from './message.ts';
import { SocketPool } from './socket-pool.ts';

const { signal } = new AbortController();

describe('SocketPool', () => {
  const server = createServer((socket) => socket.on('error', () => undefined));
  let port: number;
  before(async () => {
    port = await listen(server);
  });
  after(() => void server.close());

  const linkOf = (clock: FakeClock, connectionPool: ConnectionPoolSettings): UpstreamLink => ({
    key: 'one endpoint, one caller',
    cluster: new ClusterStates({ clock, random: () => 0 }).of({
      name: 'outbound|80||reviews',
      loadBalancer: {},
      connectionPool,
    } as Cluster),
    dial: () => {
      const { promise, resolve, reject } = Promise.withResolvers<SocketConn>();
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('connect', () => resolve(new SocketConn(socket, { side: 'upstream' })));
      socket.once('error', reject);
      return promise;
    },
  });

  for (const [maxRequestsPerConnection, opened] of [
    [0, 1],
    [1, 4],
    [2, 2],
  ] as const) {
    it(`opens ${opened} for four requests at ${maxRequestsPerConnection} a connection`, async () => {
      const clock = new FakeClock();
      const pool = new SocketPool({ clock, idleMax: 8 });
      const link = linkOf(clock, { http: { maxRequestsPerConnection } });
      for (let request = 0; request < 4; request += 1) {
        pool.give(await pool.take(link, signal));
      }
      assert.equal(pool.counters.opened, opened);
      pool.destroy();
    });
  }

  for (const [title, settings, isClosed] of [
    ['idleTimeout of http', { http: { idleTimeoutMs: 15_000 } }, true],
    ['idleTimeout of tcp', { tcp: { idleTimeoutMs: 15_000 } }, true],
    ['an hour by default', {}, false],
  ] as const) {
    it(`closes what is idle: ${title}`, async () => {
      const clock = new FakeClock();
      const pool = new SocketPool({ clock, idleMax: 8 });
      const running = pool.run();
      pool.give(await pool.take(linkOf(clock, settings), signal));
      for (let sweep = 0; sweep < 3; sweep += 1) {
        clock.advance(10_000);
        await new Promise((resolve) => setImmediate(resolve));
      }
      assert.equal(pool.counters.idleClosed, isClosed ? 1 : 0);
      pool.destroy();
      await running;
    });
  }
});
