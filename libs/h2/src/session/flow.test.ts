/** Windows, held bytes and turns between streams. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Recorder } from '@ambit/proxy/testing';
import fc from 'fast-check';
import { FLAG, SETTING } from '../frames/protocol.ts';
import { data, post, settled, windowUpdate } from '../testing/raw-peer.ts';
import { serverRig } from '../testing/sessions.ts';
import { ChunkQueue } from './chunk-queue.ts';
import { ReceiveWindow } from './receive-window.ts';

const MIB = 1024 * 1024;
const BLOCK = new Uint8Array(16_384);

describe('ReceiveWindow', () => {
  const window = (max: number): ReceiveWindow => new ReceiveWindow({ bytes: 100, max, now: 0 });

  it('gives back when half was used', () => {
    const w = window(100);
    assert.equal(w.take(49), true);
    assert.equal(w.release(49), false);
    assert.equal(w.release(1), true);
    assert.deepEqual([w.usedForMs(10), w.update(10), w.usedForMs(10)], [10, 50, 0]);
  });

  it('has steps from what it begins with to its maximum, and back', () => {
    const w = window(350);
    const sizes = (step: 'larger' | 'smaller'): readonly number[] =>
      [1, 2, 3].map(() => {
        w.release(w.size);
        w.update(0, w[step]);
        return w.size;
      });
    assert.deepEqual(sizes('larger'), [200, 350, 350]);
    assert.deepEqual(sizes('smaller'), [175, 100, 100]);
  });

  it('gives as much more as it grows by, and as much less as it shrinks by', () => {
    const w = window(400);
    w.release(60);
    assert.equal(w.update(0, w.larger), 160);
    w.release(100);
    assert.equal(w.update(0, w.smaller), 0);
  });

  it('says when the peer exceeds it', () => {
    const w = window(100);
    assert.deepEqual([w.take(100), w.take(0), w.take(1)], [true, true, false]);
  });
});

describe('a stream of a session', () => {
  it('keeps its window closed while it is not read, and opens it as it is read', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient();
    peer.send(post(1));
    await peer.answers();
    const reader = new Recorder();
    streams[0]?.pause();
    streams[0]?.start(reader);
    peer.send(...[1, 2, 3].map(() => data(1, BLOCK)));
    assert.deepEqual(await peer.answers(), []);
    assert.equal(reader.bytes, 0);
    streams[0]?.resume();
    assert.deepEqual([reader.bytes, await peer.answers()], [3 * 16_384, ['WINDOW_UPDATE 1 32768']]);
  });

  it('gets a larger window when its reader keeps up', async () => {
    const { peer, streams } = serverRig({ limits: { streamWindowBytesMax: 200_000 } });
    peer.greetAsClient();
    peer.send(post(1));
    await peer.answers();
    streams[0]?.start(new Recorder());
    peer.send(...Array.from({ length: 30 }, () => data(1, BLOCK)));
    await settled(40);
    const given = peer.frames.filter((text) => text.startsWith('WINDOW_UPDATE 1'));
    assert.deepEqual(given.slice(0, 2), [
      'WINDOW_UPDATE 1 98303',
      `WINDOW_UPDATE 1 ${65_536 + 68_930}`,
    ]);
  });

  it('tells whoever lends it more than is sent at a time to wait, and when not to', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient([SETTING.INITIAL_WINDOW_SIZE, 4 * MIB]);
    peer.send(windowUpdate(0, 4 * MIB), post(1));
    await peer.answers();
    const writer = new Recorder();
    streams[0]?.start(writer);
    streams[0]?.respond({ status: 200, fields: [] });
    const [first, second] = [new Uint8Array(300_000), new Uint8Array(100)];
    assert.equal(streams[0]?.writeBorrowed(first), false);
    assert.equal(streams[0]?.writeBorrowed(second), false, 'told once, and still so');
    await settled(40);
    assert.equal(writer.drains, 1);
    assert.equal(streams[0]?.writeBorrowed(second), true);
    await settled(40);
    const sent = peer.frames.filter((text) => text.startsWith('DATA 1 '));
    const bytes = sent.reduce((sum, text) => sum + Number(text.split(' ')[2]), 0);
    assert.equal(bytes, 300_200);
  });

  it('is reset when it gets more than its window', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient();
    peer.send(post(1), post(3));
    await peer.answers();
    streams[0]?.pause();
    peer.send(...[1, 2, 3, 4].map(() => data(1, BLOCK)));
    assert.deepEqual(await peer.answers(), ['RST_STREAM 1 FLOW_CONTROL_ERROR']);
  });

  it('holds up no other when it is not read', async () => {
    const { peer, streams } = serverRig({ limits: { connectionWindowBytes: 100_000 } });
    peer.greetAsClient();
    peer.send(post(1), post(3));
    await peer.answers();
    streams[0]?.pause();
    const reader = new Recorder();
    streams[1]?.start(reader);
    for (let n = 0; n < 200; n += 1) {
      peer.send(n < 3 ? data(1, BLOCK) : data(3, BLOCK));
      await settled(2);
    }
    await settled();
    assert.equal(reader.bytes, 197 * 16_384);
  });

  it('gives padding back at once', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient();
    peer.send(post(1));
    await peer.answers();
    streams[0]?.pause();
    const padded = Buffer.concat([Buffer.from([255, 97]), Buffer.alloc(255)]);
    peer.send(...Array.from({ length: 130 }, () => data(1, padded, 8)));
    assert.deepEqual(await peer.answers(), [`WINDOW_UPDATE 1 ${128 * 256 + 65_535}`]);
  });

  it('makes the connection wait when too much is held, until it is read', async () => {
    const limits = { connectionWindowBytes: 100_000, heldBytesMax: 60_000 };
    const { peer, streams } = serverRig({ limits });
    peer.greetAsClient();
    peer.send(...[1, 3, 5].map((id) => post(id)));
    await peer.answers();
    for (const stream of streams) {
      stream.pause();
      stream.start(new Recorder());
    }
    peer.send(...[1, 1, 1, 3, 3, 3].map((id) => data(id, BLOCK)));
    assert.deepEqual(
      await peer.answers(),
      ['WINDOW_UPDATE 0 65536'],
      'only what came while little was held',
    );
    for (const stream of streams) {
      stream.resume();
    }
    const answers = await peer.answers();
    assert.deepEqual(answers.map((text) => text.split(' ').slice(0, 2).join(' ')).sort(), [
      'WINDOW_UPDATE 1',
      'WINDOW_UPDATE 3',
    ]);
    peer.send(data(5, BLOCK), data(5, BLOCK));
    assert.deepEqual(
      (await peer.answers()).filter((text) => text.startsWith('WINDOW_UPDATE 0')),
      ['WINDOW_UPDATE 0 65536'],
    );
  });
});

describe('what nobody reads', () => {
  it('holds up nobody else, however large windows had become while it was read', async () => {
    const limits = {
      streamWindowBytesMax: MIB,
      connectionWindowBytes: 2 * MIB,
      heldBytesMax: 4 * MIB,
    };
    const { peer, streams } = serverRig({ limits });
    peer.greetAsClient();
    /** By stream, what its window is open for. */
    const open = new Map<number, number>();
    let seen = 0;
    const read = async (): Promise<void> => {
      await settled(8);
      for (const text of peer.frames.slice(seen)) {
        const [, id, increment] = /^WINDOW_UPDATE ([1-9]\d*) (\d+)/.exec(text) ?? [];
        if (id !== undefined) open.set(Number(id), (open.get(Number(id)) ?? 0) + Number(increment));
      }
      seen = peer.frames.length;
    };
    const send = async (id: number, most = Number.POSITIVE_INFINITY): Promise<number> => {
      let sent = 0;
      while ((open.get(id) ?? 0) >= BLOCK.length && sent < most) {
        peer.send(data(id, BLOCK));
        open.set(id, (open.get(id) ?? 0) - BLOCK.length);
        sent += BLOCK.length;
        await read();
      }
      return sent;
    };
    const idle = Array.from({ length: 12 }, (_, index) => 2 * index + 1);
    for (const id of idle) {
      peer.send(post(id));
      open.set(id, 65_535);
      await read();
      streams.at(-1)?.start(new Recorder());
      await send(id, 3 * MIB);
    }
    for (const stream of streams) {
      stream.pause();
    }
    let held = 0;
    for (const id of idle) {
      held += await send(id);
    }
    assert.ok(held > 12 * 48_000 && held < limits.heldBytesMax, `${held} bytes held`);
    peer.send(post(99));
    open.set(99, 65_535);
    await read();
    const reader = new Recorder();
    streams.at(-1)?.start(reader);
    assert.ok((await send(99, 5 * MIB)) >= 5 * MIB);
    assert.equal(reader.bytes >= 5 * MIB, true);
  });

  it('counts for the session only while its stream is open', async () => {
    const limits = { connectionWindowBytes: 100_000, heldBytesMax: 60_000 };
    const { peer, streams } = serverRig({ limits });
    peer.greetAsClient();
    for (let id = 1; id < 41; id += 2) {
      peer.send(post(id), data(id, BLOCK), data(id, BLOCK, FLAG.END_STREAM));
      await settled(4);
      streams.at(-1)?.respond({ status: 200, fields: [] }, { end: true });
    }
    await settled();
    const given = peer.frames.filter((text) => text.startsWith('WINDOW_UPDATE 0')).length;
    assert.ok(given >= 9, `${given} updates for 20 streams`);
    const reader = new Recorder();
    streams[0]?.start(reader);
    await reader.closed;
    assert.equal(reader.bytes, 2 * 16_384);
  });

  it('needs windows that a peer can keep to', () => {
    for (const limits of [
      { streamWindowBytes: 1_000 },
      { connectionWindowBytes: 1_000 },
      { streamWindowBytes: 1 << 20, streamWindowBytesMax: 1 << 19 },
    ]) {
      assert.throws(() => serverRig({ limits }), RangeError, JSON.stringify(limits));
    }
  });
});

