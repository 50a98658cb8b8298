/**
 * One object for each key out of many files: a later folder goes before an earlier one, and within a
 * folder the first file by name, the first in the file. The others are named in a warning.
 */
import type { Finding, ObjectKey } from '@ambit/api';

import type { FileEntry } from './file-entries.ts';

export interface FilePlace {
  /** Position of its folder; higher wins. */
  readonly folder: number;
  /** Relative to the folder. */
  readonly path: string;
}

interface PlacedEntry extends FileEntry {
  readonly place: FilePlace;
}

export interface MergedEntry extends FileEntry {
  readonly place: FilePlace;
}

export class EntryMerge {
  readonly #files = new Map<string, readonly PlacedEntry[]>();
  readonly #byKey = new Map<ObjectKey, Set<PlacedEntry>>();

  /** Answers the keys whose winner may be another now. No entries: the file is gone or empty. */
  setFile(place: FilePlace, entries: readonly FileEntry[]): ReadonlySet<ObjectKey> {
    const id = `${place.folder} ${place.path}`;
    const touched = new Set<ObjectKey>();
    for (const entry of this.#files.get(id) ?? []) {
      const all = this.#byKey.get(entry.key);
      all?.delete(entry);
      if (all?.size === 0) this.#byKey.delete(entry.key);
      touched.add(entry.key);
    }
    const placed = entries.map((entry) => ({ ...entry, place }));
    if (placed.length === 0) this.#files.delete(id);
    else this.#files.set(id, placed);
    for (const entry of placed) {
      const all = this.#byKey.get(entry.key);
      if (all === undefined) this.#byKey.set(entry.key, new Set([entry]));
      else all.add(entry);
      touched.add(entry.key);
    }
    return touched;
  }

  /** What a file has now. */
  entriesOf(place: FilePlace): readonly FileEntry[] {
    return this.#files.get(`${place.folder} ${place.path}`) ?? [];
  }

  /** Keys of what a file has now. */
  keysOf(place: FilePlace): readonly ObjectKey[] {
    return [...new Set(this.entriesOf(place).map(({ key }) => key))];
  }

  winner(key: ObjectKey): MergedEntry | undefined {
    const [first, ...others] = [...(this.#byKey.get(key) ?? [])].sort(comparePlaces);
    if (first === undefined) return undefined;
    const beside = others.filter(({ place }) => place.folder === first.place.folder);
    return { ...first, findings: [...first.findings, ...beside.map(duplicate)] };
  }
}

function duplicate({ place, line }: PlacedEntry): Finding {
  return {
    code: 'DUPLICATE_OBJECT',
    severity: 'warning',
    path: '',
    message: `is also in ${place.path}:${line}, which is not used`,
    fix: 'keep one of the two',
  };
}

function comparePlaces(a: PlacedEntry, b: PlacedEntry): number {
  return (
    b.place.folder - a.place.folder ||
    (a.place.path < b.place.path ? -1 : a.place.path > b.place.path ? 1 : a.line - b.line)
  );
}
