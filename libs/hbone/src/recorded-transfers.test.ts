/**
 * Replays long transfers between two agents of the reference. Frames are cut elsewhere by ours, so it is bytes that are compared:
 * all of them arrive, and at no time more are under way than the recorded side, or ours, allowed.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ClientStream, Fields, ServerStream } from '@ambit/h2';
import { clientRig, data, type RawPeer, serverRig, settled } from '@ambit/h2/testing';
import { Recorder } from '@ambit/proxy/testing';

import recordings from './fixtures/recorded-transfers.json' with { type: 'json' };

interface Step {
  readonly from: string;
  readonly type: string;
  readonly stream: number;
  /** Of anything but DATA. */
  readonly bytes?: string;
  readonly fields?: readonly string[];
  readonly length?: number;
  readonly repeat?: number;
  readonly end?: boolean;
}

const STREAM = 1;
const END_STREAM = 1;
const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
const WINDOW_BYTES = 65_535;
const FRAME_HEADER_BYTES = 9;
const INITIAL_WINDOW = 4;
const FRAME_BYTES_MAX = 16_384;
const TURNS_MAX = 1_000;

function bytesSent(steps: readonly Step[], from: string): number {
  return steps
    .filter((step) => step.from === from && step.type === 'DATA')
    .reduce((sum, { length = 0, repeat = 1 }) => sum + length * repeat, 0);
}

/** What one side may send, by what the other says. */
class Windows {
  stream = WINDOW_BYTES;
  connection = WINDOW_BYTES;

  /** A recorded frame. */
  allow({ type, stream, bytes = '' }: Step): void {
    const payload = Buffer.from(bytes, 'base64').subarray(FRAME_HEADER_BYTES);
    if (type === 'WINDOW_UPDATE') {
      this.#grow(stream, payload.readUInt32BE(0));
    }
    for (let at = 0; type === 'SETTINGS' && at < payload.length; at += 6) {
      if (payload.readUInt16BE(at) === INITIAL_WINDOW) {
        this.stream += payload.readUInt32BE(at + 2) - WINDOW_BYTES;
      }
    }
  }

  /** A frame of ours, in words. */
  allowSaid(said: string): void {
    const [type, stream, increment] = said.split(' ');
    if (type === 'WINDOW_UPDATE') {
      this.#grow(Number(stream), Number(increment));
    }
    const initial = type === 'SETTINGS' ? / 4=(\d+)/.exec(said)?.[1] : undefined;
    this.stream += initial === undefined ? 0 : Number(initial) - WINDOW_BYTES;
  }

  #grow(stream: number, increment: number): void {
    if (stream === 0) {
      this.connection += increment;
    } else {
      this.stream += increment;
    }
  }
}

/** The recorded side: says what it said, but no more DATA than ours allows at the time. */
class Replayed {
  readonly #peer: RawPeer;
  readonly #ours = new Windows();
  readonly #theirs = new Windows();
  #seen = 0;
  #sent = 0;

  constructor(peer: RawPeer) {
    this.#peer = peer;
  }

  async say(step: Step): Promise<void> {
    const { type, length = 0, repeat = 1, end = false, bytes = '' } = step;
    if (type !== 'DATA') {
      this.#theirs.allow(step);
      this.#peer.send(Buffer.from(bytes, 'base64'));
      await settled(2);
      return;
    }
    // The reference takes longer frames than ours, which asks for no more than RFC 9113 §4.2 gives everybody.
    for (let left = length * repeat; left > 0; left -= FRAME_BYTES_MAX) {
      const bytesOf = Math.min(left, FRAME_BYTES_MAX);
      await this.#untilAllowed(bytesOf);
      this.#sent += bytesOf;
      this.#peer.send(data(STREAM, Buffer.alloc(bytesOf)));
    }
    if (end) {
      this.#peer.send(data(STREAM, '', END_STREAM));
    }
  }

