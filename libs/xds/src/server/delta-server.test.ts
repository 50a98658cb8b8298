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
import { CALLER, node, type Peer, type Request, Rig, short, turn } from './testing-rig.ts';

const { address: ADDRESS, authorization: AUTHORIZATION, capture: CAPTURE } = TYPE_URL;

async function synced(rig: Rig, policyType: string = AUTHORIZATION): Promise<Peer> {
  const peer = rig.connect();
  await peer.send({ node, typeUrl: policyType });
  await peer.send({ node, typeUrl: ADDRESS });
  await peer.ack(policyType);
  await peer.ack(ADDRESS);
  peer.news();
  return peer;
}

describe('DeltaServer', () => {
  it('answers a first request even with nothing, and then sends only what changes', async () => {
    const rig = new Rig();
    const peer = rig.connect();
    await peer.send({ node, typeUrl: ADDRESS });
    assert.deepEqual(peer.news(), ['Address[]']);
    await peer.ack(ADDRESS);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1')] });
    assert.deepEqual(peer.news(), ['Address[a@1]']);
    await peer.ack(ADDRESS);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1')] });
    assert.deepEqual(peer.news(), [], 'an equal version is never sent again');
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('b', '1')], remove: ['a'] });
    assert.deepEqual(peer.news(), ['Address[b@1 -a]']);
  });

  it('merges what changes while a response is unanswered', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1')] });
    assert.deepEqual(peer.news(), ['Address[a@1]']);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '2'), opaque('b', '1')] });
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '3')], remove: ['b'] });
    assert.deepEqual(peer.news(), []);
    await peer.ack(ADDRESS);
    assert.deepEqual(peer.news(), ['Address[a@3]']);
  });

  it('ignores a stale nonce, but not the names that come with it', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1')] });
    peer.news();
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '2')] });
    await peer.send({ typeUrl: ADDRESS, responseNonce: 'stale' });
    assert.deepEqual(peer.news(), []);
    const [view] = rig.server.streams();
    await peer.send({ typeUrl: ADDRESS, responseNonce: 'stale', resourceNamesSubscribe: ['x'] });
    assert.ok(view?.types.get(ADDRESS)?.names.has('x'));
    await peer.ack(ADDRESS);
    assert.match(peer.news()[0] ?? '', /a@2/);
  });

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

  it('skips on a reconnect what is claimed, sends what differs, removes what is gone', async () => {
    const rig = new Rig();
    await rig.apply({
      typeUrl: ADDRESS,
      set: [opaque('same', '1'), opaque('new', '1'), opaque('changed', '2')],
    });
    const peer = rig.connect();
    await peer.send({
      node,
      typeUrl: ADDRESS,
      initialResourceVersions: { same: '1', changed: '1', gone: '1' },
    });
    assert.deepEqual(peer.news(), ['Address[new@1 changed@2 -gone]']);
  });

  it('knows what was acknowledged and what was refused, in which version', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1'), opaque('b: x', '1')] });
    const nonce = peer.responses.at(-1)?.nonce ?? '';
    const [view] = rig.server.streams();
    const type = view?.types.get(ADDRESS);
    assert.ok(type);
    assert.equal(type.isSettled, false);
    await peer.send({
      typeUrl: ADDRESS,
      responseNonce: nonce,
      errorDetail: { message: 'b: x: bad; really' },
    });
    assert.deepEqual([...type.acked], [['a', '1']]);
    assert.deepEqual([...type.rejected], [['b: x', { version: '1', reason: 'bad; really' }]]);
    assert.equal(type.isSettled, true);
    assert.equal(type.ackedSequence, type.lastSequence);
    assert.deepEqual(peer.news(), ['Address[a@1 b: x@1]'], 'what was refused is not sent again');
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('b: x', '2')] });
    await peer.ack(ADDRESS);
    assert.equal(type.acked.get('b: x'), '2');
    assert.equal(type.rejected.size, 0);
    const seen = rig.events.map(({ kind }) => kind);
    assert.ok(seen.includes('refused') && seen.includes('acknowledged') && seen.includes('sent'));
  });

  it('counts all as refused when the refusal names none', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1'), opaque('b', '1')] });
    await peer.send({
      typeUrl: ADDRESS,
      responseNonce: peer.responses.at(-1)?.nonce ?? '',
      errorDetail: { message: 'no' },
    });
    assert.equal(rig.server.streams()[0]?.types.get(ADDRESS)?.rejected.size, 2);
  });

  it('keeps names of a silent type and never answers it', async () => {
    const rig = new Rig();
    const peer = rig.connect();
    await peer.send({
      node,
      typeUrl: CAPTURE,
      resourceNamesSubscribe: ['*'],
      resourceNamesUnsubscribe: ['*'],
    });
    await peer.send({ typeUrl: CAPTURE, resourceNamesSubscribe: ['uid-1', 'uid-2'] });
    await peer.send({ typeUrl: CAPTURE, resourceNamesUnsubscribe: ['uid-1'] });
    const type = rig.server.streams()[0]?.types.get(CAPTURE);
    assert.deepEqual([...(type?.names ?? [])], ['uid-2']);
    assert.equal(type?.isWildcard, false);
    assert.deepEqual(peer.responses, []);
    assert.equal(rig.events.filter(({ kind }) => kind === 'subscribed').length, 3);
  });

  it('cuts a response that is too large, and sends the rest after its ACK, before what builds on it', async () => {
    const rig = new Rig({ limits: { responseBytesMax: 500 } });
    const big = (name: string): Resource => opaque(name, '1', { value: Buffer.alloc(200) });
    const peer = await synced(rig);
    await rig.apply(
      { typeUrl: AUTHORIZATION, set: [big('p1'), big('p2'), big('p3')] },
      { typeUrl: ADDRESS, set: [big('a')] },
    );
    assert.deepEqual(peer.news(), ['Authorization[p1@1]']);
    await peer.ack(AUTHORIZATION);
    await peer.ack(AUTHORIZATION);
    assert.deepEqual(peer.news(), ['Authorization[p2@1]', 'Authorization[p3@1]', 'Address[a@1]']);
  });

  it('bounds streams, types and names', async () => {
    const rig = new Rig({ streamsMax: 2, limits: { typesMax: 2, namesMax: 3 } });
    const first = rig.connect();
    const second = rig.connect();
    assert.throws(() => rig.connect(), { code: 'XDS_LIMIT' });
    assert.equal(rig.server.refusedAtLimit, 1);
    await first.send({ node, typeUrl: 'a' });
    await first.send({ node, typeUrl: 'b' });
    await first.send({ node, typeUrl: 'c' });
    assert.equal(first.errors[0]?.code, 'XDS_LIMIT');
    await second.send({ node, typeUrl: CAPTURE, resourceNamesSubscribe: ['1', '2', '3'] });
    await second.send({ typeUrl: CAPTURE, resourceNamesSubscribe: ['4'] });
    assert.equal(second.errors[0]?.code, 'XDS_LIMIT');
    assert.deepEqual(rig.server.streams(), []);
  });

  it('ends a stream at its age, with jitter, and its client is sent only what differs', async () => {
    const draws = [0, 1];
    const rig = new Rig({ streamAgeMs: 1_800_000, random: () => draws.shift() ?? 0.5 });
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1')] });
    const early = await synced(rig);
    const late = await synced(rig);
    const pass = async (ms: number): Promise<void> => {
      rig.clock.advance(ms);
      await turn();
    };
    await pass(1_800_000 * 0.9);
    assert.deepEqual([early.errors[0]?.code, late.errors.length], ['XDS_STOPPED', 0]);
    assert.match(early.errors[0]?.message ?? '', /transport is closing/);
    await pass(1_800_000 * 0.2);
    assert.equal(late.errors[0]?.code, 'XDS_STOPPED');
    const again = rig.connect();
    const held = { node, typeUrl: ADDRESS, initialResourceVersions: { a: '1' } };
    await again.send({ ...held, resourceNamesSubscribe: ['*'] });
    assert.deepEqual(
      again.responses.flatMap(({ resources }) => resources),
      [],
    );
  });

  it('lets an answer come that is on its way, for ten seconds', async () => {
    const rig = new Rig({ streamAgeMs: 60_000, random: () => 0.5 });
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1')] });
    const [answering, silent] = [await synced(rig), await synced(rig)];
    rig.clock.advance(59_000);
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '2')] });
    for (let passed = 0; passed < 4_000; passed += 500) {
      rig.clock.advance(500);
      await turn();
    }
    assert.deepEqual([answering.errors.length, silent.errors.length], [0, 0]);
    await answering.ack(ADDRESS);
    rig.clock.advance(400);
    await turn();
    assert.equal(answering.errors[0]?.code, 'XDS_STOPPED');
    for (let passed = 0; passed < 9_000; passed += 500) {
      rig.clock.advance(500);
      await turn();
    }
    assert.equal(silent.errors[0]?.code, 'XDS_STOPPED');
    assert.deepEqual(rig.server.streams(), []);
  });

  it('waits for no answer of types that are only subscribed to, and keeps none of their past names', async () => {
    const rig = new Rig({ streamAgeMs: 60_000, random: () => 0.5 });
    const agent = await synced(rig);
    for (const name of ['uid-a', 'uid-b']) {
      await agent.send({ node, typeUrl: CAPTURE, resourceNamesSubscribe: [name] });
    }
    const [view] = rig.server.streams();
    assert.equal(view?.types.get(CAPTURE)?.isSettled, true);
    rig.clock.advance(60_000);
    await turn();
    assert.equal(agent.errors[0]?.code, 'XDS_STOPPED', 'at its age, not ten seconds later');
  });

  it('refuses nodes that are none or not the caller’s', async () => {
    const rig = new Rig();
    const id = (text: string): Request => ({ typeUrl: ADDRESS, node: { id: text } });
    const good = 'ztunnel~1.1.1.1~ztunnel-hxphz.istio-system~istio-system.svc.cluster.local';
    const refused: readonly (readonly [string, Request])[] = [
      ['XDS_REQUEST_INVALID', { typeUrl: ADDRESS }],
      ['XDS_REQUEST_INVALID', id('')],
      ['XDS_REQUEST_INVALID', id('ztunnel~1.1.1.1')],
      ['XDS_REQUEST_INVALID', id(`${good}~more`)],
      ['XDS_REQUEST_INVALID', id(good.replace('ztunnel', 'sidecar'))],
      ['XDS_FORBIDDEN', id(good.replace('hxphz.istio-system', 'hxphz.other'))],
      ['XDS_FORBIDDEN', id(good.replace('~istio-system.svc', '~other.svc'))],
      ['XDS_FORBIDDEN', id(good.replace('ztunnel-hxphz', 'other'))],
      ['XDS_FORBIDDEN', { typeUrl: ADDRESS, node: { id: good, metadata: { NAMESPACE: 'other' } } }],
      [
        'XDS_FORBIDDEN',
        { typeUrl: ADDRESS, node: { id: good, metadata: { SERVICE_ACCOUNT: 'other' } } },
      ],
      ['XDS_FORBIDDEN', { typeUrl: ADDRESS, node: { id: good, metadata: { NODE_NAME: 'node2' } } }],
    ];
    for (const [code, request] of refused) {
      const peer = rig.connect();
      await peer.send(request);
      assert.equal(peer.errors[0]?.code, code, JSON.stringify(request));
      assert.deepEqual(peer.responses, []);
    }
  });

  it('forgets a stream that closed, and ends all when stopped', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    const other = await synced(rig);
    peer.close();
    peer.close();
    await rig.apply({ typeUrl: ADDRESS, set: [opaque('a', '1')] });
    assert.deepEqual(peer.news(), []);
    rig.server.stop();
    assert.equal(other.errors[0]?.code, 'XDS_STOPPED');
    assert.equal(rig.events.filter(({ kind }) => kind === 'closed').length, 2);
  });
});
