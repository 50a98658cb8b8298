/** Streams: how many there may be, how old they get, how they end. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { opaque } from '../testing.ts';
import { TYPE_URL } from '../type-urls.ts';
import { node, Rig, synced, turn } from './testing-rig.ts';

const { address: ADDRESS, capture: CAPTURE } = TYPE_URL;

describe('streams of DeltaServer', () => {
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
