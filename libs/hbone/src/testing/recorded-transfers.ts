/**
 * Long transfers of `fixtures/recorded-transfers.json`, and the side that says again what it said, with no more DATA under way than the
 * other allows.
 */
import assert from 'node:assert/strict';

import { data, type RawPeer, settled } from '@ambit/h2/testing';

import recordings from '../fixtures/recorded-transfers.json' with { type: 'json' };

export interface TransferStep {
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

export interface Transfer {
  readonly name: string;
  readonly description: string;
  readonly steps: readonly TransferStep[];
}

export const TRANSFERS = recordings as readonly Transfer[];

const STREAM = 1;
const END_STREAM = 1;
const WINDOW_BYTES = 65_535;
const FRAME_HEADER_BYTES = 9;
const INITIAL_WINDOW = 4;
const FRAME_BYTES_MAX = 16_384;
const TURNS_MAX = 10_000;

/** What one side may send, by what the other says. */
class Windows {
  stream = WINDOW_BYTES;
  connection = WINDOW_BYTES;

  /** A recorded frame. */
  allow({ type, stream, bytes = '' }: TransferStep): void {
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
export class Replayed {
  readonly #peer: RawPeer;
  readonly #ours = new Windows();
  readonly #theirs = new Windows();
  #seen = 0;
  #sent = 0;

  constructor(peer: RawPeer) {
    this.#peer = peer;
  }

  async say(step: TransferStep): Promise<void> {
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
