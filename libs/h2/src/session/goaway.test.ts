/**
 * GOAWAY that comes while a write is under way, of which the transport still reads: what the peer will process is completed, what it
 * will not may be sent elsewhere, and memory is used again when the transport has taken it, not before.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshError } from '@ambit/core';
import { FakeClock } from '@ambit/core/testing';
import type { ByteConn, ByteSink } from '@ambit/proxy';
import { connPair, Recorder } from '@ambit/proxy/testing';
import { data, goaway, headers, RawPeer, settled } from '../testing/raw-peer.ts';
import { ClientSession } from './client-session.ts';
import type { ClientStream } from './client-stream.ts';
import { MESH_LIMITS } from './limits.ts';

const END_STREAM = 0x1;
const OK = [':status', '200'];
const BODY_BYTES = 20_000;

interface Write {
  /** Of the sender: it may not change until it is taken. */
  readonly chunk: Uint8Array;
  readonly copy: Buffer;
  readonly onTaken: () => void;
}

/** A transport that has taken a write when the test says so; the peer has the bytes before. */
class SlowConn implements ByteConn {
  readonly writes: Write[] = [];
  readonly #conn: ByteConn;
  /** Of `writes`. */
  #taken = 0;

  constructor(conn: ByteConn) {
    this.#conn = conn;
  }

  get remoteAddress(): string {
    return this.#conn.remoteAddress;
  }

  get remotePort(): number {
    return this.#conn.remotePort;
  }

  get localAddress(): string {
    return this.#conn.localAddress;
  }

  get localPort(): number {
    return this.#conn.localPort;
  }

  start(sink: ByteSink): void {
    this.#conn.start(sink);
  }

  write(chunk: Uint8Array): boolean {
    return this.#conn.write(chunk);
  }

  writeTracked(chunk: Uint8Array, onTaken: () => void): void {
    this.writes.push({ chunk, copy: Buffer.from(chunk), onTaken });
    this.#conn.write(chunk);
  }

  end(): void {
    this.#conn.end();
  }

  pause(): void {
    this.#conn.pause();
  }

  resume(): void {
    this.#conn.resume();
  }

  destroy(reason?: MeshError): void {
    this.#conn.destroy(reason);
  }

  /** Takes everything that is under way, and what that brings. Whatever it reads is as it was written. */
  async takeAll(): Promise<void> {
    while (this.#taken < this.writes.length) {
      this.takeOne();
      await settled();
    }
  }

