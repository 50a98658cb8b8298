import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { loadContentHash } from '../content-hash.ts';
import type { DeltaDiscoveryResponse } from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { conversation, recordedResources, resourcesOf } from '../testing-recordings.ts';
import { TYPE_URL } from '../type-urls.ts';
import { node, type Request, Rig } from './testing-rig.ts';

const { address: ADDRESS, authorization: AUTHORIZATION } = TYPE_URL;

describe('DeltaServer against recordings of the reference’s agent', () => {
  const nameSet = (response: DeltaDiscoveryResponse | undefined): unknown => ({
    resources: new Set(response?.resources.map(({ name, version }) => [name, version].join('@'))),
    removed: new Set(response?.removedResources),
  });
  const requestsOf = (name: string): Request[] =>
    conversation(name).flatMap((message) => (message.from === 'client' ? message.request : []));
  const responsesOf = (name: string): DeltaDiscoveryResponse[] =>
    conversation(name).flatMap((message) => (message.from === 'server' ? message.response : []));

  it('sends the same first workloads and services, but policy before them', async () => {
    const hash = await loadContentHash();
    const rig = new Rig();
    const [addresses, policies] = responsesOf('01-initial-sync');
    assert.ok(addresses && policies);
    await rig.apply(
      { typeUrl: ADDRESS, set: resourcesOf(addresses, hash) },
      { typeUrl: AUTHORIZATION, set: resourcesOf(policies, hash) },
    );
    const peer = rig.connect();
    const [first, second] = requestsOf('01-initial-sync');
    assert.ok(first && second);
    void peer.send(first);
    await peer.send(second);
    // The reference answers in the order of the requests, so for a moment workloads name unknown policies.
    assert.deepEqual(
      peer.responses.map(({ typeUrl }) => typeUrl),
      [AUTHORIZATION, ADDRESS],
    );
    assert.deepEqual(nameSet(peer.responses[1]), nameSet(addresses));
    const names = (r: DeltaDiscoveryResponse | undefined): unknown =>
      new Set(r?.resources.map(({ name }) => name));
    assert.deepEqual(names(peer.responses[0]), names(policies));
  });

  it('answers reconnects with the same difference, and repeats no policy', async () => {
    const hash = await loadContentHash();
    for (const name of [
      '12-reconnect-nothing-changed',
      '13-reconnect-something-changed',
      '15-reconnect-after-nack',
    ]) {
      const rig = new Rig();
      const [addresses, policies] = responsesOf(name);
      const [first, second] = requestsOf(name);
      assert.ok(addresses && policies && first && second, name);
      // What the server had then: what was claimed rightly, and what it sent.
      const held = recordedResources.filter(
        ({ type_url, name: resource, version }) =>
          type_url === ADDRESS && first.initialResourceVersions?.[resource] === version,
      );
      const claimed = held.map(({ name: resource, value_base64 }) => {
        const value = Buffer.from(value_base64, 'base64');
        return { name: resource, version: hash(value), value, aliases: [], rank: 0 };
      });
      await rig.apply(
        { typeUrl: ADDRESS, set: [...claimed, ...resourcesOf(addresses, hash)] },
        { typeUrl: AUTHORIZATION, set: resourcesOf(policies, hash) },
      );
      const peer = rig.connect();
      void peer.send(first);
      await peer.send(second);
      assert.deepEqual(nameSet(peer.responses[1]), nameSet(addresses), name);

      // Ours have versions, so an agent of ours that claims them gets none again. The reference sends all.
      const again = rig.connect();
      const versions = Object.fromEntries(
        resourcesOf(policies, hash).map((r) => [r.name, r.version]),
      );
      await again.send({ node, typeUrl: AUTHORIZATION, initialResourceVersions: versions });
      assert.deepEqual(again.news(), ['Authorization[]'], name);
    }
  });

  it('answers names and aliases on demand, each time it is asked, and forgets only what is told', async () => {
    const hash = await loadContentHash();
    const rig = new Rig();
    const all = responsesOf('16-on-demand').filter(({ typeUrl }) => typeUrl === ADDRESS);
    await rig.apply({
      typeUrl: ADDRESS,
      set: all.flatMap((response) => resourcesOf(response, hash)),
    });
    const peer = rig.connect();
    let compared = 0;
    for (const request of requestsOf('16-on-demand').filter(({ typeUrl }) => typeUrl === ADDRESS)) {
      const asked = (request.resourceNamesSubscribe ?? []).filter((name) => name !== '*');
      if (request.responseNonce !== '') {
        await peer.ack(ADDRESS);
        peer.news();
        continue;
      }
      await peer.send(request);
      const answer = peer.responses.at(-1);
      for (const name of asked) {
        const isKnown = answer?.resources.some((r) => r.name === name || r.aliases.includes(name));
        // Unknown names come back as removed, as the reference does.
        assert.ok(isKnown === true || answer?.removedResources.includes(name), name);
        compared += 1;
      }
      await peer.ack(ADDRESS);
      peer.news();
    }
    assert.ok(compared >= 7, String(compared));
    // The reference forgets all names when one is unsubscribed.
    const names = rig.server.streams()[0]?.types.get(ADDRESS)?.names;
    assert.ok(names);
    assert.ok(names.has('bookshop/ratings.bookshop.svc.cluster.local'));
    assert.equal(names.has('/10.244.1.4'), false);
  });
});
