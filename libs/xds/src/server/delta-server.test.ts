import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Resource } from '../resource.ts';
import { opaque } from '../testing.ts';
import { TYPE_URL } from '../type-urls.ts';
import { node, type Request, Rig, synced } from './testing-rig.ts';

const { address: ADDRESS, authorization: AUTHORIZATION, capture: CAPTURE } = TYPE_URL;

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
});
