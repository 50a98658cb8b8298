/**
 * Frames: any bytes give frames or one error, the same however a network cuts them; nothing comes after that error, and no
 * frame holds more bytes than were sent.
 */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { cutAnyhow, fuzzTest, makeInput } from '@ambit/core/fuzzing';
import { FrameDecoder } from '../frames/frame-decoder.ts';
import type { FrameLimits } from '../frames/frame-rules.ts';
import { EventLog } from '../testing/frames.ts';
import { CLIENT_SEEDS, changeFrame, SERVER_SEEDS } from './corpus.ts';

const LIMITS: FrameLimits = {
  frameBytesMax: 16_384,
  headerBlockBytesMax: 20_000,
  continuationsMax: 8,
  settingsPerFrameMax: 32,
};

/** Pieces of DATA as one, because how they are cut is not the peer's word. */
class WholeFrames extends EventLog {
  /** Of payloads; padding is told before it has come. */
  bytes = 0;
  #data = '';
  #flowLeft = 0;

  override onDataBegin(streamId: number, flowBytes: number, endStream: boolean): void {
    this.#flowLeft = flowBytes;
    this.#data = `data ${streamId} flow ${flowBytes}${endStream ? ' ends' : ''}`;
  }

  override onDataPiece(piece: Uint8Array): void {
    assert.ok(piece.length > 0);
    this.bytes += piece.length;
    this.#flowLeft -= piece.length;
    this.#data += ` ${Buffer.from(piece).toString('latin1')}`.slice(1);
  }

  override onDataEnd(paddingBytes: number): void {
    assert.equal(this.#flowLeft, paddingBytes, 'flow control counts something else');
    this.events.push(`${this.#data} +${paddingBytes}`);
  }

  override onHeaders(
    streamId: number,
    block: Uint8Array,
    endStream: boolean,
    dependsOn: number,
  ): void {
    assert.ok(block.length <= LIMITS.headerBlockBytesMax);
    this.bytes += block.length;
    super.onHeaders(streamId, block, endStream, dependsOn);
  }
}

function decode(pieces: readonly Uint8Array[], expectsPreface: boolean): WholeFrames {
  const sink = new WholeFrames();
  const decoder = new FrameDecoder({ sink, limits: LIMITS, expectsPreface });
  for (const piece of pieces) {
    decoder.push(piece);
  }
  return sink;
}

it('frames of any bytes', async (t) => {
  const format = { tokens: [], changePart: changeFrame, bytesMax: 40_000 } as const;
  await fuzzTest(t, {
    name: 'frames',
    share: 0.3,
    make: (random) => {
      const isClient = random.oneIn(2);
      const seeds = isClient ? CLIENT_SEEDS : SERVER_SEEDS;
      // Tokens of frames are frames.
      const tokens = random.pick(seeds);
      return { isClient, bytes: Buffer.concat(makeInput(random, { ...format, seeds, tokens })) };
    },
    check: ({ isClient, bytes }, random) => {
      const { events, bytes: delivered } = decode([bytes], isClient);
      assert.deepEqual(decode(cutAnyhow(bytes, random), isClient).events, events, 'cut elsewhere');
      assert.ok(delivered <= bytes.length, 'more than was sent');
      const failedAt = events.findIndex((event) => event.startsWith('connection '));
      assert.ok(failedAt === -1 || failedAt === events.length - 1, 'something after the end');
    },
    show: ({ isClient, bytes }) => `${isClient ? 'client' : 'server'} ${bytes.toString('hex')}`,
  });
});
