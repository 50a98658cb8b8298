/**
 * One copy of what many objects repeat: namespaces, nodes, accounts, labels, containers.
 *
 * JSON.parse makes a new string for every value. A pool is bounded; beyond that values are kept as they
 * are, which costs memory and changes nothing else. Values are found by a number: a text of each would take more than
 * the value itself.
 */
const VALUES_MAX = 100_000;

export interface TextPoolOptions {
  /** Texts, and as many values. Default 100,000. */
  readonly textsMax?: number;
  /** Of what is equal the same; a test gives one that is the same of other things too. */
  readonly hash?: (text: string) => number;
}

/** Values of one hash. */
class Several {
  readonly values: readonly unknown[];

  constructor(values: readonly unknown[]) {
    this.values = values;
  }
}

export class TextPool {
  readonly #textsMax: number;
  readonly #hash: (text: string) => number;
  readonly #texts = new Map<string, string>();
  readonly #values = new Map<number, unknown>();
  #valueCount = 0;

  constructor({ textsMax = VALUES_MAX, hash = fnv1a }: TextPoolOptions = {}) {
    this.#textsMax = textsMax;
    this.#hash = hash;
  }

  /** The same text, shared. */
  text(text: string): string {
    const known = this.#texts.get(text);
    if (known === undefined && this.#texts.size < this.#textsMax) {
      this.#texts.set(text, text);
    }
    return known ?? text;
  }

  /** The same labels as one frozen record: replicas of a Deployment have equal ones. */
  record(record: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
    return this.#shared(JSON.stringify(record), () =>
      Object.freeze(
        Object.fromEntries(
          Object.entries(record).map(([name, value]) => [this.text(name), this.text(value)]),
        ),
      ),
    );
  }

  /** The same value, shared: it must not be changed. Of what JSON can say. */
  value<T extends object>(value: T): T {
    return this.#shared(JSON.stringify(value), () => value);
  }

  /** Texts and values that are shared now. */
  get size(): number {
    return this.#texts.size + this.#valueCount;
  }

  /** Begins anew, so that what nobody has any more goes. What was handed out stays valid. */
  clear(): void {
    this.#texts.clear();
    this.#values.clear();
    this.#valueCount = 0;
  }

  #shared<T extends object>(json: string, make: () => T): T {
    const hash = this.#hash(json);
    const known = this.#values.get(hash);
    const found = known instanceof Several ? known.values : known === undefined ? [] : [known];
    const same = found.find((value) => JSON.stringify(value) === json);
    if (same !== undefined) {
      return same as T;
    }
    const made = make();
    if (this.#valueCount < this.#textsMax) {
      this.#valueCount += 1;
      this.#values.set(hash, found.length === 0 ? made : new Several([...found, made]));
    }
    return made;
  }
}

/** 32 bits, signed: such numbers are kept without memory of their own. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5 | 0;
  for (let at = 0; at < text.length; at += 1) {
    hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  }
  return hash;
}
