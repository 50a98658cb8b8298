/** Every bound of `limits.ts` is reached here, and what happens at it is seen by the peer and in a counter. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { FLAG, FRAME, PREFACE } from '../frames/protocol.ts';
import { echo } from '../testing/echo-server.ts';
import { frame } from '../testing/frames.ts';
import {
  data,
  GET,
  get,
  headers,
  ping,
  post,
  reset,
  settings,
  settled,
  windowUpdate,
} from '../testing/raw-peer.ts';
import { clientRig, type RigOptions, serverRig } from '../testing/sessions.ts';
import { FLOODS, type Flood, MESH_LIMITS } from './limits.ts';
import { StreamTable } from './stream-table.ts';
import { TokenBucket } from './token-bucket.ts';

const { END_STREAM } = FLAG;

interface FloodCase {
  /** One more of what is limited; `n` counts from 0. */
  readonly one: (n: number) => readonly Uint8Array[];
  readonly first?: readonly Uint8Array[];
  readonly options?: RigOptions;
  /** Of the burst, what the greeting has used already. */
  readonly used?: number;
}

const id = (n: number): number => 2 * n + 1;
const OVERSIZE = headers(1, [...GET, 'x', 'y'.repeat(600)]).subarray(9);

const FLOOD_CASES: Readonly<Record<Flood, FloodCase>> = {
  settings: { one: () => [settings()], used: 2 },
  pings: { one: () => [ping()] },
  windowUpdates: { one: () => [windowUpdate(0, 1)] },
  priorities: { one: () => [frame(FRAME.PRIORITY, 9, '\0\0\0\x03\0')] },
  emptyData: { one: () => [data(1, '')], first: [post(1)] },
  unknownFrames: { one: () => [frame(0xef, 0, 'x')] },
  unansweredResets: { one: (n) => [post(id(n)), reset(id(n))] },
  resets: { one: (n) => [post(id(n)), reset(id(n))], options: { onStream: echo } },
  streamErrors: { one: (n) => [post(id(n)), windowUpdate(id(n), 0)], options: { onStream: echo } },
  refusedStreams: {
    one: (n) => [post(id(n + 1))],
    first: [post(1)],
    options: { limits: { streamsMax: 1 } },
  },
  oversizeHeaders: {
    one: (n) => [frame(FRAME.HEADERS, id(n), OVERSIZE, FLAG.END_HEADERS | END_STREAM)],
    options: { limits: { headerListBytesMax: 600 } },
  },
};

async function flood({ one, first = [], options = {} }: FloodCase, count: number) {
  const rig = serverRig(options);
  rig.peer.greetAsClient();
  rig.peer.send(...first);
  await rig.peer.answers();
  rig.peer.send(Buffer.concat(Array.from({ length: count }, (_, n) => one(n)).flat()));
  await settled();
  return rig;
}

describe('floods', () => {
  for (const name of FLOODS) {
    const each = FLOOD_CASES[name];
    const burst = MESH_LIMITS.rates[name].burst - (each.used ?? 0);

    it(`${name}: ${burst} at once are taken`, async () => {
      const { counters, closed } = await flood(each, burst);
      assert.deepEqual([counters.floods[name], closed.length], [0, 0]);
    });

    it(`${name}: one more ends the session with ENHANCE_YOUR_CALM`, async () => {
      const { peer, counters, closed, streams } = await flood(each, burst + 1);
      assert.match(peer.frames.at(-1) ?? '', /^GOAWAY \d+ ENHANCE_YOUR_CALM$/);
      assert.equal(peer.isEnded, true);
      assert.equal(counters.floods[name], 1);
      assert.equal(closed[0]?.code, 'H2_FLOOD');
      assert.ok(
        name === 'resets' || streams.length <= 250,
        `${streams.length} streams reached code`,
      );
    });
  }

  it('are paid for by DATA that was sent, where they answer it', async () => {
    const rig = serverRig({ onStream: echo });
    rig.peer.greetAsClient([4, 1 << 24]);
    rig.peer.send(windowUpdate(0, 1 << 24), post(1));
    for (let n = 0; n < 3000; n += 1) {
      rig.peer.send(data(1, 'a'));
      await settled(2);
      rig.peer.send(windowUpdate(1, 1), windowUpdate(0, 1));
    }
    await settled();
    assert.deepEqual([rig.counters.floods.windowUpdates, rig.closed.length], [0, 0]);
  });

  it('are forgiven with time', async () => {
    const rig = await flood(FLOOD_CASES.pings, 200);
    rig.clock.advance(1000);
    for (const [count, floods] of [
      [20, 0],
      [1, 1],
    ] as const) {
      rig.peer.send(...Array.from({ length: count }, () => ping()));
      await settled();
      assert.equal(rig.counters.floods.pings, floods);
    }
  });

  it('of a server end a client too', async () => {
    const { peer, counters, closed } = clientRig();
    peer.greetAsServer();
    peer.send(...Array.from({ length: 201 }, () => ping()));
    await settled();
    assert.deepEqual([counters.floods.pings, closed[0]?.code], [1, 'H2_FLOOD']);
  });
});

