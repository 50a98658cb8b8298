import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { createLogger, LogLevels } from '@ambit/telemetry';
import {
  decodeReplicaUpdate,
  encodeReplicaUpdate,
  REPLICA_UPDATE_BYTES_MAX,
  type ReplicaAnswer,
  type ReplicaCall,
  type ReplicaProxy,
  type ReplicaUpdate,
} from '@ambit/xds';

import type { NodeClaims } from '../index/captures.ts';
import { PART_LENGTH_MAX } from './feed-batch.ts';
import { ANSWERS_MAX, entriesOf, RemoteState } from './remote-state.ts';
import { ReplicaFeed } from './replica-feed.ts';

const GATHER_MS = 50;
const turn = (): Promise<unknown> => new Promise(setImmediate);

function proxy(id: string, acknowledgedAtMs = 0): ReplicaProxy {
  return {
    ...{ id, kind: 'node-agent', name: id, address: '10.0.0.1', connectedAtMs: 1 },
    ...{ pod: `istio-system/${id}`, node: id, waypoint: undefined },
    subscriptions: [{ type: 'Address', resources: 1, pending: 0, acknowledgedAtMs }],
  };
}

function answer(key: string, waiting = 0): ReplicaAnswer {
  const none = { waitingNames: [], refused: 0, refusals: [] };
  return { key, uid: `uid of ${key}`, generation: 1, waiting, ...none };
}

class Listener implements ReplicaCall {
  readonly watcher: string;
  readonly replica: string;
  readonly updates: ReplicaUpdate[] = [];
  readonly failures: string[] = [];
  readonly state = new RemoteState();
  /** How many more it reads before it wants to be asked again. */
  room = Number.POSITIVE_INFINITY;

  constructor(watcher = 'controller-2', replica = 'controller-1') {
    this.watcher = watcher;
    this.replica = replica;
  }

  send(update: ReplicaUpdate): boolean {
    const bytes = encodeReplicaUpdate(update);
    assert.ok(bytes.length <= REPLICA_UPDATE_BYTES_MAX);
    const read = decodeReplicaUpdate(bytes);
    this.updates.push(read);
    this.state.receive(read);
    this.room -= 1;
    return this.room > 0;
  }

  fail({ message }: Error): void {
    this.failures.push(message);
  }
}

function feedOf() {
  const clock = new FakeClock();
  const said = {
    proxies: [] as ReplicaProxy[],
    captures: new Map<string, NodeClaims>(),
    answers: new Map<string, ReplicaAnswer>(),
    awaited: [] as string[],
  };
  const log = createLogger({
    scope: 'test',
    levels: new LogLevels('off'),
    sink: { write: () => undefined },
    wallNow: () => 0,
  });
  const feed = new ReplicaFeed({
    ...{ self: 'controller-1', clock, log },
    proxies: () => said.proxies,
    captures: () => said.captures,
    answers: () => said.answers,
    awaited: () => said.awaited,
  });
  const change = async (ms = GATHER_MS): Promise<void> => {
    feed.touch();
    clock.advance(ms);
    await turn();
  };
  return { clock, said, feed, change };
}

