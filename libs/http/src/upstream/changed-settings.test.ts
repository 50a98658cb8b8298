/** Sessions that were opened before a cluster's settings changed are not used under the new ones. */
import assert from 'node:assert/strict';
import { createServer, type Http2Server } from 'node:http2';
import { connect } from 'node:net';
import { it } from 'node:test';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { SocketConn } from '@ambit/proxy';
import type { Cluster } from '@ambit/routing';
import { listen } from '../fixtures/harness.ts';
import { HeaderList } from '../headers.ts';
import { ClusterStates } from './cluster-state.ts';
import { Http2Pool } from './http2-pool.ts';
import type { UpstreamLink } from './message.ts';

/** Links to one endpoint of a cluster, as its settings are now. */
function linksTo(port: number) {
  const states = new ClusterStates({ clock: new FakeClock(), random: () => 0 });
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

function statusOf(pool: Http2Pool, link: UpstreamLink): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  pool.request(
    link,
    {
      method: 'GET',
      scheme: 'http',
      authority: 'reviews',
      path: '/',
      headers: new HeaderList(),
      body: undefined,
    },
    {
      onResponse: ({ status, body }) =>
        body.start({ onData: () => undefined, onEnd: () => resolve(status), onFailed: reject }),
      onFailed: reject,
    },
  );
  return promise;
}

it('an HTTP/2 session is used while the settings stay, and no longer', async () => {
  const server: Http2Server = createServer((_request, response) => response.end());
  const { link, dials } = linksTo(await listen(server));
  const pool = new Http2Pool({ clock: systemClock, sessionsMax: 8 });
  for (const maxConnections of [5, 5, 1]) {
    assert.equal(await statusOf(pool, link(maxConnections)), 200);
  }
  assert.deepEqual(dials, [5, 1]);
  pool.destroy();
  server.close();
});
