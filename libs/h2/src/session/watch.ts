/**
 * Finds who takes nothing of what waits for it: the transport, or the peer for one stream.
 *
 * Rule: it looks only while something waits, and at no frame: it compares what was sent since it looked last.
 */
import type { AlarmKind, Alarms } from './alarms.ts';
import type { H2Limits } from './limits.ts';
import type { Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';
import type { Writer } from './writer.ts';

export interface WatchOptions {
  readonly alarms: Alarms<AlarmKind>;
  readonly limits: H2Limits;
  readonly writer: Writer;
  readonly streams: StreamTable;
  readonly onConnectionStalled: () => void;
  readonly onStreamStalled: (stream: Stream) => void;
}

/** Looks in the time after which something counts as stalled. */
const LOOKS = 2;

export class Watch {
  readonly #options: WatchOptions;
  readonly #periodMs: number;
  #isOn = false;
  #progress = -1;
  #strikes = 0;

  constructor(options: WatchOptions) {
    this.#options = options;
    const { connectionStallMs, streamStallMs } = options.limits;
    const shortest =
      streamStallMs === 0 ? connectionStallMs : Math.min(connectionStallMs, streamStallMs);
    this.#periodMs = shortest / LOOKS;
  }

  /** Something waits. Cheap, and called often. */
  notice(): void {
    if (!this.#isOn) {
      this.#isOn = true;
      this.#options.alarms.set('watch', this.#periodMs);
    }
  }

  look(): void {
    this.#isOn = false;
    const { writer, limits, onConnectionStalled } = this.#options;
    if (!writer.isBlocked) {
      this.#strikes = 0;
      this.#lookAtStreams();
      return;
    }
    this.notice();
    this.#strikes = this.#progress === writer.progress ? this.#strikes + 1 : 0;
    this.#progress = writer.progress;
    if (this.#strikes * this.#periodMs >= limits.connectionStallMs) {
      onConnectionStalled();
    }
  }

  #lookAtStreams(): void {
    const { streams, limits, onStreamStalled } = this.#options;
    if (limits.streamStallMs === 0) {
      return;
    }
    for (const stream of streams.all()) {
      if (stream.pendingBytes === 0) {
        stream.watchedBytes = -1;
        continue;
      }
      this.notice();
      stream.strikes = stream.watchedBytes === stream.sentBytes ? stream.strikes + 1 : 0;
      stream.watchedBytes = stream.sentBytes;
      if (stream.strikes * this.#periodMs >= limits.streamStallMs) {
        onStreamStalled(stream);
      }
    }
  }
}