describe('TokenBucket', () => {
  it('owes nothing for what it did not give', () => {
    let now = 0;
    const clock = { now: () => now, wallNow: () => 0, sleep: () => Promise.resolve() };
    const bucket = new TokenBucket(clock, { burst: 2, perSecond: 2 });
    const given = (): boolean[] => Array.from({ length: 4 }, () => bucket.takeIfAny());
    assert.deepEqual(given(), [true, true, false, false]);
    now += 499;
    assert.deepEqual(given(), [false, false, false, false]);
    now += 1;
    assert.deepEqual(given(), [true, false, false, false]);
  });

  it('never has more than its burst, whatever the time', () => {
    let now = 0;
    const clock = { now: () => now, wallNow: () => 0, sleep: () => Promise.resolve() };
    const bucket = new TokenBucket(clock, { burst: 3, perSecond: 2 });
    const taken = (): number => {
      let count = 0;
      while (bucket.take()) {
        count += 1;
      }
      return count;
    };
    now = 1_000_000;
    assert.equal(taken(), 3);
    now += 1_000;
    assert.equal(taken(), 1, 'the refused one has cost a token');
    bucket.earn(100);
    assert.equal(taken(), 6, 'twice the burst can be earned');
    now += 1_000_000;
    assert.equal(taken(), 3);
  });
});

describe('bounds of frames and headers', () => {
  it('ends a block of too many CONTINUATION frames', async () => {
    const { peer, counters, streams } = serverRig();
    peer.greetAsClient();
    await peer.answers();
    const rest = Array.from({ length: 9 }, () => frame(FRAME.CONTINUATION, 1, '\x82'));
    peer.send(frame(FRAME.HEADERS, 1, '\x82', END_STREAM), ...rest);
    assert.deepEqual(await peer.answers(), ['GOAWAY 0 ENHANCE_YOUR_CALM']);
    assert.deepEqual([counters.boundsReached, streams.length], [1, 0]);
  });

  it('ends a block of too many bytes', async () => {
    const { peer, counters } = serverRig();
    peer.greetAsClient();
    await peer.answers();
    const part = new Uint8Array(16_384);
    peer.send(
      frame(FRAME.HEADERS, 1, part),
      ...[1, 2, 3, 4].map(() => frame(FRAME.CONTINUATION, 1, part)),
    );
    assert.deepEqual(await peer.answers(), ['GOAWAY 0 ENHANCE_YOUR_CALM']);
    assert.equal(counters.boundsReached, 1);
  });

  it('answers 431 to a header bomb, keeps little of it, and goes on', async () => {
    const { peer, counters, streams } = serverRig({ onStream: echo });
    peer.greetAsClient();
    await peer.answers();
    // One entry of the table, and 16,000 references to it of one byte each: 64 MB if they were kept.
    const entry = Buffer.concat([
      Buffer.from([0x40, 1, 0x78, 0x7f, 0xa1, 0x1e]),
      Buffer.alloc(0x7f + 0x21 + 0x1e * 128, 0x79),
    ]);
    const bomb = Buffer.concat([entry, Buffer.alloc(12_000, 0xbe)]);
    peer.send(frame(FRAME.HEADERS, 1, bomb, FLAG.END_HEADERS | END_STREAM), get(3));
    assert.equal((await peer.answers())[0], 'HEADERS 1 :status=431 end');
    assert.deepEqual([counters.oversizeHeaders, streams.length], [1, 1]);
  });

  it('counts fields, not only their bytes', async () => {
    const { peer } = serverRig({ onStream: echo });
    peer.greetAsClient();
    await peer.answers();
    peer.send(headers(1, [...GET, ...Array.from({ length: 250 }, () => 'a')], END_STREAM));
    assert.deepEqual(await peer.answers(), ['HEADERS 1 :status=431 end']);
  });

  it('remembers a bounded number of streams that are over', () => {
    const table = new StreamTable(16);
    for (let n = 0; n < 10_000; n += 1) {
      table.use(id(n));
      table.end(id(n), 'ended');
    }
    assert.deepEqual([table.remembered, table.size], [16, 0]);
    assert.deepEqual(
      [table.stateOf(1), table.stateOf(19_999), table.stateOf(20_001)],
      ['forgotten', 'ended', 'idle'],
    );
  });
});

