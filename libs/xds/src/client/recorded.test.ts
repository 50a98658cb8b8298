import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { decodeAddress } from '../codec/address.ts';
import { decodeAuthorization } from '../codec/authorization.ts';
import type { DeltaDiscoveryRequest } from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { conversation } from '../testing-recordings.ts';
import { TYPE_URL } from '../type-urls.ts';
import { StreamEnd } from './delta-client.ts';
import { subscribeTo } from './subscription.ts';
import { rig, turn } from './testing-pipe.ts';

describe('DeltaClient against recordings of the reference’s control plane', () => {
  /** Plays the server's messages and compares what we answer with what the reference's agent answered. */
  async function replay(names: readonly string[]): Promise<void> {
    const nothing = (): Promise<undefined> => Promise.resolve(undefined);
    const it = rig([
      subscribeTo({ typeUrl: TYPE_URL.address, decode: decodeAddress, apply: nothing }),
      subscribeTo({ typeUrl: TYPE_URL.authorization, decode: decodeAuthorization, apply: nothing }),
    ]);
    it.client.start();
    for (const name of names) {
      await turn();
      const messages = conversation(name);
      const recorded = messages.flatMap((m) => (m.from === 'client' ? m.request : []));
      const ours = it.pipe().requests;
      for (const [index, request] of recorded.slice(0, 2).entries()) {
        assert.equal(ours[index]?.typeUrl, request.typeUrl, name);
        assert.deepEqual(
          ours[index]?.initialResourceVersions,
          request.initialResourceVersions,
          name,
        );
        assert.deepEqual(ours[index]?.resourceNamesSubscribe, request.resourceNamesSubscribe, name);
      }
      for (const message of messages) {
        if (message.from === 'server') {
          it.pipe().push(message.response);
        }
      }
      await turn();
      await turn();
      const byNonce = (all: readonly DeltaDiscoveryRequest[]): unknown =>
        all
          .filter(({ responseNonce }) => responseNonce !== '')
          .map(({ typeUrl, responseNonce, errorDetail }) => ({
            typeUrl,
            responseNonce,
            rejected: errorDetail?.message.split('; ').map((part) => part.split(': ')[0]),
          }))
          .sort((a, b) => (a.responseNonce < b.responseNonce ? -1 : 1));
      assert.deepEqual(byNonce(ours), byNonce(recorded), name);
      it.pipe().push(new StreamEnd('next', { isRoutine: true }));
      await turn();
      it.clock.advance(20);
    }
    await it.client.stop();
  }

  it('answers and reconnects as the reference’s agent does, refusals included', async () => {
    await replay([
      '1-initial-sync-certificates-pushes',
      '2-reconnect',
      '3-nack',
      '4-reconnect-after-nack',
    ]);
  });
});