describe('ReplicaFeed', () => {
  it('tells everything at first, also when that is nothing, and then what differs', async () => {
    const { said, feed, change } = feedOf();
    const listener = new Listener();
    feed.watch(listener).resume();
    assert.deepEqual(listener.updates.map(entriesOf), [0]);
    assert.equal(listener.updates[0]?.isComplete, true);

    said.proxies = [proxy('a'), proxy('b')];
    said.answers.set('P/x', answer('P/x'));
    said.answers.set('P/y', answer('P/y'));
    const claims = { node: 'a', sinceMs: 1, now: new Set(['u']), earlier: new Set<string>() };
    said.captures.set('a', claims);
    await change();
    assert.deepEqual(listener.updates.map(entriesOf), [0, 5]);
    await change();
    assert.equal(listener.updates.length, 2, 'nothing differs');

    said.proxies = [proxy('a')];
    said.answers.set('P/x', answer('P/x', 3));
    said.answers.delete('P/y');
    said.captures.set('a', { ...claims, now: new Set(['u', 'v']) });
    await change();
    const last = listener.updates.at(-1);
    assert.deepEqual(last?.goneProxies, ['b']);
    assert.deepEqual(last?.goneKeys, ['P/y']);
    assert.deepEqual(last?.answers, [answer('P/x', 3)]);
    assert.deepEqual(last?.captures[0]?.uids, ['u', 'v']);
    said.awaited = ['u', 'v'];
    await change();
    assert.deepEqual(listener.updates.at(-1)?.awaited, ['u', 'v']);
    said.awaited = ['v'];
    said.captures.clear();
    await change();
    assert.deepEqual(listener.updates.at(-1)?.goneNodes, ['a']);
    feed.stop();
  });

  it('gathers changes, and tells what only people look at less often', async () => {
    const { said, feed, change, clock } = feedOf();
    const listener = new Listener();
    said.proxies = [proxy('a', 1)];
    feed.watch(listener).resume();
    for (let at = 2; at <= 20; at += 1) {
      said.proxies = [proxy('a', at)];
      await change();
    }
    assert.equal(listener.updates.length, 1, 'within a second');
    said.answers.set('P/x', answer('P/x', 1));
    await change();
    assert.equal(listener.updates.length, 2);
    assert.deepEqual(listener.updates[1]?.proxies, []);
    clock.advance(2_000);
    await turn();
    assert.equal(listener.state.proxies.get('a')?.subscriptions[0]?.acknowledgedAtMs, 20);
    assert.equal(listener.updates.length, 3);
    feed.stop();
  });

  it('merges what changes while a listener does not read', async () => {
    const { said, feed, change } = feedOf();
    const listener = new Listener();
    const call = feed.watch(listener);
    listener.room = 1;
    call.resume();
    for (let waiting = 1; waiting <= 30; waiting += 1) {
      said.answers.set('P/x', answer('P/x', waiting));
      await change();
    }
    assert.equal(listener.updates.length, 1);
    listener.room = 5;
    call.resume();
    assert.equal(listener.updates.length, 2);
    assert.equal(listener.state.answers.get('P/x')?.waiting, 30);
    call.close();
    said.answers.set('P/x', answer('P/x', 31));
    await change();
    assert.equal(listener.updates.length, 2, 'gone');
    feed.stop();
  });

  it('cuts a large batch into parts that hold together or not at all', () => {
    const { said, feed } = feedOf();
    said.proxies = Array.from({ length: 3_000 }, (_, at) => proxy(`agent-${at}`));
    for (let at = 0; at < 20_000; at += 1) said.answers.set(`P/${at}`, answer(`P/${at}`));
    const uids = (length: number): Set<string> =>
      new Set(Array.from({ length }, (_, at) => `Kubernetes//Pod/${'n'.repeat(60)}/pod-${at}`));
    for (let at = 0; at < 20; at += 1) {
      const node = `node-${at}`;
      said.captures.set(node, { node, sinceMs: 1, now: uids(2_000), earlier: new Set() });
    }
    const listener = new Listener();
    const call = feed.watch(listener);
    listener.room = 3;
    call.resume();
    assert.equal(listener.state.proxies.size, 0, 'half of it is nothing');
    listener.room = Number.POSITIVE_INFINITY;
    call.resume();
    assert.equal(listener.state.proxies.size, 3_000);
    assert.equal(listener.state.answers.size, 20_000);
    assert.equal(listener.state.captures.size, 20);
    const sizes = listener.updates.map((update) => encodeReplicaUpdate(update).length);
    assert.ok(Math.max(...sizes) <= PART_LENGTH_MAX * 1.5, `${Math.max(...sizes)}`);
    assert.deepEqual(listener.updates.filter(({ isComplete }) => isComplete).length, 1);
    feed.stop();
  });

  it('tells nobody anything when there is more than the bounds allow', async () => {
    const { said, feed, change } = feedOf();
    const listener = new Listener();
    feed.watch(listener).resume();
    for (let at = 0; at <= ANSWERS_MAX; at += 1) said.answers.set(`P/${at}`, answer(`P/${at}`));
    await change();
    assert.match(listener.failures.join(), /too many to tell: 100001 objects/);
    assert.throws(() => feed.watch(new Listener('controller-3')), { code: 'XDS_LIMIT' });
    said.answers.clear();
    assert.ok(feed.watch(new Listener('controller-3')));
    feed.stop();
  });

  it('refuses itself, who meant another one, and too many', () => {
    const { feed } = feedOf();
    assert.throws(() => feed.watch(new Listener('controller-1')), { code: 'XDS_FORBIDDEN' });
    assert.throws(() => feed.watch(new Listener('x', 'controller-9')), { code: 'XDS_FORBIDDEN' });
    for (let at = 0; at < 32; at += 1) feed.watch(new Listener(`watcher-${at}`));
    assert.throws(() => feed.watch(new Listener('one-more')), { code: 'XDS_LIMIT' });
    const again = new Listener('watcher-0');
    feed.watch(again);
    assert.equal(feed.watchers, 32, 'the old call of the same replica is ended');
    feed.stop();
    assert.deepEqual(again.failures, ['stopping']);
  });
});

describe('RemoteState', () => {
  const part = (fields: Partial<ReplicaUpdate>): ReplicaUpdate => ({
    ...{ replica: 'controller-1', isComplete: false, proxies: [], goneProxies: [] },
    ...{ captures: [], goneNodes: [], answers: [], goneKeys: [], awaited: [] },
    ...fields,
  });

  it('has a bound for a batch that never ends, also one of empty parts', () => {
    const state = new RemoteState();
    assert.throws(
      () => {
        for (let at = 0; at < 300_000; at += 1) state.receive(part({}));
      },
      { code: 'CONTROLLER_REPLICA_LIMIT' },
    );
  });

  it('has a bound for what it keeps', () => {
    const state = new RemoteState();
    const batch = (from: number): ReplicaUpdate =>
      part({
        isComplete: true,
        proxies: Array.from({ length: 6_000 }, (_, at) => proxy(`p${from + at}`)),
      });
    state.receive(batch(0));
    state.receive(batch(0));
    assert.throws(() => state.receive(batch(6_000)), { code: 'CONTROLLER_REPLICA_LIMIT' });
  });
});