/** A server whose transport takes nothing more, with 1 MiB to send. */
async function blockedServer(options: RigOptions) {
  const rig = serverRig(options);
  rig.peer.greetAsClient([4, 1 << 24]);
  rig.peer.send(windowUpdate(0, 1 << 24), post(1));
  await rig.peer.answers();
  rig.peer.pause();
  rig.streams[0]?.respond({ status: 200, fields: [] });
  rig.streams[0]?.write(Buffer.alloc(1 << 20));
  await settled();
  return rig;
}

const MANY_PINGS = { rates: { ...MESH_LIMITS.rates, pings: { burst: 1e6, perSecond: 1e6 } } };

describe('bounds of what waits for a peer that does not read', () => {
  it('ends the session when too many answers wait', async () => {
    const { peer, counters, closed } = await blockedServer({
      limits: { ...MANY_PINGS, repliesMax: 50 },
    });
    peer.send(...Array.from({ length: 50 }, () => ping()));
    await settled();
    assert.equal(counters.boundsReached, 0);
    peer.send(ping());
    await settled();
    assert.equal(counters.boundsReached, 1);
    peer.resume();
    await settled(30);
    assert.equal(peer.frames.at(-1), 'GOAWAY 1 ENHANCE_YOUR_CALM');
    assert.equal(closed[0]?.code, 'H2_FLOOD');
  });

  it('reads no further when too many bytes wait, and goes on where it was', async () => {
    const { peer, counters, closed } = await blockedServer({
      limits: { ...MANY_PINGS, repliesMax: 1e6, backlogBytesMax: 1_000 },
    });
    for (let n = 0; n < 5_000; n += 1) {
      peer.send(ping());
    }
    await settled(50);
    assert.equal(counters.readPauses, 1);
    assert.equal(peer.send(ping()), false, 'what the peer says is not read');
    peer.resume();
    for (
      let n = 0;
      n < 100 && peer.frames.filter((text) => text.startsWith('PING')).length < 5_001;
      n += 1
    ) {
      await settled(50);
    }
    assert.equal(peer.frames.filter((text) => text.startsWith('PING')).length, 5_001);
    assert.deepEqual([peer.dataBytes, closed.length], [1 << 20, 0]);
  });

  it('ends a connection from which nothing is taken for too long', async () => {
    const { clock, counters, closed } = await blockedServer({});
    const half = MESH_LIMITS.connectionStallMs / 2;
    for (let look = 0; look < 2; look += 1) {
      clock.advance(half);
      await settled();
    }
    assert.equal(closed.length, 0);
    clock.advance(half);
    await settled();
    assert.deepEqual([counters.connectionStalls, closed[0]?.code], [1, 'H2_STALLED']);
  });

  it('ends a stream that gets no window for too long, and no other', async () => {
    const rig = serverRig({ limits: { streamStallMs: 60_000 } });
    rig.peer.greetAsClient([4, 10]);
    rig.peer.send(post(1), post(3), windowUpdate(3, 100_000));
    await rig.peer.answers();
    for (const stream of rig.streams) {
      stream.respond({ status: 200, fields: [] });
      stream.write(Buffer.alloc(20));
    }
    await settled();
    for (let minute = 0; minute < 3; minute += 1) {
      rig.clock.advance(30_000);
      await settled();
    }
    assert.equal(rig.counters.streamStalls, 1);
    assert.equal(rig.peer.frames.at(-1), 'RST_STREAM 1 CANCEL');
    assert.equal(rig.session.openStreams, 1);
  });

  it('waits for ever for a window of a tunnel', async () => {
    const rig = serverRig();
    rig.peer.greetAsClient([4, 0]);
    rig.peer.send(post(1));
    await rig.peer.answers();
    rig.streams[0]?.respond({ status: 200, fields: [] });
    rig.streams[0]?.write(Buffer.alloc(20));
    for (let hour = 0; hour < 24; hour += 1) {
      rig.clock.advance(3_600_000);
      await settled(2);
    }
    assert.equal(rig.session.openStreams, 1);
  });
});

