/**
 * One copy of each text that many objects repeat: namespaces, nodes, accounts, labels.
 *
 * JSON.parse makes a new string for every value. A pool is bounded; beyond that texts are kept as they
 * are, which costs memory and changes nothing else.
 */
const TEXTS_MAX = 100_000;

export class TextPool {
  readonly #textsMax: number;
  readonly #texts = new Map<string, string>();
  readonly #records = new Map<string, Readonly<Record<string, string>>>();

  constructor({ textsMax = TEXTS_MAX }: { readonly textsMax?: number } = {}) {
    this.#textsMax = textsMax;
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
    const id = JSON.stringify(Object.entries(record));
    const known = this.#records.get(id);
    if (known !== undefined) {
      return known;
    }
    const shared = Object.freeze(
      Object.fromEntries(
        Object.entries(record).map(([name, value]) => [this.text(name), this.text(value)]),
      ),
    );
    if (this.#records.size < this.#textsMax) {
      this.#records.set(id, shared);
    }
    return shared;
  }

  /** Texts and records that are shared now. */
  get size(): number {
    return this.#texts.size + this.#records.size;
  }

  /** Begins anew, so that texts nobody has any more go. What was handed out stays valid. */
  clear(): void {
    this.#texts.clear();
    this.#records.clear();
  }
}