  /** Ours heeds what the recorded side allowed. */
  checkOurs(): void {
    const { dataBytes } = this.#peer;
    assert.ok(dataBytes <= this.#theirs.stream, `${dataBytes} of ${this.#theirs.stream}`);
    assert.ok(dataBytes <= this.#theirs.connection);
  }

  async #untilAllowed(length: number): Promise<void> {
    for (let turn = 0; turn < TURNS_MAX; turn += 1) {
      for (; this.#seen < this.#peer.frames.length; this.#seen += 1) {
        this.#ours.allowSaid(this.#peer.frames[this.#seen] ?? '');
      }
      if (Math.min(this.#ours.stream, this.#ours.connection) - this.#sent >= length) {
        return;
      }
      await settled(1);
    }
    assert.fail(`ours allows no more after ${this.#sent} bytes`);
  }
}

function write(stream: ServerStream | ClientStream | undefined, step: Step): void {
  const { length = 0, repeat = 1, end = false } = step;
  assert.ok(stream !== undefined);
  if (length > 0) {
    stream.write(Buffer.alloc(length * repeat));
  }
  if (end) {
    stream.end();
  }
}

function withoutPseudo(fields: readonly string[]): Fields {
  const at = fields.findLastIndex((name, index) => index % 2 === 0 && name.startsWith(':'));
  return fields.slice(at + 2);
}

function assertWhole(
  { peer, recorder }: { readonly peer: RawPeer; readonly recorder: Recorder | undefined },
  steps: readonly Step[],
  theirs: string,
): void {
  const ours = theirs === 'client' ? 'server' : 'client';
  assert.equal(peer.dataBytes, bytesSent(steps, ours), 'they got all');
  assert.ok(
    peer.frames.some((said) => /^DATA 1 \d+ end$/.test(said)),
    'and its end',
  );
  assert.equal(recorder?.bytes, bytesSent(steps, theirs), 'ours got all');
  assert.ok(recorder.events.includes('end'));
}

for (const { name, description, steps } of recordings as readonly {
  readonly name: string;
  readonly description: string;
  readonly steps: readonly Step[];
}[]) {
  describe(`${name}: ${description}`, () => {
    it('by a server of ours', async () => {
      const { peer, streams, counters } = serverRig();
      const replayed = new Replayed(peer);
      let recorder: Recorder | undefined;
      peer.send(PREFACE);
      for (const step of steps) {
        const [stream] = streams;
        if (step.from === 'client') {
          await replayed.say(step);
        } else if (step.type === 'HEADERS') {
          assert.ok(stream !== undefined);
          stream.respond({ status: 200, fields: withoutPseudo(step.fields ?? []).slice(2) });
          recorder = Recorder.on(stream);
        } else if (step.type === 'DATA') {
          write(stream, step);
        }
        await settled(1);
        replayed.checkOurs();
      }
      await settled();
      assertWhole({ peer, recorder }, steps, 'client');
      assert.deepEqual([counters.protocolErrors, counters.streamErrors], [0, 0]);
    });

    it('by a client of ours', async () => {
      const { peer, session, counters } = clientRig();
      const replayed = new Replayed(peer);
      let stream: ClientStream | undefined;
      let recorder: Recorder | undefined;
      let status = 0;
      for (const step of steps) {
        if (step.from === 'server') {
          await replayed.say(step);
        } else if (step.type === 'HEADERS') {
          const head = { method: 'CONNECT', scheme: undefined, path: undefined, authority: 'a:1' };
          stream = session.request(
            { ...head, fields: withoutPseudo(step.fields ?? []) },
            {
              onResponse: (answer) => {
                status = answer.status;
              },
              onNoResponse: () => assert.fail('there was an answer'),
            },
          );
          recorder = Recorder.on(stream);
        } else if (step.type === 'DATA') {
          write(stream, step);
        }
        await settled(1);
        replayed.checkOurs();
      }
      await settled();
      assert.equal(status, 200);
      assertWhole({ peer, recorder }, steps, 'server');
      assert.deepEqual([counters.protocolErrors, counters.streamErrors], [0, 0]);
    });
  });
}
