/**
 * Applies the dialect tables: to one object when it is parsed, and to text for `meshctl fix`.
 *
 * Parsing applies what is renamed or ineffective and reports what is wrong; fixing applies all of it.
 */
import { parseDocument } from 'yaml';
import { nullsDropped } from '../bounds.ts';
import { findingAt, shorten } from '../schema/issues.ts';
import type { Finding } from '../types/finding.ts';
import { formatPath, isRecord, type Path, valueAt } from '../value/path.ts';
import { expandPattern } from '../value/pattern.ts';
import { YAML_ALIAS_COUNT_MAX, YAML_LENGTH_MAX } from '../yaml-limits.ts';
import { applyToJson, applyToYaml, type Edit } from './edit.ts';
import { type Dialect, INEFFECTIVE, RENAMED, WRONG } from './table.ts';

export interface DialectResult {
  /** The object that was given, rewritten in place. */
  readonly value: Record<string, unknown>;
  readonly findings: readonly Finding[];
  /** A finding on the rewritten object, at the path where its author wrote the value. */
  readonly asWritten: (finding: Finding) => Finding;
  /** True for a path that a `wrong` row has explained already. */
  readonly isExplained: (path: string) => boolean;
}

function byKind(rows: readonly Dialect[]): ReadonlyMap<string, readonly Dialect[]> {
  const kinds = new Set(rows.flatMap((row) => row.kinds));
  return new Map([...kinds].map((kind) => [kind, rows.filter((row) => row.kinds.includes(kind))]));
}

const CLASSES = [
  { rows: byKind(RENAMED), code: 'DIALECT_RENAMED', severity: 'warning' },
  { rows: byKind(INEFFECTIVE), code: 'DIALECT_INEFFECTIVE', severity: 'info' },
  { rows: byKind(WRONG), code: 'DIALECT_WRONG', severity: 'error' },
] as const;

interface Applied {
  readonly findings: readonly Finding[];
  readonly edits: readonly Edit[];
}

/** Rewrites `value`, an object of `kind`, in place. */
export function rewriteDialects(kind: string, value: Record<string, unknown>): DialectResult {
  const { findings, edits } = applyTables(kind, value, false);
  const moves = edits.flatMap((edit) =>
    edit.op === 'move' ? [{ from: formatPath(edit.from), to: formatPath(edit.to) }] : [],
  );
  const wrong = findings.filter(({ code }) => code === 'DIALECT_WRONG').map(({ path }) => path);
  return {
    value,
    findings,
    asWritten: (finding) => {
      let path = finding.path;
      for (const { from, to } of moves.toReversed()) {
        if (isAtOrBelow(path, to)) path = from + path.slice(to.length);
      }
      return path === finding.path ? finding : { ...finding, path };
    },
    isExplained: (path) => wrong.some((explained) => isAtOrBelow(path, explained)),
  };
}

function isAtOrBelow(path: string, parent: string): boolean {
  return path === parent || path.startsWith(`${parent}.`) || path.startsWith(`${parent}[`);
}

/** The tables in order on `root`, in place; with `fixesWrong`, what is wrong is corrected too. */
function applyTables(kind: string, root: Record<string, unknown>, fixesWrong: boolean): Applied {
  const findings: Finding[] = [];
  const edits: Edit[] = [];
  for (const { rows, code, severity } of CLASSES) {
    for (const row of rows.get(kind) ?? []) {
      for (const path of placesOf(root, row)) {
        const planned = row.edits(path, valueAt(root, path));
        const taken = takenTarget(root, planned);
        if (taken !== undefined) {
          findings.push(bothWritten(root, path, taken));
          continue;
        }
        findings.push(
          findingAt(root, { code, severity, path, message: row.says, fix: fixOf(row, planned) }),
        );
        if (severity === 'error' && !fixesWrong) continue;
        for (const edit of planned) {
          applyToJson(root, edit);
          edits.push(edit);
        }
      }
    }
  }
  return { findings, edits };
}

function placesOf(root: unknown, row: Dialect): readonly Path[] {
  const places = row.paths.flatMap((pattern) => expandPattern(root, pattern));
  return row.when === undefined ? places : places.filter((path) => row.when?.(valueAt(root, path)));
}

/** The target of a move that has a value already, or whose parent cannot take one. */
function takenTarget(root: unknown, edits: readonly Edit[]): Path | undefined {
  for (const edit of edits) {
    if (edit.op !== 'move' || formatPath(edit.to).startsWith(`${formatPath(edit.from)}.`)) continue;
    for (let length = 1; length <= edit.to.length; length += 1) {
      const value = valueAt(root, edit.to.slice(0, length));
      const isTarget = length === edit.to.length;
      if (value !== undefined && (isTarget || typeof value !== 'object'))
        return edit.to.slice(0, length);
    }
  }
  return undefined;
}

function bothWritten(root: unknown, path: Path, taken: Path): Finding {
  return findingAt(root, {
    code: 'DIALECT_WRONG',
    path,
    message: `means the same as ${formatPath(taken)}, which is also there`,
    fix: 'remove it',
  });
}

function fixOf(row: Dialect, edits: readonly Edit[]): string | undefined {
  const [first] = edits;
  if (first?.op === 'move') return `write it as ${formatPath(first.to)}`;
  if (first?.op === 'set') return `write ${shorten(first.value)}`;
  if (first?.op === 'delete') return edits.length > 1 ? `write ${row.becomes}` : 'remove it';
  return undefined;
}

export interface RewriteResult {
  readonly text: string;
  /** What was changed, and what is left for a person. */
  readonly findings: readonly Finding[];
}

/**
 * `text` with dialects and fixable mistakes written in the official form. Comments, and documents in
 * which nothing is changed, stay as they are; text that is no YAML is returned unchanged.
 */
export function rewriteDocument(text: string): RewriteResult {
  if (text.length > YAML_LENGTH_MAX) return { text, findings: [] };
  const findings: Finding[] = [];
  // A line that begins with --- at column 0 is a document border wherever it stands.
  const parts = text.split(/^(?=---(?:\s|$))/m).map((part) => rewritePart(part, findings));
  return { text: parts.join(''), findings };
}

function rewritePart(part: string, findings: Finding[]): string {
  try {
    const document = parseDocument(part, { merge: true, prettyErrors: false });
    if (document.errors.length > 0) return part;
    const bounded = nullsDropped(document.toJS({ maxAliasCount: YAML_ALIAS_COUNT_MAX }));
    if (bounded.kind === 'error' || !isRecord(bounded.value)) return part;
    let isChanged = false;
    for (const { prefix, object } of objectsOf(bounded.value)) {
      const applied = applyTables(String(object['kind']), object, true);
      findings.push(...applied.findings);
      for (const edit of applied.edits) applyToYaml(document, prefix, edit);
      isChanged ||= applied.edits.length > 0;
    }
    if (!isChanged) return part;
    const indentSeq = !/^( *)[^\s#-][^\n]*:[ \t]*\n\1- /m.test(part);
    return document.toString({ lineWidth: 0, indentSeq });
  } catch {
    // Aliases and merges can make a path that JSON has unreachable in the text; the parser's own limits
    // end here too. The text stays, and `validate` says what is wrong with it.
    return part;
  }
}

function objectsOf(
  root: Record<string, unknown>,
): readonly { readonly prefix: Path; readonly object: Record<string, unknown> }[] {
  const items = root['items'];
  if (root['kind'] !== 'List' || !Array.isArray(items)) return [{ prefix: [], object: root }];
  return items.flatMap((object: unknown, index) =>
    isRecord(object) ? [{ prefix: ['items', index], object }] : [],
  );
}
