/**
 * The objects of one file: each accepted, refused with reasons, or of a kind that is not served.
 *
 * A file whose YAML cannot be read yields nothing at all: half a file must not count as the whole.
 */
import { type Finding, type MeshObject, type ObjectKey, parseObject, parseYaml } from '@ambit/api';

export interface FileEntry {
  readonly key: ObjectKey;
  /** From 1, in the file. */
  readonly line: number;
  readonly what:
    | { readonly kind: 'object'; readonly object: MeshObject }
    | { readonly kind: 'invalid'; readonly written?: Readonly<Record<string, unknown>> }
    | { readonly kind: 'unsupported'; readonly message: string };
  readonly findings: readonly Finding[];
  /** The file no longer shows it; it stays (`withKept`). */
  readonly isKept?: true;
}

export type FileContent =
  | { readonly kind: 'entries'; readonly entries: readonly FileEntry[] }
  | { readonly kind: 'unreadable'; readonly findings: readonly Finding[] };

/** The key under which a file itself is spoken of. */
export function fileKey(relativePath: string): ObjectKey {
  return `File/${relativePath.replaceAll('/', ':')}`;
}

export function parseFile(text: string, options: { readonly relativePath: string }): FileContent {
  const { relativePath } = options;
  const yaml = parseYaml(text, { source: relativePath });
  const errors = yaml.findings.filter(({ severity }) => severity === 'error');
  if (errors.length > 0) {
    const findings = errors.map(({ line, ...finding }) => ({
      ...finding,
      message: `line ${line}: ${finding.message}`,
    }));
    return { kind: 'unreadable', findings };
  }
  const entries: FileEntry[] = [];
  const nameless: Finding[] = [];
  for (const document of yaml.documents) {
    const { key, object, unsupported, findings } = parseObject(document.value);
    const { line } = document;
    if (key === undefined) {
      const broken = findings.filter(({ severity }) => severity === 'error');
      nameless.push(
        ...broken.map((found) => ({ ...found, message: `line ${line}: ${found.message}` })),
      );
    } else if (object !== undefined) {
      entries.push({ key, line, what: { kind: 'object', object }, findings });
    } else if (unsupported !== undefined) {
      const { message } = unsupported.condition;
      entries.push({ key, line, what: { kind: 'unsupported', message }, findings });
    } else if (findings.some(({ severity }) => severity === 'error')) {
      // What names an object is one.
      const written = document.value as Readonly<Record<string, unknown>>;
      entries.push({ key, line, what: { kind: 'invalid', written }, findings });
    }
    // What is left is no object of the mesh (a ConfigMap, say), and nothing to anybody here.
  }
  if (nameless.length > 0) {
    entries.push({
      key: fileKey(relativePath),
      line: 1,
      what: { kind: 'invalid' },
      findings: nameless,
    });
  }
  return { kind: 'entries', entries };
}
