/**
 * Conversations with node:http2 as the client, made by seed: a server of ours has to see exactly what it meant, and it what ours did.
 * `AMBIT_FUZZ_FACTOR=20` holds twenty times as many.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { describe, it } from 'node:test';
import { answerPlanned } from './testing/conversation-sides.ts';
import { TestServer } from './testing/echo-server.ts';
import { compare, holdAll, plansOf } from './testing/held-conversations.ts';
import { askByNode } from './testing/node-client.ts';

const EXCHANGES = 150 * Number(process.env['AMBIT_FUZZ_FACTOR'] ?? 1);
/** Windows of the client: what its server may send before it is told to go on. */
const WINDOWS = [1_000, 65_535, 1 << 20];

describe('a client of node:http2 and a server of ours', () => {
  const plans = plansOf(EXCHANGES);
  for (const initialWindowSize of WINDOWS) {
    it(`with a window of ${initialWindowSize} to begin with`, async () => {
      await using server = await TestServer.listen({ onStream: answerPlanned });
      const session = connect(`http://127.0.0.1:${server.port}`, {
        settings: { initialWindowSize },
      });
      const closed = once(session, 'close');
      compare(plans, await holdAll(plans, (plan) => askByNode(session, plan)));
      session.close();
      await closed;
      const { protocolErrors, callbackErrors, boundsReached, floods } = server.counters;
      assert.deepEqual([protocolErrors, callbackErrors, boundsReached], [0, 0, 0]);
      assert.ok(Object.values(floods).every((count) => count === 0));
    });
  }
});
