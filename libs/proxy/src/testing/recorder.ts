/** A sink that remembers, with promises for what a test waits for. */
import type { ByteConn, ByteSink } from '../conn.ts';

export class Recorder implements ByteSink {
  readonly events: string[] = [];
  readonly ended: Promise<void>;
  readonly closed: Promise<Error | undefined>;
  bytes = 0;
  drains = 0;
  #text = '';
  readonly #resolveEnded: () => void;
  readonly #resolveClosed: (error: Error | undefined) => void;
  readonly #waiters = new Set<() => void>();

  constructor() {
    const ended = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<Error | undefined>();
    this.ended = ended.promise;
    this.closed = closed.promise;
    this.#resolveEnded = ended.resolve;
    this.#resolveClosed = closed.resolve;
  }

  static on(conn: ByteConn): Recorder {
    const recorder = new Recorder();
    conn.start(recorder);
    return recorder;
  }

  get text(): string {
    return this.#text;
  }

  onData(chunk: Uint8Array): void {
    this.bytes += chunk.length;
    if (this.#text.length < 65_536) {
      this.#text += Buffer.from(chunk).toString('latin1');
    }
    this.#note('data');
  }

  onEnd(): void {
    this.#note('end');
    this.#resolveEnded();
  }

  onDrain(): void {
    this.drains += 1;
    this.#note('drain');
  }

  onClose(error?: Error): void {
    this.#note('close');
    this.#resolveClosed(error);
  }

  /** Resolves as soon as `isTrue` holds after some event. The test's own timeout bounds it. */
  async until(isTrue: (recorder: Recorder) => boolean): Promise<void> {
    while (!isTrue(this)) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiters.add(resolve);
      await promise;
    }
  }

  #note(event: string): void {
    this.events.push(event);
    for (const wake of this.#waiters) {
      wake();
    }
    this.#waiters.clear();
  }
}