describe('what is written', () => {
  it('byte by byte goes out in one frame', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient([4, 0]);
    peer.send(post(1));
    await peer.answers();
    streams[0]?.respond({ status: 200, fields: [] });
    for (let n = 0; n < 5_000; n += 1) {
      streams[0]?.write(Uint8Array.of(n & 0xff));
    }
    await peer.answers();
    peer.send(windowUpdate(1, 10_000));
    assert.deepEqual(await peer.answers(), ['DATA 1 5000']);
  });
});

describe('turns', () => {
  it('let a small stream pass between the frames of a large one', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient([4, 1 << 24]);
    peer.send(windowUpdate(0, 1 << 24), post(1), post(3));
    await peer.answers();
    for (const [index, bytes] of [4 * MIB, 1].entries()) {
      streams[index]?.respond({ status: 200, fields: [] });
      streams[index]?.write(Buffer.alloc(bytes));
      streams[index]?.end();
    }
    const first = await peer.answers();
    const sizes = first.map((text) =>
      text.startsWith('DATA 1 ') ? Number.parseInt(text.slice(7), 10) : 0,
    );
    assert.ok(Math.max(...sizes) <= 16_384, 'no frame is larger than the peer takes');
    const before = sizes.slice(0, first.indexOf('DATA 3 1 end'));
    const waited = before.reduce((sum, size) => sum + size, 0);
    assert.ok(waited <= 2 * 16_384, `the small one came after ${waited} bytes`);
    for (let turn = 0; turn < 50 && peer.dataBytes < 4 * MIB; turn += 1) {
      await settled(20);
    }
    assert.equal(peer.dataBytes, 4 * MIB + 1);
  });

  it('give each of many the same', async () => {
    const { peer, streams } = serverRig();
    const ids = Array.from({ length: 20 }, (_, n) => 2 * n + 1);
    peer.greetAsClient([4, 1 << 24]);
    peer.send(...ids.map((id) => post(id)));
    await peer.answers();
    for (const stream of streams) {
      stream.respond({ status: 200, fields: [] });
      stream.write(Buffer.alloc(MIB));
    }
    await settled(20);
    // The connection's window of 65,535 is used up: four frames, of four streams.
    peer.send(windowUpdate(0, 40 * 16_375));
    await settled(60);
    const frames = peer.frames.filter((text) => text.startsWith('DATA'));
    const counts = ids.map((id) => frames.filter((text) => text.startsWith(`DATA ${id} `)).length);
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 2, counts.join());
  });

  it('put small frames before DATA', async () => {
    const { peer, streams } = serverRig();
    peer.greetAsClient([4, 1 << 24]);
    peer.send(post(1), post(3));
    await peer.answers();
    streams[0]?.respond({ status: 200, fields: [] });
    streams[0]?.write(Buffer.alloc(60_000));
    streams[1]?.respond({ status: 404, fields: [] }, { end: true });
    const kinds = (await peer.answers()).map((text) => text.split(' ').slice(0, 2).join(' '));
    assert.deepEqual(kinds.slice(0, 2), ['HEADERS 1', 'HEADERS 3']);
  });
});

