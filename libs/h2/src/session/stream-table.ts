/**
 * The streams of a session: open ones, and for a while those that are over (RFC 9113 §5.1).
 *
 * Rule: how a stream ended decides what a late frame on it means, so the last few are remembered. A bounded
 * number of them: of streams older than that only the number of the youngest is known, and they are forgiven.
 */
import { IdTable } from './id-table.ts';
import type { Stream } from './stream.ts';

/**
 * `idle`: not used yet. `ended`: both sides said so. `reset-here`: by us, late frames are expected. `reset-there`: by
 * the peer. `forgotten`: over for long. `skipped`: a later one was used first.
 */
export type StreamState = 'idle' | 'ended' | 'reset-here' | 'reset-there' | 'forgotten' | 'skipped';
export type Ending = 'ended' | 'reset-here' | 'reset-there';

interface Ended {
  readonly id: number;
  ending: Ending;
}

export class StreamTable {
  readonly #open = new IdTable<Stream>();
  readonly #over = new IdTable<Ended>();
  readonly #overMax: number;
  /** Those of `#over`, in a ring: the oldest makes room. */
  readonly #ring: Ended[] = [];
  #oldest = 0;
  #youngestForgotten = 0;
  /** The highest id in use, of either side; only clients begin streams here, as nothing is pushed. */
  #last = 0;

  constructor(overMax: number) {
    this.#overMax = overMax;
  }

  get size(): number {
    return this.#open.size;
  }

  get lastId(): number {
    return this.#last;
  }

  get(id: number): Stream | undefined {
    return this.#open.get(id);
  }

  /** Of a stream that is not open. */
  stateOf(id: number): StreamState {
    // §5.1.1: numbers of servers are even, and none is in use.
    if (id > this.#last || id % 2 === 0) {
      return 'idle';
    }
    return this.#over.get(id)?.ending ?? (id <= this.#youngestForgotten ? 'forgotten' : 'skipped');
  }

  /** A new id is used, and all smaller ones are not idle any more. */
  use(id: number): void {
    this.#last = id;
  }

  add(stream: Stream): void {
    this.#open.add(stream);
  }

  end(id: number, ending: Ending): void {
    this.#open.delete(id);
    const known = this.#over.get(id);
    if (known !== undefined) {
      known.ending = ending;
      return;
    }
    const ended = { id, ending };
    const oldest = this.#ring[this.#oldest];
    if (oldest !== undefined && this.#ring.length === this.#overMax) {
      this.#over.delete(oldest.id);
      this.#youngestForgotten = Math.max(this.#youngestForgotten, oldest.id);
    }
    this.#ring[this.#oldest] = ended;
    this.#oldest = (this.#oldest + 1) % this.#overMax;
    this.#over.add(ended);
  }

  /** A copy: whoever walks over it may end streams. */
  all(): Stream[] {
    return this.#open.all();
  }

  /** For tests. */
  get remembered(): number {
    return this.#over.size;
  }
}
