import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import type { TokenCaller } from '@ambit/identity';
import { create, type MessageInitShape } from '@bufbuild/protobuf';

import { loadContentHash } from '../content-hash.ts';
import type { XdsError } from '../errors.ts';
import {
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
} from '../gen/envoy/service/discovery/v3/discovery_pb.ts';
import { buildNode } from '../node.ts';
import type { Resource } from '../resource.ts';
import { MapSource, opaque } from '../testing.ts';
import { conversation, recordedResources, resourcesOf } from '../testing-recordings.ts';
import { TYPE_URL } from '../type-urls.ts';
import { DeltaServer, type DeltaServerEvent, type DeltaServerOptions } from './delta-server.ts';

const { address: ADDRESS, authorization: AUTHORIZATION, capture: CAPTURE } = TYPE_URL;

const CALLER: TokenCaller = {
  namespace: 'istio-system',
  serviceAccount: 'ztunnel',
  pod: { name: 'ztunnel-hxphz', uid: 'u' },
  node: 'node1',
  expiresAtMs: 0,
};
const node = buildNode({
  type: 'ztunnel',
  ip: '10.244.1.2',
  podName: 'ztunnel-hxphz',
  namespace: 'istio-system',
  metadata: { NODE_NAME: 'node1' },
});

type Request = MessageInitShape<typeof DeltaDiscoveryRequestSchema>;

interface Peer {
  readonly responses: DeltaDiscoveryResponse[];
  readonly errors: XdsError[];
  send(request: Request): Promise<void>;
  /** Acknowledges the last response of a type. */
  ack(typeUrl: string): Promise<void>;
  close(): void;
  /** What came since the last call, in short. */
  news(): string[];
}

const turn = async (): Promise<void> => {
  for (let count = 0; count < 4; count += 1) {
    await new Promise(setImmediate);
  }
};

class Rig {
  readonly clock = new FakeClock();
  readonly source = new MapSource();
  readonly events: DeltaServerEvent[] = [];
  readonly server: DeltaServer;

  constructor(options: Partial<DeltaServerOptions> = {}) {
    this.server = new DeltaServer({
      clock: this.clock,
      source: this.source,
      onEvent: (event) => this.events.push(event),
      ...options,
    });
  }

  connect(caller = CALLER): Peer {
    const responses: DeltaDiscoveryResponse[] = [];
    const errors: XdsError[] = [];
    const stream = this.server.open(
      { send: (response) => responses.push(response), fail: (error) => errors.push(error) },
      caller,
    );
    let seen = 0;
    const send = async (request: Request): Promise<void> => {
      stream.receive(create(DeltaDiscoveryRequestSchema, request));
      await turn();
      this.clock.advance(20);
      await turn();
    };
    return {
      responses,
      errors,
      send,
      ack: async (typeUrl) => {
        const last = responses.findLast((response) => response.typeUrl === typeUrl);
        await send({ typeUrl, responseNonce: last?.nonce ?? '' });
      },
      close: () => stream.close(),
      news: () => {
        const fresh = responses.slice(seen);
        seen = responses.length;
        return fresh.map(short);
      },
    };
  }

  async apply(...changes: Parameters<MapSource['apply']>[0]): Promise<void> {
    this.source.apply(changes);
    await turn();
  }
}

function short({ typeUrl, resources, removedResources }: DeltaDiscoveryResponse): string {
  const parts = [
    ...resources.map(({ name, version }) => `${name}@${version}`),
    ...removedResources.map((name) => `-${name}`),
  ];
  return `${typeUrl.split('.').at(-1)}[${parts.join(' ')}]`;
}

async function synced(rig: Rig): Promise<Peer> {
  const peer = rig.connect();
  await peer.send({ node, typeUrl: AUTHORIZATION });
  await peer.send({ node, typeUrl: ADDRESS });
  await peer.ack(AUTHORIZATION);
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

  it('sends policy first, workloads before services, and takes policy away last', async () => {
    const rig = new Rig();
    const peer = await synced(rig);
    await rig.apply(
      { typeUrl: ADDRESS, set: [opaque('svc', '1', { rank: 1 }), opaque('wl', '1')] },
      { typeUrl: AUTHORIZATION, set: [opaque('ns/p', '1')] },
    );
    assert.deepEqual(peer.news(), ['Authorization[ns/p@1]', 'Address[wl@1 svc@1]']);
    await peer.ack(ADDRESS);
    await peer.ack(AUTHORIZATION);
    await rig.apply(
      { typeUrl: AUTHORIZATION, remove: ['ns/p'] },
      { typeUrl: ADDRESS, set: [opaque('wl', '2')] },
    );
    assert.deepEqual(peer.news(), ['Address[wl@2]', 'Authorization[-ns/p]']);
  });

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

  it('refuses nodes that are none or not the caller’s', async () => {
    const rig = new Rig();
    const id = (text: string): Request => ({ typeUrl: ADDRESS, node: { id: text } });
    const good = 'ztunnel~1.1.1.1~x.istio-system~istio-system.svc.cluster.local';
    const refused: readonly (readonly [string, Request])[] = [
      ['XDS_REQUEST_INVALID', { typeUrl: ADDRESS }],
      ['XDS_REQUEST_INVALID', id('')],
      ['XDS_REQUEST_INVALID', id('ztunnel~1.1.1.1')],
      ['XDS_REQUEST_INVALID', id(`${good}~more`)],
      ['XDS_REQUEST_INVALID', id(good.replace('ztunnel', 'sidecar'))],
      ['XDS_FORBIDDEN', id(good.replace('x.istio-system', 'x.other'))],
      ['XDS_FORBIDDEN', id(good.replace('~istio-system.svc', '~other.svc'))],
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
