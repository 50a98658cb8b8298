/**
 * YAML text to documents, with lines. Syntax errors, duplicate keys and bounds become findings; a
 * document with an error yields no value, the others stay.
 */
import { type Document, isNode, LineCounter, parseAllDocuments, stringify } from 'yaml';
import type { Finding } from './types/finding.ts';
import { isRecord, type Path, parsePath } from './value/path.ts';
import { YAML_ALIAS_COUNT_MAX, YAML_DOCUMENTS_MAX, YAML_LENGTH_MAX } from './yaml-limits.ts';

export interface YamlDocument {
  readonly value: unknown;
  /** First line of the document or list item, from 1. */
  readonly line: number;
  /** The line of a finding's path in this document; the nearest parent's where the field is missing. */
  readonly lineOf: (path: string) => number;
}

export interface YamlFinding extends Finding {
  readonly line: number;
}

export interface YamlResult {
  readonly source: string;
  readonly documents: readonly YamlDocument[];
  readonly findings: readonly YamlFinding[];
}

/** Parses every document of `text`; `List` objects are taken apart. Never throws. */
export function parseYaml(text: string, options: { readonly source: string }): YamlResult {
  const documents: YamlDocument[] = [];
  const findings: YamlFinding[] = [];
  const fail = (code: string, message: string, line: number) => {
    findings.push({ code, severity: 'error', path: '', message, line });
  };
  const result = { source: options.source, documents, findings };
  if (text.length > YAML_LENGTH_MAX) {
    fail('YAML_LIMIT', `is longer than ${YAML_LENGTH_MAX} characters`, 1);
    return result;
  }
  const lines = new LineCounter();
  let parsed: readonly Document[];
  try {
    parsed = [...parseAllDocuments(text, { lineCounter: lines, merge: true, prettyErrors: false })];
  } catch (error) {
    // The parser recurses: text nested beyond the stack is the one thing it throws for.
    fail(
      'YAML_LIMIT',
      `cannot be parsed: ${error instanceof Error ? error.message : String(error)}`,
      1,
    );
    return result;
  }
  for (const document of parsed) {
    if (documents.length >= YAML_DOCUMENTS_MAX) {
      fail(
        'YAML_LIMIT',
        `has more than ${YAML_DOCUMENTS_MAX} documents`,
        lineAt(lines, document.range?.[0]),
      );
      break;
    }
    readDocument(document, lines, documents, fail);
  }
  return result;
}

/** `value` as YAML with the house's settings: long lines stay whole, strings quoted only where needed. */
export function formatYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0, aliasDuplicateObjects: false });
}

function readDocument(
  document: Document,
  lines: LineCounter,
  documents: YamlDocument[],
  fail: (code: string, message: string, line: number) => void,
): void {
  if (document.errors.length > 0) {
    for (const error of document.errors.slice(0, 20)) {
      fail('YAML_SYNTAX', error.message, lineAt(lines, error.pos[0]));
    }
    return;
  }
  const contents = document.contents;
  const line = lineAt(lines, isNode(contents) ? contents.range?.[0] : document.range?.[0]);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: YAML_ALIAS_COUNT_MAX });
  } catch (error) {
    fail(
      'YAML_LIMIT',
      `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      line,
    );
    return;
  }
  if (value === null || value === undefined) return;
  const lineOf = (prefix: Path) => (path: string) =>
    lineOfPath(document, lines, [...prefix, ...(parsePath(path) ?? [])], line);
  const items = listItems(value);
  if (items !== undefined) {
    items.slice(0, YAML_DOCUMENTS_MAX - documents.length).forEach((item, index) => {
      const at = lineOf(['items', index]);
      documents.push({ value: item, line: at(''), lineOf: at });
    });
    return;
  }
  documents.push({ value, line, lineOf: lineOf([]) });
}

/** Items of a `List` or of a typed list (`ServiceList`), whose items may leave out their kind. */
function listItems(value: unknown): readonly unknown[] | undefined {
  if (!isRecord(value) || typeof value['kind'] !== 'string' || !Array.isArray(value['items'])) {
    return undefined;
  }
  if (!value['kind'].endsWith('List')) return undefined;
  const kind = value['kind'].slice(0, -'List'.length);
  const items: readonly unknown[] = value['items'];
  if (kind === '') return items;
  return items.map((item) =>
    isRecord(item) ? { apiVersion: value['apiVersion'], kind, ...item } : item,
  );
}

function lineOfPath(document: Document, lines: LineCounter, path: Path, fallback: number): number {
  for (let length = path.length; length > 0; length -= 1) {
    const node = document.getIn(path.slice(0, length), true);
    if (isNode(node) && node.range) return lineAt(lines, node.range[0]);
  }
  return fallback;
}

function lineAt(lines: LineCounter, offset: number | undefined): number {
  return Math.max(1, lines.linePos(offset ?? 0).line);
}
