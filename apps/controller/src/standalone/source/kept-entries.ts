/**
 * Objects that stay although their file no longer shows them, because something in it cannot be told.
 *
 * A kind or a name that is misspelt makes another object of what was one, and the old one would go as if a
 * person had deleted it: a policy would open by a typing error. So while a file holds a refused object that
 * was not in it before, nothing in that file is taken for deleted.
 */
import type { FileEntry } from './file-entries.ts';

/** What the file shows, and after it what stays. `before`: what it had, kept entries included. */
export function withKept(
  entries: readonly FileEntry[],
  before: readonly FileEntry[],
): readonly FileEntry[] {
  const wasUnclear = before.some(({ isKept }) => isKept === true);
  const known = new Set(before.map(({ key }) => key));
  const stranger = entries.find(
    ({ key, what }) => what.kind === 'invalid' && (wasUnclear || !known.has(key)),
  );
  if (stranger === undefined) return entries;
  const shown = new Set(entries.map(({ key }) => key));
  const gone = before.filter(({ key, what }) => what.kind === 'object' && !shown.has(key));
  return [...entries, ...gone.map((entry) => kept(entry, stranger))];
}

function kept(entry: FileEntry, stranger: FileEntry): FileEntry {
  const message = `is no longer in its file, but stays while line ${stranger.line} there is refused`;
  const finding = { code: 'OBJECT_KEPT', severity: 'warning', path: '', message } as const;
  const fix = `correct ${stranger.key}`;
  return { ...entry, isKept: true, findings: [{ ...finding, fix }] };
}
