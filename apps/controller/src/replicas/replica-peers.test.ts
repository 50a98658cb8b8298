/** The other replicas, with streams in memory and a clock that the test moves. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeClock } from '@ambit/core/testing';
import { createLogger, LogLevels } from '@ambit/telemetry';
import type { ReplicaProxy, ReplicaStream, ReplicaUpdate } from '@ambit/xds';
import { Captures, RECLAIM_MS } from '../index/captures.ts';
import { pod } from '../shop-objects.testing.ts';
import { RemoteBook } from './remote-book.ts';
import { GONE_MS, type Peer, ReplicaPeers } from './replica-peers.ts';
import { objectOf } from './replicas.testing.ts';

const UID = 'Kubernetes//Pod/shop/a';
const turn = (): Promise<unknown> => new Promise(setImmediate);

function peer(name: string, fields: Partial<Peer> = {}): Peer {
  return { name, address: `${name}:15012`, isReady: true, ...fields };
}

function proxy(id: string, connectedAtMs = 1): ReplicaProxy {
  return {
    ...{ id, kind: 'other', name: id, address: '', connectedAtMs, pod: `vm/${id}` },
    ...{ node: 'node1', waypoint: undefined, subscriptions: [] },
  };
}

/** A stream that the test writes to. */
class Line {
  readonly address: string;
  isClosed = false;
  readonly #queue: (ReplicaUpdate | Error)[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(address: string) {
    this.address = address;
  }

  say(fields: Partial<ReplicaUpdate>): void {
    this.#put({
      ...{ replica: 'b', isComplete: true, proxies: [], goneProxies: [], captures: [] },
      ...{ goneNodes: [], answers: [], goneKeys: [], awaited: [], ...fields },
    });
  }

  break(): void {
    this.#put(new Error('connection reset'));
  }

  stream(): ReplicaStream {
    return {
      updates: this.#read(),
      close: () => {
        if (!this.isClosed) this.break();
        this.isClosed = true;
      },
    };
  }

  #put(item: ReplicaUpdate | Error): void {
    this.#queue.push(item);
    this.#wake.resolve();
  }

  async *#read(): AsyncGenerator<ReplicaUpdate> {
    for (;;) {
      const item = this.#queue.shift();
      if (item instanceof Error) throw item;
      if (item !== undefined) yield item;
      else {
        await this.#wake.promise;
        this.#wake = Promise.withResolvers();
      }
    }
  }
}

function setUp(...names: readonly string[]) {
  const clock = new FakeClock();
  const book = new RemoteBook();
  const lines: Line[] = [];
  const state = { peers: names.map((name) => peer(name)), isDown: false, attempts: 0 };
  const objects = new Map([['Pod/shop/a', objectOf(pod('a'))]]);
  const captures = new Captures({ objects, clock, onLapse: () => undefined });
  const captured: string[] = [];
  const peers = new ReplicaPeers({
    ...{ self: 'a', clock, book, captures },
    log: createLogger({
      scope: 'test',
      levels: new LogLevels('off'),
      sink: { write: () => undefined },
      wallNow: () => 0,
    }),
    random: () => 0.5,
    peers: () => state.peers,
    open: ({ address }) => {
      state.attempts += 1;
      if (state.isDown) return Promise.reject(new Error('refused'));
      const line = new Line(address);
      lines.push(line);
      return Promise.resolve(line.stream());
    },
    onCaptured: ({ add, remove }) =>
      captured.push(...add.map((uid) => `+${uid}`), ...remove.map((uid) => `-${uid}`)),
    onChange: () => undefined,
  });
  const list = (...now: readonly Peer[]): void => {
    state.peers = [...now];
    peers.touch();
  };
  const heard = (): readonly string[] =>
    book.replicas().map(({ name, isHeard, isServing, proxies }) => {
      const ids = proxies.map(({ id }) => id).join('+');
      return `${name} ${isHeard ? 'heard' : 'silent'}${isServing ? '' : ' idle'} ${ids}`;
    });
  const advance = async (ms: number): Promise<void> => {
    clock.advance(ms);
    await turn();
  };
  return { clock, book, lines, state, captures, captured, peers, list, heard, advance };
}

