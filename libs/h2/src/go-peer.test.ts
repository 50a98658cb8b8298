/**
 * Conversations with Go, in both roles and with both of its implementations, made by seed: each side has to see exactly what
 * the other meant. `AMBIT_FUZZ_FACTOR=20` holds twenty times as many. Needs Go.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { systemClock } from '@ambit/core';
import { SocketConn } from '@ambit/proxy';
import { ClientSession } from './session/client-session.ts';
import { newH2Counters } from './session/counters.ts';
import { MESH_LIMITS } from './session/limits.ts';
import type { Result } from './testing/conversation.ts';
import { answerPlanned, askPlanned } from './testing/conversation-sides.ts';
import { TestServer } from './testing/echo-server.ts';
import { GO_PEERS, GoPeer } from './testing/go-peer.ts';
import { compare, holdAll, plansOf } from './testing/held-conversations.ts';

const EXCHANGES = 150 * Number(process.env['AMBIT_FUZZ_FACTOR'] ?? 1);
/** The first run on a machine builds the program. */
const TIMEOUT_MS = 300_000;

const PLANS = plansOf(EXCHANGES);

describe('a client of Go', () => {
  for (const kind of GO_PEERS) {
    it(`(${kind}) and a server of ours`, { timeout: TIMEOUT_MS }, async () => {
      await using server = await TestServer.listen({ onStream: answerPlanned });
      await using client = GoPeer.client(kind, server.port);
      const waiting = new Map<number, (result: Result) => void>();
      const all = holdAll(PLANS, (plan) => {
        const { promise, resolve } = Promise.withResolvers<Result>();
        waiting.set(plan.Index, resolve);
        client.send(plan);
        return promise;
      });
      for (let left = PLANS.length; left > 0; left -= 1) {
        const result = JSON.parse(await client.line()) as Result;
        waiting.get(result.Index)?.(result);
      }
      compare(PLANS, await all);
      const { protocolErrors, callbackErrors, boundsReached, floods } = server.counters;
      assert.deepEqual(
        { protocolErrors, callbackErrors, boundsReached },
        {
          ...{ protocolErrors: 0, callbackErrors: 0, boundsReached: 0 },
        },
      );
      assert.ok(Object.values(floods).every((count) => count === 0));
    });
  }
});

describe('a server of Go', () => {
  for (const kind of GO_PEERS) {
    it(`(${kind}) and a client of ours`, { timeout: TIMEOUT_MS }, async () => {
      const { peer, port } = await GoPeer.server(kind);
      await using _peer = peer;
      const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
      await once(socket, 'connect');
      const closed = Promise.withResolvers<void>();
      const counters = newH2Counters();
      const session = new ClientSession({
        transport: new SocketConn(socket, { side: 'upstream' }),
        clock: systemClock,
        limits: MESH_LIMITS,
        counters,
        onClose: () => closed.resolve(),
      });
      try {
        compare(PLANS, await holdAll(PLANS, (plan) => askPlanned(session, plan)));
        assert.equal(session.openStreams, 0);
        assert.deepEqual([counters.protocolErrors, counters.callbackErrors], [0, 0]);
      } finally {
        session.destroy();
        await closed.promise;
      }
    });
  }
});
