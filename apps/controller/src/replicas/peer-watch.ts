/** The stream to one other replica: opened, read, and opened again with back-off for as long as it is wanted. */
import { Backoff, type Clock } from '@ambit/core';
import type { ReplicaStream, ReplicaUpdate } from '@ambit/xds';

import { RemoteState } from './remote-state.ts';

/** A replica that restarts is back within seconds, and statuses wait for it. */
const BACKOFF = { initialMs: 100, maxMs: 5_000, jitter: 0.3 } as const;

export interface PeerWatchOptions {
  readonly clock: Clock;
  readonly random?: () => number;
  readonly open: (signal: AbortSignal) => Promise<ReplicaStream>;
  /** A batch has come. The state is a new one for each stream, and has everything. */
  readonly onBatch: (state: RemoteState, batch: readonly ReplicaUpdate[]) => void;
  /** There is no stream: for each that ended, and each attempt that failed. */
  readonly onLost: (reason: string) => void;
}

export class PeerWatch {
  readonly #options: PeerWatchOptions;
  readonly #backoff: Backoff;
  readonly #stopping = new AbortController();
  #waking = new AbortController();
  #stream: ReplicaStream | undefined;
  #running: Promise<void> | undefined;

  constructor(options: PeerWatchOptions) {
    this.#options = options;
    this.#backoff = new Backoff({ ...BACKOFF, random: options.random ?? Math.random });
  }

  /** Idempotent. */
  start(): void {
    this.#running ??= this.#run();
  }

  /** Something has changed there: tries at once if it was waiting to. */
  retry(): void {
    this.#backoff.reset();
    this.#waking.abort();
  }

  /** Nothing is called any more once it was called. Idempotent. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#waking.abort();
    this.#stream?.close();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, onLost } = this.#options;
    while (!this.#stopping.signal.aborted) {
      const reason = await this.#connection();
      if (this.#stopping.signal.aborted) return;
      this.#waking = new AbortController();
      onLost(reason);
      try {
        await clock.sleep(this.#backoff.next(), this.#waking.signal);
      } catch {
        // Somebody wants it sooner, or not at all; the loop looks.
      }
    }
  }

  /** One stream from start to end; why it ended. */
  async #connection(): Promise<string> {
    try {
      const stream = await this.#options.open(this.#stopping.signal);
      this.#stream = stream;
      if (this.#stopping.signal.aborted) return 'stopping';
      const state = new RemoteState();
      for await (const part of stream.updates) {
        if (this.#stopping.signal.aborted) return 'stopping';
        const batch = state.receive(part);
        if (batch === undefined) continue;
        this.#backoff.reset();
        this.#options.onBatch(state, batch);
      }
      return 'it ended the stream';
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    } finally {
      this.#stream?.close();
      this.#stream = undefined;
    }
  }
}
