/**
 * The sending half of a connection: messages gathered into few writes, and whether the transport takes more.
 *
 * What belongs to one turn of work is one write: a head waits for the data that comes with it until the message ends, enough is
 * gathered, or the turn is over.
 */
import type { ByteConn } from '@ambit/proxy';
import { MessageWriter } from '../encode/message-writer.ts';
import { type BodyFraming, type FieldLines, NO_BODY } from '../message.ts';

export class Outgoing {
  readonly #conn: ByteConn;
  readonly #writer = new MessageWriter();
  readonly #flushLater: () => void;
  #isScheduled = false;
  #isBlocked = false;

  constructor(conn: ByteConn) {
    this.#conn = conn;
    this.#flushLater = () => {
      this.#isScheduled = false;
      this.flush();
    };
  }

  /** The transport said to wait; `unblock` when it takes more. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  unblock(): void {
    this.#isBlocked = false;
  }

  /** A head alone, sent at once: somebody waits for it. */
  interim(text: string): void {
    this.#writer.interim(text);
    this.flush();
  }

  begin(text: string, body: BodyFraming): void {
    this.#writer.begin(text, body);
    this.#schedule();
  }

  /** A head without a body: `end` is called in the same turn. */
  beginBodiless(text: string): void {
    this.#writer.begin(text, NO_BODY);
  }

  /** False: wait until the transport takes more. Throws H1_UNWRITABLE. */
  data(bytes: Uint8Array): boolean {
    this.#writer.data(bytes);
    if (this.#writer.isFull) {
      this.flush();
    } else {
      this.#schedule();
    }
    return !this.#isBlocked;
  }

  /** Throws H1_UNWRITABLE. */
  end(trailers: FieldLines): void {
    this.#writer.end(trailers);
    this.flush();
  }

  flush(): void {
    if (this.#writer.pendingBytes === 0) {
      return;
    }
    for (const piece of this.#writer.take()) {
      if (!this.#conn.write(piece)) {
        this.#isBlocked = true;
      }
    }
  }

  #schedule(): void {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      queueMicrotask(this.#flushLater);
    }
  }
}
