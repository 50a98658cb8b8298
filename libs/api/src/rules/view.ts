/**
 * A tolerant look at JSON with its path, for rules across fields: what has the wrong shape reads as
 * absent, because the schema reports shapes. So rules run whatever else is wrong.
 */
import { findingAt } from '../schema/issues.ts';
import type { Finding } from '../types/finding.ts';
import { isRecord, type Path } from '../value/path.ts';

export interface Complaint {
  readonly code: string;
  readonly message: string;
  readonly allowed?: string;
  readonly fix?: string;
  /** Default error. */
  readonly severity?: Finding['severity'];
}

export class View {
  readonly value: unknown;
  readonly path: Path;
  readonly #root: unknown;
  readonly #findings: Finding[];

  /** `value` is what is at `path` of `root`; undefined where nothing is. */
  constructor(root: unknown, findings: Finding[], path: Path, value: unknown) {
    this.#root = root;
    this.#findings = findings;
    this.path = path;
    this.value = value;
  }

  at(...keys: readonly (string | number)[]): View {
    let value = this.value;
    for (const key of keys) {
      const isThere = typeof value === 'object' && value !== null && Object.hasOwn(value, key);
      value = isThere ? Reflect.get(Object(value), key) : undefined;
    }
    return new View(this.#root, this.#findings, [...this.path, ...keys], value);
  }

  get exists(): boolean {
    return this.value !== undefined;
  }

  /** Written and not an empty list. */
  get isSaid(): boolean {
    return this.exists && !(Array.isArray(this.value) && this.value.length === 0);
  }

  get text(): string | undefined {
    return typeof this.value === 'string' ? this.value : undefined;
  }

  get number(): number | undefined {
    return typeof this.value === 'number' ? this.value : undefined;
  }

  /** Items of a list; none of anything else. */
  get items(): readonly View[] {
    if (!Array.isArray(this.value)) return [];
    return this.value.map((_, index) => this.at(index));
  }

  /** Fields of an object; none of anything else. */
  get fields(): readonly (readonly [string, View])[] {
    if (!isRecord(this.value)) return [];
    return Object.keys(this.value).map((key) => [key, this.at(key)] as const);
  }

  complain(complaint: Complaint): void {
    this.#findings.push(findingAt(this.#root, { ...complaint, path: this.path }));
  }

  /** Those of `keys` that are said. */
  said(keys: readonly string[]): readonly string[] {
    return keys.filter((key) => this.at(key).isSaid);
  }
}

/** Complains about every text of `views` that an earlier one said already. */
export function complainDuplicates(
  views: readonly View[],
  what: string,
  keyOf = (view: View) => view.text,
): void {
  const seen = new Set<string>();
  for (const view of views) {
    const key = keyOf(view);
    if (key === undefined) continue;
    if (seen.has(key))
      view.complain({
        code: 'DUPLICATE',
        message: `is a second ${what} of the same value`,
        fix: 'remove it',
      });
    seen.add(key);
  }
}