describe('ReplicaPeers', () => {
  it('asks every other replica and not itself', async () => {
    const { peers, lines, heard } = setUp('a', 'b', 'c');
    peers.start();
    await turn();
    assert.deepEqual(
      lines.map(({ address }) => address),
      ['b:15012', 'c:15012'],
    );
    lines[0]?.say({ isComplete: false, proxies: [proxy('p')] });
    await turn();
    assert.deepEqual(heard(), ['b silent ', 'c silent '], 'half a batch');
    lines[0]?.say({});
    await turn();
    assert.deepEqual(heard(), ['b heard p', 'c silent ']);
    await peers.stop();
    assert.ok(lines.every(({ isClosed }) => isClosed));
  });

  it('tries again with back-off, at once when the other one becomes ready', async () => {
    const { peers, state, advance, list } = setUp('b');
    state.isDown = true;
    peers.start();
    await turn();
    const waits: number[] = [];
    for (let round = 0; round < 8; round += 1) {
      const before = state.attempts;
      let waited = 0;
      while (state.attempts === before) {
        await advance(50);
        waited += 50;
      }
      waits.push(waited);
    }
    assert.deepEqual(waits, [100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
    list(peer('b', { isReady: false }));
    const before = state.attempts;
    await turn();
    assert.equal(state.attempts, before);
    list(peer('b'));
    await turn();
    assert.equal(state.attempts, before + 1);
    await peers.stop();
  });

  it('keeps what a lost replica said as unknown, until it says it anew', async () => {
    const { peers, lines, heard, advance } = setUp('b');
    peers.start();
    await turn();
    lines[0]?.say({ proxies: [proxy('p'), proxy('q')] });
    await turn();
    lines[0]?.break();
    await turn();
    assert.deepEqual(heard(), ['b silent p+q']);
    await advance(3_600_000);
    assert.deepEqual(heard(), ['b silent p+q'], 'as long as it is listed');
    lines[1]?.say({ isComplete: false, proxies: [proxy('q')] });
    await turn();
    assert.deepEqual(heard(), ['b silent p+q']);
    lines[1]?.say({});
    await turn();
    assert.deepEqual(heard(), ['b heard q']);
    await peers.stop();
  });

  it('hears a replica that is about to go to its end, and forgets it a while later', async () => {
    const { peers, lines, heard, list, advance, state } = setUp('b');
    peers.start();
    await turn();
    lines[0]?.say({ proxies: [proxy('p'), proxy('q')] });
    await turn();
    list();
    assert.deepEqual(heard(), ['b heard idle p+q']);
    lines[0]?.say({ goneProxies: ['p'] });
    await turn();
    assert.deepEqual(heard(), ['b heard idle q']);
    lines[0]?.break();
    await turn();
    assert.deepEqual(heard(), ['b silent idle q']);
    await advance(GONE_MS - 1);
    assert.deepEqual(heard(), ['b silent idle q']);
    await advance(1);
    assert.deepEqual(heard(), []);
    assert.equal(state.attempts, 1, 'it was not asked again');
    await peers.stop();
  });

  it('takes one that comes back in time for the same', async () => {
    const { peers, lines, heard, list, advance } = setUp('b');
    peers.start();
    await turn();
    lines[0]?.say({ proxies: [proxy('p')] });
    await turn();
    list();
    lines[0]?.break();
    await turn();
    await advance(GONE_MS / 2);
    list(peer('b'));
    await advance(GONE_MS);
    assert.deepEqual(heard(), ['b silent p']);
    lines[1]?.say({ proxies: [proxy('p')] });
    await turn();
    assert.deepEqual(heard(), ['b heard p']);
    await peers.stop();
  });

  it('follows an address, and waits for one', async () => {
    const { peers, lines, list, heard } = setUp();
    peers.start();
    list(peer('b', { address: '' }));
    await turn();
    assert.deepEqual(heard(), ['b silent ']);
    list(peer('b'));
    await turn();
    lines[0]?.say({ proxies: [proxy('p')] });
    await turn();
    list(peer('b', { address: '10.0.0.9:15012' }));
    await turn();
    assert.deepEqual(heard(), ['b silent p']);
    assert.equal(lines[0]?.isClosed, true);
    assert.equal(lines[1]?.address, '10.0.0.9:15012');
    await peers.stop();
  });

  it('has a bound for streams; replicas over it cannot be asked', async () => {
    const names = Array.from({ length: 40 }, (_, at) => `b${at}`);
    const { peers, lines, book } = setUp(...names);
    peers.start();
    await turn();
    assert.equal(lines.length, 32);
    assert.equal(book.replicas().filter(({ isServing }) => isServing).length, 40);
    await peers.stop();
  });

  it('ends a stream on which more is said than the bounds allow', async () => {
    const { peers, lines, heard } = setUp('b');
    peers.start();
    await turn();
    const many = Array.from({ length: 10_001 }, (_, at) => proxy(`p${at}`));
    lines[0]?.say({ proxies: many });
    await turn();
    assert.equal(lines[0]?.isClosed, true);
    assert.deepEqual(heard(), ['b silent ']);
    assert.match(JSON.stringify(peers.describe()), /proxies of another replica: 10001/);
    await peers.stop();
  });

  it('keeps what its agents had captured until one speaks again, anywhere', async () => {
    const { peers, lines, captured, captures, advance, clock } = setUp('b');
    peers.start();
    await turn();
    const claims = { node: 'node1', connectedAtMs: 5, uids: [UID], earlier: [] };
    lines[0]?.say({ captures: [claims] });
    await turn();
    assert.deepEqual(captured, [`+${UID}`]);
    lines[0]?.break();
    await turn();
    await advance(RECLAIM_MS * 10);
    assert.deepEqual(captures.of('node1'), [UID]);
    captures.claim('node1', new Set(), { id: 'here', sinceMs: 6 });
    assert.deepEqual(captures.of('node1'), [UID], 'it names its pods one by one');
    clock.advance(RECLAIM_MS);
    await turn();
    assert.deepEqual(captures.of('node1'), []);
    lines.at(-1)?.say({ captures: [claims] });
    await turn();
    assert.deepEqual(captures.of('node1'), [], 'an older stream is not believed');
    await peers.stop();
  });

  it('adopts what another one remembers of nodes that are silent', async () => {
    const { peers, lines, captured } = setUp('b');
    peers.start();
    await turn();
    const claims = { node: 'node1', connectedAtMs: undefined, uids: [], earlier: [UID] };
    lines[0]?.say({ captures: [claims] });
    await turn();
    assert.deepEqual(captured, [`+${UID}`]);
    await peers.stop();
  });

  it('takes a proxy that two replicas list from the one with the newest stream', async () => {
    const { peers, lines, heard } = setUp('b', 'c');
    peers.start();
    await turn();
    lines[0]?.say({ proxies: [proxy('p', 7)] });
    lines[1]?.say({ replica: 'c', proxies: [proxy('p', 8)] });
    await turn();
    assert.deepEqual(heard(), ['b heard ', 'c heard p']);
    lines[1]?.break();
    await turn();
    assert.deepEqual(heard(), ['b heard p', 'c silent '], 'one that is heard knows better');
    await peers.stop();
  });
});
