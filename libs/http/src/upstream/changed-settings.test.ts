/** Connections that were opened before a cluster's settings changed are not used under the new ones. */
import assert from 'node:assert/strict';
import { createServer, type Http2Server } from 'node:http2';
import { connect, createServer as createTcpServer } from 'node:net';
import { describe, it } from 'node:test';
import { FakeClock } from '@ambit/core/testing';
import { SocketConn } from '@ambit/proxy';
import type { Cluster } from '@ambit/routing';
import { listen } from '../fixtures/harness.ts';
import { HeaderList } from '../headers.ts';
import { ClusterStates } from './cluster-state.ts';
import { Http2Sessions } from './http2.ts';
import type { UpstreamLink } from './message.ts';
import { SocketPool } from './socket-pool.ts';

const clock = new FakeClock();

/** Links to one endpoint of a cluster, as its settings are now. */
function linksTo(port: number) {
  const states = new ClusterStates({ clock, random: () => 0 });
  const dials: number[] = [];
  const link = (maxConnections: number): UpstreamLink => ({
    key: 'one endpoint, one caller',
    cluster: states.of({
      name: 'outbound|80||reviews',
      loadBalancer: {},
      connectionPool: { tcp: { maxConnections } },
    } as Cluster),
    dial: () => {
      dials.push(maxConnections);
      const { promise, resolve, reject } = Promise.withResolvers<SocketConn>();
      const socket = connect({ host: '127.0.0.1', port });
      socket.once('connect', () => resolve(new SocketConn(socket, { side: 'upstream' })));
      socket.once('error', reject);
      return promise;
    },
  });
  return { link, dials };
}

const { signal } = new AbortController();

describe('after a change of the settings', () => {
  it('an idle connection is used while they stay, and no longer', async () => {
    const server = createTcpServer((socket) => socket.on('error', () => undefined));
    const { link, dials } = linksTo(await listen(server));
    const pool = new SocketPool({ clock, idleMax: 8 });
    for (const maxConnections of [5, 5, 1]) {
      const pooled = await pool.take(link(maxConnections), signal);
      assert.equal(pooled.link.cluster.breaker.held('connections'), 1);
      pool.give(pooled);
    }
    assert.deepEqual(dials, [5, 1]);
    assert.equal(pool.counters.reused, 1);
    pool.destroy();
    server.close();
  });

  it('an HTTP/2 session is used while they stay, and no longer', async () => {
    const server: Http2Server = createServer((_request, response) => response.end());
    const { link, dials } = linksTo(await listen(server));
    const sessions = new Http2Sessions({ clock, sessionsMax: 8 });
    for (const maxConnections of [5, 5, 1]) {
      const { status, stream } = await sessions.request(link(maxConnections), {
        method: 'GET',
        scheme: 'http',
        authority: 'reviews',
        path: '/',
        headers: new HeaderList(),
        body: undefined,
        trailers: () => undefined,
        signal,
      });
      assert.equal(status, 200);
      stream.resume();
    }
    assert.deepEqual(dials, [5, 1]);
    sessions.destroy();
    server.close();
  });
});
