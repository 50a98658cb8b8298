/**
 * The suite that every `ByteConn` passes, whatever carries it.
 *
 * A maker gives two joined ends; the suite drives both through the contract of `conn.ts` only.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MeshError } from '@ambit/core';

import { type ByteConn, type ByteSink, writeBorrowed } from '../conn.ts';
import { Recorder } from './recorder.ts';

export interface ConnMaker {
  readonly name: string;
  /** Makes two joined ends; `close` frees what carries them. */
  make(): Promise<{ near: ByteConn; far: ByteConn; close(): Promise<void> | void }>;
  /** A reset of one end is seen as an error at the other (false: as a clean end). Default true. */
  readonly carriesReset?: boolean;
}

const MIB = 1024 * 1024;

function pump(conn: ByteConn, recorder: Recorder, total: number): Promise<void> {
  const chunk = new Uint8Array(64 * 1024).fill(0x61);
  let left = total;
  const send = (): boolean => {
    while (left > 0) {
      const part = left >= chunk.length ? chunk : chunk.subarray(0, left);
      left -= part.length;
      if (!conn.write(part)) {
        return false;
      }
    }
    return true;
  };
  return (async () => {
    while (!send()) {
      const seen = recorder.drains;
      await recorder.until((r) => r.drains > seen || r.events.includes('close'));
    }
    conn.end();
  })();
}

type Ends = Awaited<ReturnType<ConnMaker['make']>>;

function withEnds(maker: ConnMaker, body: (ends: Ends) => Promise<void>): () => Promise<void> {
  return async () => {
    const ends = await maker.make();
    try {
      await body(ends);
    } finally {
      ends.near.destroy();
      ends.far.destroy();
      await ends.close();
    }
  };
}

function endingTests(maker: ConnMaker): void {
  it(
    'keeps the other direction open after a half-close',
    withEnds(maker, async ({ near, far }) => {
      const [n, f] = [Recorder.on(near), Recorder.on(far)];
      near.write(Buffer.from('question'));
      near.end();
      await f.ended;
      assert.equal(f.text, 'question');
      assert.ok(!n.events.includes('end'), 'our end is not the peer’s');
      far.write(Buffer.from('answer'));
      far.end();
      assert.equal(await n.closed, undefined);
      assert.equal(await f.closed, undefined);
      assert.equal(n.text, 'answer');
      assert.deepEqual([n.events.at(-2), n.events.at(-1)], ['end', 'close']);
    }),
  );

  it(
    'drops what is written after end, and says true',
    withEnds(maker, async ({ near, far }) => {
      const [, f] = [Recorder.on(near), Recorder.on(far)];
      near.end();
      near.end();
      assert.equal(near.write(Buffer.from('late')), true);
      await f.ended;
      assert.equal(f.bytes, 0);
    }),
  );

  it(
    'reports the first reason of destroy, once, and nothing after it',
    withEnds(maker, async ({ near, far }) => {
      const [n, f] = [Recorder.on(near), Recorder.on(far)];
      far.write(Buffer.from('x'));
      await n.until((r) => r.bytes === 1);
      const first = new MeshError('FIRST', 'first', { side: 'local' });
      near.destroy(first);
      near.destroy(new MeshError('SECOND', 'second', { side: 'local' }));
      assert.equal(near.write(Buffer.from('y')), true);
      assert.equal(await n.closed, first);
      const carriesReset = maker.carriesReset ?? true;
      const error = carriesReset ? await f.closed : await Promise.race([f.closed, f.ended]);
      assert.equal(n.events.filter((e) => e === 'close').length, 1);
      assert.equal(n.events.at(-1), 'close');
      if (carriesReset) {
        assert.ok(error instanceof MeshError, 'the peer sees a reset');
        assert.equal(error.code, 'PROXY_PEER_GONE');
      }
    }),
  );

  it(
    'delivers an end that came before start, then lives on',
    withEnds(maker, async ({ near, far }) => {
      const n = Recorder.on(near);
      near.end();
      // Something the other way and back proves that the end has arrived.
      far.write(Buffer.from('x'));
      await n.until((r) => r.bytes === 1);
      const f = Recorder.on(far);
      await f.ended;
      far.write(Buffer.from('y'));
      await n.until((r) => r.bytes === 2);
    }),
  );

  it(
    'delivers a close that happened before start',
    withEnds(maker, async ({ near, far }) => {
      Recorder.on(far);
      near.destroy();
      await Promise.resolve();
      const n = Recorder.on(near);
      assert.equal(await n.closed, undefined);
      assert.deepEqual(n.events, ['close']);
    }),
  );
}

