/**
 * A list answer, taken apart while it arrives: one item at a time, never the whole.
 *
 * A page of 500 pods is 5 MB of text and what is kept of it 300 kB. The items of the top-level array
 * `items` are handed out as bytes, everything else is the envelope.
 */
import { BoundedBytes, type TakenBytes } from './bounded-bytes.ts';
import { KubeError } from './errors.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const COLON = 0x3a;
const COMMA = 0x2c;
const ENVELOPE_BYTES_MAX = 1024 * 1024;

export interface ListDecoderOptions {
  /** Of one item; a longer one is handed out cut. */
  readonly itemBytesMax: number;
  readonly onItem: (item: TakenBytes) => void;
}

/** Where the next byte is: in the envelope, between two items, or in one. */
type Place = 'envelope' | 'between' | 'item';

export class ListDecoder {
  readonly #onItem: (item: TakenBytes) => void;
  readonly #envelope = new BoundedBytes(ENVELOPE_BYTES_MAX);
  readonly #item: BoundedBytes;
  #place: Place = 'envelope';
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** The last string of the envelope at depth 1, to know the key before an array. */
  #word: number[] = [];
  #isItemsKey = false;

  constructor({ itemBytesMax, onItem }: ListDecoderOptions) {
    this.#item = new BoundedBytes(itemBytesMax);
    this.#onItem = onItem;
  }

  /** Throws KUBE_PROTOCOL for what cannot be a list; what `onItem` throws goes through. */
  write(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      at = this.#place === 'item' ? this.#itemPart(chunk, at) : this.#outerPart(chunk, at);
    }
  }

  /** The envelope with `items: []`. Throws KUBE_PROTOCOL if the list is not complete. */
  end(): unknown {
    const { bytes, isComplete } = this.#envelope.take();
    if (this.#place !== 'envelope' || this.#depth !== 0 || this.#isInString || !isComplete) {
      throw new KubeError('KUBE_PROTOCOL', 'the list ends before its last byte', {
        retryable: true,
      });
    }
    try {
      return JSON.parse(bytes.toString('utf8')) as unknown;
    } catch (error) {
      throw new KubeError('KUBE_PROTOCOL', 'the list is not JSON', { cause: error });
    }
  }

  /** Reads from `at` to the end of the item or of the chunk; answers where it stopped. A tight loop: most bytes come here. */
  #itemPart(chunk: Buffer, at: number): number {
    let depth = this.#depth;
    let isInString = this.#isInString;
    let isEscaped = this.#isEscaped;
    let end = at;
    do {
      const byte = chunk[end];
      end += 1;
      if (isInString) {
        if (isEscaped) {
          isEscaped = false;
        } else if (byte === BACKSLASH) {
          isEscaped = true;
        } else if (byte === QUOTE) {
          isInString = false;
        }
      } else if (byte === QUOTE) {
        isInString = true;
      } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
        depth += 1;
      } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
        depth -= 1;
      }
    } while (end < chunk.length && depth > 2);
    this.#depth = depth;
    this.#isInString = isInString;
    this.#isEscaped = isEscaped;
    this.#item.append(chunk.subarray(at, end));
    if (depth === 2) {
      this.#place = 'between';
      this.#onItem(this.#item.take());
    }
    return end;
  }

  /** Reads the envelope, or what stands between items, until an item begins or the chunk ends. */
  #outerPart(chunk: Buffer, at: number): number {
    let from = at;
    let end = at;
    for (; end < chunk.length && this.#place !== 'item'; end += 1) {
      const byte = chunk[end] ?? 0;
      if (this.#place === 'envelope') {
        this.#envelopeByte(byte);
        if (this.#place !== 'envelope') {
          this.#envelope.append(chunk.subarray(from, end + 1));
        }
      } else {
        this.#betweenByte(byte);
        // The closing bracket is the envelope's again, the opening brace the item's.
        from = end;
      }
    }
    if (this.#place === 'envelope') {
      this.#envelope.append(chunk.subarray(from, end));
    }
    return this.#place === 'item' ? end - 1 : end;
  }

  #envelopeByte(byte: number): void {
    const wasInString = this.#isInString;
    this.#scan(byte);
    if (this.#depth !== 1 && !(byte === OPEN_BRACKET && this.#depth === 2)) {
      return;
    }
    if (this.#isInString) {
      this.#word = wasInString ? [...this.#word.slice(-8), byte] : [];
    } else if (!wasInString && byte === COLON) {
      this.#isItemsKey = String.fromCharCode(...this.#word) === 'items';
    } else if (!wasInString && byte === OPEN_BRACKET && this.#isItemsKey) {
      this.#isItemsKey = false;
      this.#place = 'between';
    } else if (!wasInString && byte === COMMA) {
      this.#isItemsKey = false;
    }
  }

  #betweenByte(byte: number): void {
    if (byte === OPEN_BRACE) {
      // The brace itself is counted with the item's bytes.
      this.#place = 'item';
    } else if (byte === CLOSE_BRACKET) {
      this.#depth -= 1;
      this.#place = 'envelope';
    } else if (byte > 0x20 && byte !== COMMA) {
      throw new KubeError('KUBE_PROTOCOL', 'an item of the list is no object');
    }
  }

  #scan(byte: number): void {
    if (this.#isInString) {
      if (this.#isEscaped) {
        this.#isEscaped = false;
      } else if (byte === BACKSLASH) {
        this.#isEscaped = true;
      } else if (byte === QUOTE) {
        this.#isInString = false;
      }
    } else if (byte === QUOTE) {
      this.#isInString = true;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      this.#depth += 1;
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      this.#depth -= 1;
    }
  }
}
