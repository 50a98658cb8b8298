/** Settings of a cluster change: what was opened before is not used under the new ones, and nobody waits for places of the old. */
import assert from 'node:assert/strict';
import { createServer, type Http2Server } from 'node:http2';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import type { ConnectionPoolSettings } from '@ambit/api';
import { systemClock } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import { headers } from '@ambit/h2/testing';
import { SocketConn } from '@ambit/proxy';
import type { Cluster } from '@ambit/routing';
import { listen } from '../fixtures/harness.ts';
import { http1Rig, OK } from '../fixtures/http1-rig.ts';
import { http2Rig } from '../fixtures/http2-rig.ts';
import { type Answer, settle } from '../fixtures/upstream.ts';
import { HeaderList } from '../headers.ts';
import { ClusterStates } from './cluster-state.ts';
import { Http2Pool } from './http2-pool.ts';
import type { UpstreamLink } from './message.ts';
import type { PlaceUser } from './places.ts';

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

/** The answer to the first request of a session. */
const END = headers(1, [':status', '200'], 0x1);

/** A stream of bytes, of any length. */
const STREAM: PlaceUser = {
  isWaiting: () => false,
  placeFreed: () => undefined,
  giveUpIdle: () => false,
};

for (const version of [1, 2] as const) {
  describe(`HTTP/${version}: requests that wait when the settings change`, () => {
    /** One waits for a place that a stream of bytes has. */
    async function waiting(asked = 1) {
      const rig = version === 1 ? http1Rig() : http2Rig();
      const { server } = rig;
      const link = (maxConnections: number, http?: ConnectionPoolSettings['http']): UpstreamLink =>
        server.endpoint.link({ tcp: { maxConnections }, ...(http && { http }) });
      const old = link(1).cluster;
      assert.ok(old.places.hold(STREAM));
      const answers: Answer[] = [];
      for (let request = 0; request < asked; request += 1) {
        answers.push(rig.ask({ path: `/${request}` }, link(1)).answer);
      }
      await settle();
      assert.equal(server.conns.length, 0);
      return { rig, server, link, old, answers };
    }

    it('hold up nobody who comes under the new ones', async () => {
      const { rig, server, link, old } = await waiting();
      // There is no room for those who wait.
      const now = link(1, { http1MaxPendingRequests: 1 });
      rig.ask({}, now);
      await settle();
      assert.equal(server.conns.length, 1);
      assert.equal(now.cluster.breaker.held('connections'), 1);
      assert.equal(old.breaker.held('pending') + now.cluster.breaker.held('pending'), 1);
    });

    it('get places that there are now', async () => {
      const { server, link, old } = await waiting(2);
      const { cluster } = link(2);
      await settle();
      assert.equal(server.conns.length, version === 1 ? 2 : 1);
      assert.deepEqual(
        [old, cluster].map(({ breaker }) => breaker.held('pending')),
        [0, 0],
      );
      assert.equal(old.breaker.held('connections'), 1, 'of the stream alone');
    });

    it('get them after two changes in one turn', async () => {
      const { server, link } = await waiting();
      link(2);
      link(3);
      await settle();
      assert.equal(server.conns.length, 1);
      assert.equal(link(3).cluster.breaker.held('connections'), 1);
    });

    it('go on waiting where the new ones let fewer wait', async () => {
      const { server, link, old, answers } = await waiting(2);
      const { cluster } = link(1, { http1MaxPendingRequests: 1 });
      assert.ok(cluster.places.hold(STREAM));
      await settle();
      assert.deepEqual(
        [old, cluster].map(({ breaker }) => breaker.held('pending')),
        [1, 1],
      );
      assert.deepEqual(
        answers.map(({ summary }) => summary),
        ['nothing', 'nothing'],
      );
      old.places.release(STREAM);
      await settle();
      assert.deepEqual([server.conns.length, old.breaker.held('pending')], [1, 0]);
      cluster.places.release(STREAM);
      await settle();
      assert.deepEqual([server.conns.length, cluster.breaker.held('pending')], [2, 0]);
    });

    it('may be asked for under the old ones still', async () => {
      const { rig, server, link } = await waiting();
      const before = link(1);
      const { cluster } = link(5);
      rig.ask({}, before);
      await settle();
      assert.equal(server.conns.length, version === 1 ? 2 : 1);
      assert.equal(cluster.breaker.held('connections'), server.conns.length);
    });

    it('leave no idle connection of the old ones behind', async () => {
      const rig = version === 1 ? http1Rig() : http2Rig();
      const link = (maxConnections: number, key: string): UpstreamLink =>
        rig.server.endpoint.link({ tcp: { maxConnections } }, key);
      const { cluster } = link(2, 'a');
      const answer = () => ('peer' in rig ? rig.peer(0).send(END) : rig.server.say(OK));
      rig.ask({}, link(2, 'a'));
      await settle();
      answer();
      await settle();
      const gate = Promise.withResolvers<void>();
      rig.server.gate = gate.promise;
      rig.ask({}, link(2, 'b'));
      await settle();
      assert.equal(cluster.breaker.held('connections'), 2);
      link(3, 'a');
      await settle();
      assert.equal(cluster.breaker.held('connections'), 1, 'of the dial');
      gate.resolve();
      await settle();
      if ('peer' in rig) {
        rig.peer(1);
      } else {
        rig.server.say(OK);
      }
      await settle();
      assert.equal(cluster.breaker.held('connections'), 0);
    });
  });
}