function dataTests(maker: ConnMaker): void {
  it(
    'delivers in order what was written before the peer started',
    withEnds(maker, async ({ near, far }) => {
      Recorder.on(near);
      for (const word of ['one ', 'two ', 'three']) {
        near.write(Buffer.from(word));
      }
      const f = Recorder.on(far);
      await f.until((r) => r.bytes === 13);
      assert.equal(f.text, 'one two three');
    }),
  );

  it(
    'gives chunks that the receiver may keep',
    withEnds(maker, async ({ near, far }) => {
      Recorder.on(near);
      const kept: Uint8Array[] = [];
      const done = Promise.withResolvers<void>();
      far.start({
        onData: (chunk) => kept.push(chunk),
        onEnd: () => done.resolve(),
        onDrain: () => undefined,
        onClose: () => undefined,
      });
      for (let i = 0; i < 64; i += 1) {
        near.write(new Uint8Array(4096).fill(i));
      }
      near.end();
      await done.promise;
      const all = Buffer.concat(kept);
      assert.equal(all.length, 64 * 4096);
      for (let i = 0; i < all.length; i += 512) {
        assert.equal(all[i], Math.floor(i / 4096), `byte ${i}`);
      }
    }),
  );

  it(
    'holds the writer back while the reader is paused, loses nothing',
    withEnds(maker, async ({ near, far }) => {
      const [n, f] = [Recorder.on(near), new Recorder()];
      far.pause();
      far.start(f);
      const total = 24 * MIB;
      const sent = pump(near, n, total);
      // A round trip the other way proves that the loop turned while the reader stood still.
      far.write(Buffer.from('tick'));
      await n.until((r) => r.bytes === 4);
      assert.ok(f.bytes < total / 2, `a paused reader got ${f.bytes} bytes`);
      far.resume();
      await sent;
      await f.ended;
      assert.equal(f.bytes, total);
      assert.ok(n.drains > 0, 'the writer had to wait');
    }),
  );
}

/** Declares the suite for one kind of connection. */
/** Bytes that differ at every place, so that one in the wrong place is seen. */
function patterned(from: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let at = 0; at < length; at += 1) {
    bytes[at] = ((from + at) * 31 + ((from + at) >>> 8)) & 0xff;
  }
  return bytes;
}

/** Writes pieces of all sizes and spoils each as soon as it was written. */
async function pumpBorrowed(conn: ByteConn, recorder: Recorder, total: number): Promise<void> {
  const sizes = [1, 700, 16_375, 40_000, 3_000, 200_000, 9];
  for (let sent = 0, at = 0; sent < total; at += 1) {
    const chunk = patterned(sent, Math.min(total - sent, sizes[at % sizes.length] ?? 1));
    sent += chunk.length;
    const seen = recorder.drains;
    const takesMore = writeBorrowed(conn, chunk);
    chunk.fill(0xee);
    if (!takesMore) {
      await recorder.until((r) => r.drains > seen || r.events.includes('close'));
    } else if (at % 5 === 0) {
      await new Promise(setImmediate);
    }
  }
  conn.end();
}

/** Checks the pattern, pausing now and then; what it may keep it checks once more at the end. */
class PatternReader implements ByteSink {
  readonly borrows: boolean;
  readonly ended = Promise.withResolvers<void>();
  readonly #conn: ByteConn;
  readonly #kept: [number, Uint8Array][] = [];
  bytes = 0;
  wrong = 0;

  constructor(conn: ByteConn, borrows: boolean) {
    this.#conn = conn;
    this.borrows = borrows;
  }

  onData(chunk: Uint8Array): void {
    this.#check(this.bytes, chunk);
    if (!this.borrows) {
      this.#kept.push([this.bytes, chunk]);
    }
    const before = this.bytes;
    this.bytes += chunk.length;
    if (Math.floor(before / 300_000) !== Math.floor(this.bytes / 300_000)) {
      this.#conn.pause();
      setImmediate(() => this.#conn.resume());
    }
  }

  onEnd(): void {
    for (const [at, chunk] of this.#kept) {
      this.#check(at, chunk);
    }
    this.ended.resolve();
  }

  onDrain(): void {}

  onClose(error?: Error): void {
    this.ended.reject(error ?? new Error('closed before its end'));
  }

  #check(at: number, chunk: Uint8Array): void {
    if (!patterned(at, chunk.length).equals(chunk)) {
      this.wrong += 1;
    }
  }
}

function lendingTests(maker: ConnMaker): void {
  for (const borrows of [false, true]) {
    it(
      `keeps bytes right when chunks are written lent${borrows ? ' and read lent' : ''}`,
      withEnds(maker, async ({ near, far }) => {
        const total = 2 * MIB + 12_345;
        const writer = Recorder.on(near);
        const reader = new PatternReader(far, borrows);
        far.start(reader);
        await pumpBorrowed(near, writer, total);
        await reader.ended.promise;
        assert.deepEqual([reader.bytes, reader.wrong], [total, 0]);
      }),
    );
  }
}

export function byteConnSuite(maker: ConnMaker): void {
  describe(`ByteConn on ${maker.name}`, () => {
    dataTests(maker);
    endingTests(maker);
    lendingTests(maker);
    it(
      'refuses a second start',
      withEnds(maker, async ({ near }) => {
        Recorder.on(near);
        assert.throws(() => near.start(new Recorder()), /twice/);
      }),
    );
  });
}