describe('ChunkQueue', () => {
  it('gives back the same bytes, whatever was put in and taken how', () => {
    const step = fc.oneof(
      fc.nat(5_000).map((push) => ({ push })),
      fc.nat(5_000).map((coalesce) => ({ coalesce })),
      fc.integer({ min: 1, max: 9_000 }).map((take) => ({ take })),
      fc.constant({ shift: true }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const queue = new ChunkQueue();
        const [put, got]: [number[], number[]] = [[], []];
        const fresh = (length: number): Uint8Array => {
          const chunk = Uint8Array.from({ length }, (_, at) => (put.length + at) % 251);
          put.push(...chunk);
          return chunk;
        };
        for (const one of [...steps, ...steps.map(() => ({ shift: true }))]) {
          if ('push' in one || 'coalesce' in one) {
            const chunk = fresh('push' in one ? one.push : one.coalesce);
            if ('push' in one) {
              queue.push(chunk);
            } else {
              queue.coalesce(chunk);
            }
          } else {
            got.push(...(('take' in one ? queue.take(one.take) : queue.shift()) ?? []));
          }
          assert.equal(queue.bytes, put.length - got.length);
        }
        assert.deepEqual(Buffer.from(got), Buffer.from(put.slice(0, got.length)));
      }),
      { numRuns: 100 },
    );
  });

  it('holds single bytes in little more than their number', () => {
    const queue = new ChunkQueue();
    const read = new Uint8Array(65_536);
    for (let n = 0; n < 100_000; n += 1) {
      queue.coalesce(read.subarray(n % 65_536, (n % 65_536) + 1));
    }
    const buffers = new Set<ArrayBufferLike>();
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      buffers.add(chunk.buffer);
    }
    const kept = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0);
    assert.ok(kept < 150_000, `${kept} bytes are kept for 100,000`);
  });
});