describe('deadlines', () => {
  for (const [name, bytes] of [
    ['says nothing', []],
    ['stops inside of the preface', [PREFACE.subarray(0, 10)]],
    ['stops inside of its SETTINGS', [PREFACE, settings([3, 1]).subarray(0, 12)]],
  ] as const) {
    it(`closes when a client ${name}`, async () => {
      const { peer, clock, counters, closed } = serverRig();
      peer.send(...bytes);
      await settled();
      clock.advance(4_999);
      await settled();
      assert.equal(closed.length, 0);
      clock.advance(1);
      await settled();
      assert.deepEqual([counters.handshakeTimeouts, closed[0]?.code], [1, 'H2_HANDSHAKE_TIMEOUT']);
    });
  }

  it('6.5.3 closes when SETTINGS are not acknowledged', async () => {
    const { peer, clock, counters } = serverRig();
    peer.send(PREFACE, settings());
    await peer.answers();
    clock.advance(10_000);
    assert.deepEqual(await peer.answers(), ['GOAWAY 0 SETTINGS_TIMEOUT']);
    assert.equal(counters.settingsTimeouts, 1);
  });

  it('asks whether the peer is there, and closes when it does not say', async () => {
    const payload = Buffer.from('3b7cdb7a0b8716b4', 'hex');
    const keepAlive = { intervalMs: 10_000, timeoutMs: 20_000, payload };
    const { peer, clock, counters, closed } = serverRig({ keepAlive });
    peer.greetAsClient();
    await peer.answers();
    const text = payload.toString('latin1');
    clock.advance(10_000);
    assert.deepEqual(await peer.answers(), [`PING ${text}`]);
    peer.send(ping(text, FLAG.ACK));
    await settled();
    clock.advance(10_000);
    assert.deepEqual(await peer.answers(), [`PING ${text}`]);
    // Who reads slowly has the PING behind much else, and still says something: it is there.
    clock.advance(5_000);
    peer.send(windowUpdate(0, 1), ping('another!', FLAG.ACK));
    await settled();
    for (const ms of [15_000, 14_999]) {
      clock.advance(ms);
      await settled();
      assert.deepEqual([counters.pingTimeouts, closed.length], [0, 0]);
    }
    clock.advance(1);
    await settled();
    assert.deepEqual([counters.pingTimeouts, closed[0]?.code], [1, 'H2_PING_TIMEOUT']);
  });

  it('closes when the peer does not, after the last word', async () => {
    const { peer, clock, session, closed } = serverRig();
    peer.onEnd = () => undefined;
    peer.greetAsClient();
    await settled();
    session.drain();
    await settled();
    clock.advance(1_000);
    await settled();
    assert.equal(closed.length, 0);
    clock.advance(2_000);
    await settled();
    assert.deepEqual(closed, [undefined]);
  });
});
