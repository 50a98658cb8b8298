/** What goes before what: a proxy never has workloads without the policy that they name. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { create } from '@bufbuild/protobuf';

import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import type { Resource } from '../resource.ts';
import { opaque } from '../testing.ts';
import { TYPE_URL } from '../type-urls.ts';
import { CALLER, node, Rig, short, synced, turn } from './testing-rig.ts';

const { address: ADDRESS, authorization: AUTHORIZATION } = TYPE_URL;

describe('order of DeltaServer', () => {
  // A waypoint's policies are among its objects, and one that an address names and it does not have refuses as well.
  for (const [who, typeUrl, type] of [
    ['an agent', AUTHORIZATION, 'Authorization'],
    ['a waypoint', TYPE_URL.object, 'Object'],
  ] as const) {
    it(`sends ${who} policy first, workloads before services, and takes policy away last`, async () => {
      const rig = new Rig();
      const peer = await synced(rig, typeUrl);
      await rig.apply(
        { typeUrl: ADDRESS, set: [opaque('svc', '1', { rank: 1 }), opaque('wl', '1')] },
        { typeUrl, set: [opaque('ns/p', '1')] },
      );
      assert.deepEqual(peer.news(), [`${type}[ns/p@1]`, 'Address[wl@1 svc@1]']);
      await peer.ack(ADDRESS);
      await peer.ack(typeUrl);
      await rig.apply(
        { typeUrl, remove: ['ns/p'] },
        { typeUrl: ADDRESS, set: [opaque('wl', '2')] },
      );
      assert.deepEqual(peer.news(), ['Address[wl@2]', `${type}[-ns/p]`]);
    });
  }

  it('holds workloads back while the policy before them can not be sent', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    await rig.apply({ typeUrl: AUTHORIZATION, set: [opaque('ns/p', '1')] });
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [opaque('ns/q', '1')] },
      { typeUrl: ADDRESS, set: [opaque('wl', '1')] },
    );
    assert.deepEqual(peer.news(), ['Authorization[ns/p@1]']);
    await peer.ack(AUTHORIZATION);
    assert.deepEqual(peer.news(), ['Authorization[ns/q@1]', 'Address[wl@1]']);
  });

  it('narrows a policy to a selector only after the workloads that name it', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    const narrow = (version: string): Resource => opaque('ns/p', version, { appliesByName: true });
    await rig.apply({ typeUrl: AUTHORIZATION, set: [opaque('ns/p', '1')] });
    await peer.ack(AUTHORIZATION);
    peer.news();
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [narrow('2'), opaque('ns/q', '1')] },
      { typeUrl: ADDRESS, set: [opaque('wl', '1')] },
    );
    assert.deepEqual(peer.news(), ['Authorization[ns/q@1]', 'Address[wl@1]']);
    await peer.ack(ADDRESS);
    assert.deepEqual(peer.news(), []);
    await peer.ack(AUTHORIZATION);
    assert.deepEqual(peer.news(), ['Authorization[ns/p@2]']);
    await peer.ack(AUTHORIZATION);
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [narrow('3')] },
      { typeUrl: ADDRESS, set: [opaque('wl', '2')] },
    );
    assert.deepEqual(peer.news(), ['Authorization[ns/p@3]', 'Address[wl@2]'], 'narrow already');
    await peer.ack(AUTHORIZATION);
    await peer.ack(ADDRESS);
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [opaque('ns/p', '4')] },
      { typeUrl: ADDRESS, set: [opaque('wl', '3')] },
    );
    assert.deepEqual(peer.news(), ['Authorization[ns/p@4]', 'Address[wl@3]'], 'wide goes first');
  });

  it('keeps a narrowed policy back while the workloads before it wait', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [opaque('ns/p', '1')] },
      { typeUrl: ADDRESS, set: [opaque('wl', '1')] },
    );
    await peer.ack(AUTHORIZATION);
    peer.news();
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [opaque('ns/p', '2', { appliesByName: true })] },
      { typeUrl: ADDRESS, set: [opaque('wl', '2')] },
    );
    assert.deepEqual(peer.news(), []);
    await peer.ack(ADDRESS);
    assert.deepEqual(peer.news(), ['Address[wl@2]', 'Authorization[ns/p@2]']);
  });

  it('takes a policy for wide that a reconnecting agent claims or has refused', async () => {
    const rig = new Rig();
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [opaque('ns/p', '2', { appliesByName: true })] },
      { typeUrl: ADDRESS, set: [opaque('wl', '2')] },
    );
    const claiming = rig.connect();
    const first = claiming.send({
      node,
      typeUrl: AUTHORIZATION,
      initialResourceVersions: { 'ns/p': '1' },
    });
    const second = claiming.send({
      node,
      typeUrl: ADDRESS,
      initialResourceVersions: { wl: '1' },
    });
    await Promise.all([first, second]);
    assert.deepEqual(claiming.news(), ['Authorization[]', 'Address[wl@2]']);
    await claiming.ack(AUTHORIZATION);
    assert.deepEqual(claiming.news(), ['Authorization[ns/p@2]']);
    await claiming.send({
      typeUrl: AUTHORIZATION,
      responseNonce: claiming.responses.at(-1)?.nonce ?? '',
      errorDetail: { message: 'ns/p: no' },
    });
    await claiming.ack(ADDRESS);
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [opaque('ns/p', '3', { appliesByName: true })] },
      { typeUrl: ADDRESS, set: [opaque('wl', '3')] },
    );
    assert.deepEqual(claiming.news(), ['Address[wl@3]', 'Authorization[ns/p@3]']);
  });

  it('does not take a policy away that came back meanwhile', async () => {
    const rig = new Rig();
    await rig.apply({ typeUrl: AUTHORIZATION, set: [opaque('ns/p', '1')] });
    const peer = await synced(rig);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('wl', '1')] });
    await rig.apply(
      { typeUrl: AUTHORIZATION, remove: ['ns/p'] },
      { typeUrl: ADDRESS, set: [opaque('wl', '2')] },
    );
    peer.news();
    await rig.apply({ typeUrl: AUTHORIZATION, set: [opaque('ns/p', '1')] });
    await peer.ack(ADDRESS);
    assert.deepEqual(peer.news(), ['Address[wl@2]']);
  });

  it('waits a moment for the policy subscription of an agent that asks for workloads first', async () => {
    const rig = new Rig();
    await rig.apply(
      { typeUrl: ADDRESS, set: [opaque('a', '1')] },
      { typeUrl: AUTHORIZATION, set: [opaque('ns/p', '1')] },
    );
    const responses: DeltaDiscoveryResponse[] = [];
    const stream = rig.server.open(
      { send: (r) => responses.push(r), fail: () => undefined },
      CALLER,
    );
    stream.receive(create(DeltaDiscoveryRequestSchema, { node, typeUrl: ADDRESS }));
    await turn();
    assert.deepEqual(responses, []);
    stream.receive(create(DeltaDiscoveryRequestSchema, { node, typeUrl: AUTHORIZATION }));
    await turn();
    assert.deepEqual(responses.map(short), ['Authorization[ns/p@1]', 'Address[a@1]']);
  });
});