  takeOne(): void {
    const write = this.writes[this.#taken];
    assert.ok(write !== undefined, 'nothing is under way');
    assert.deepEqual(Buffer.from(write.chunk), write.copy);
    this.#taken += 1;
    write.onTaken();
  }
}

interface Request {
  readonly stream: ClientStream;
  /** Of the response. */
  readonly body: Recorder;
  readonly heard: string[];
}

function session() {
  const [ours, theirs] = connPair();
  const conn = new SlowConn(ours);
  const closed: (MeshError | undefined)[] = [];
  const client = new ClientSession({
    transport: conn,
    clock: new FakeClock(),
    limits: MESH_LIMITS,
    onClose: (error) => void closed.push(error),
  });
  const peer = new RawPeer(theirs, 'server');
  peer.greetAsServer();
  const post = (): Request => {
    const heard: string[] = [];
    const head = { method: 'POST', scheme: 'http', authority: 'a', path: '/', fields: [] } as const;
    const stream = client.request(head, {
      onResponse: ({ status }) => void heard.push(String(status)),
      onNoResponse: (error) =>
        void heard.push(`${error?.code} ${error?.retryable === true ? 'elsewhere' : 'lost'}`),
    });
    const body = new Recorder();
    stream.start(body);
    return { stream, body, heard };
  };
  return { client, conn, peer, closed, post };
}

/** Two requests: a half of the one body is under way, and what follows is gathered behind it. */
async function halfWritten() {
  const rig = session();
  await settled();
  await rig.conn.takeAll();
  const kept = rig.post();
  const refused = rig.post();
  kept.stream.write(Buffer.alloc(BODY_BYTES, 'k'));
  await settled();
  refused.stream.write(Buffer.alloc(BODY_BYTES, 'r'));
  kept.stream.write(Buffer.alloc(BODY_BYTES, 'K'));
  await settled();
  const [under] = rig.conn.writes.slice(-1);
  assert.ok(under !== undefined);
  return { ...rig, kept, refused, under };
}

const dataBytesOf = (frames: readonly string[], streamId: number): number =>
  frames
    .map((text) => new RegExp(`^DATA ${streamId} (\\d+)`).exec(text)?.[1])
    .reduce((sum, bytes) => sum + Number(bytes ?? 0), 0);

describe('GOAWAY while a write is under way', () => {
  it('completes the request below it, and refuses the one above it for a try elsewhere', async () => {
    const { client, conn, peer, closed, kept, refused } = await halfWritten();
    peer.send(goaway(1));
    await settled();
    assert.deepEqual(refused.heard, ['H2_REFUSED elsewhere']);
    assert.equal(
      (await refused.body.closed)?.message,
      'the peer ends the connection and has not processed the stream',
    );
    assert.deepEqual([client.openStreams, client.room, kept.heard], [1, 0, []]);

    kept.stream.end();
    await conn.takeAll();
    assert.equal(dataBytesOf(peer.frames, 1), 2 * BODY_BYTES);
    assert.ok(peer.frames.some((text) => /^DATA 1 \d+ end$/.test(text)));
    peer.send(headers(1, OK), data(1, 'done', END_STREAM));
    await settled();
    await conn.takeAll();
    assert.deepEqual([kept.heard, kept.body.text], [['200'], 'done']);
    assert.equal(peer.frames.at(-1), 'GOAWAY 0 NO_ERROR');
    peer.end();
    await settled();
    assert.deepEqual(closed, [undefined]);

    const other = session();
    const again = other.post();
    again.stream.write(Buffer.alloc(BODY_BYTES, 'r'));
    again.stream.end();
    await settled();
    await other.conn.takeAll();
    assert.equal(dataBytesOf(other.peer.frames, 1), BODY_BYTES);
    other.peer.send(headers(1, OK, END_STREAM));
    await settled();
    assert.deepEqual(again.heard, ['200']);
  });

  it('sends nothing more of what is refused, and forgets its bytes', async () => {
    const { conn, peer, kept, refused } = await halfWritten();
    // More than the peer's window: some of it waits in the stream.
    refused.stream.write(Buffer.alloc(100_000, 'r'));
    assert.ok(refused.stream.pendingBytes > 0);
    peer.send(goaway(1));
    await settled();
    assert.equal(refused.stream.pendingBytes, 0);
    const before = dataBytesOf(peer.frames, 3);
    kept.stream.end();
    await conn.takeAll();
    // What was gathered behind the write when GOAWAY came leaves with it: the peer passes it over.
    assert.ok(dataBytesOf(peer.frames, 3) <= before + 65_535);
    assert.equal(refused.stream.write(Buffer.alloc(BODY_BYTES, 'r')), true);
    await conn.takeAll();
    assert.equal(refused.stream.pendingBytes, 0);
  });

  it('uses the memory of the write again when it is taken, and not before', async () => {
    const { conn, peer, kept, under } = await halfWritten();
    const begun = conn.writes.length;
    peer.send(goaway(1));
    await settled();
    kept.stream.write(Buffer.alloc(BODY_BYTES, 'x'));
    await settled();
    const other = session();
    const beside = other.post();
    beside.stream.write(Buffer.alloc(BODY_BYTES, 'y'));
    await settled();
    await other.conn.takeAll();
    const meanwhile = [...conn.writes.slice(begun), ...other.conn.writes];
    assert.ok(meanwhile.length > 0);
    assert.ok(meanwhile.every(({ chunk }) => chunk.buffer !== under.chunk.buffer));
    assert.deepEqual(Buffer.from(under.chunk), under.copy);

    await conn.takeAll();
    const after = conn.writes.length;
    for (let round = 0; round < 4; round += 1) {
      kept.stream.write(Buffer.alloc(1_000, 'z'));
      await settled();
      await conn.takeAll();
    }
    assert.ok(conn.writes.slice(after).some(({ chunk }) => chunk.buffer === under.chunk.buffer));
  });

  it('that is the end of the connection too leaves the memory to who still reads it', async () => {
    const { client, conn, peer, closed, kept, refused, under } = await halfWritten();
    peer.send(goaway(0));
    await settled();
    assert.deepEqual(
      [kept.heard, refused.heard],
      [['H2_REFUSED elsewhere'], ['H2_REFUSED elsewhere']],
    );
    peer.end();
    await settled();
    client.destroy();
    await settled();
    assert.equal(closed.length, 1);
    const other = session();
    const beside = other.post();
    beside.stream.write(Buffer.alloc(BODY_BYTES, 'y'));
    await settled();
    await other.conn.takeAll();
    assert.ok(other.conn.writes.every(({ chunk }) => chunk.buffer !== under.chunk.buffer));
    assert.doesNotThrow(() => conn.takeOne());
  });
});
