/**
 * The YAML of a lab, as `kubectl apply -f` would read it: every document of every file of the folders.
 *
 * Only the objects that a cluster itself acts on are looked at here; those of the mesh are the controller's, which
 * reads the same folders. A document that does not parse is a problem of that document alone.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type MeshObject, type ObjectKey, parseObject } from '@ambit/api';
import { parseAllDocuments } from 'yaml';

const YAML = /\.ya?ml$/;
/** Folders within folders; as deep as the controller looks. */
const DEPTH_MAX = 8;
/** Kinds that the lab runs or completes. */
const CLUSTER_KINDS = new Set(['Namespace', 'ServiceAccount', 'Service', 'Pod', 'Deployment']);
const FILE_BYTES_MAX = 8 * 1024 * 1024;

export interface Manifest {
  readonly key: ObjectKey;
  readonly object: MeshObject;
  /** As written, for what is published again. */
  readonly raw: Readonly<Record<string, unknown>>;
  readonly file: string;
}

export interface ManifestProblem {
  readonly file: string;
  readonly message: string;
}

export interface ManifestSet {
  readonly manifests: ReadonlyMap<ObjectKey, Manifest>;
  readonly problems: readonly ManifestProblem[];
}

/** Folders or single files; a later one's object replaces an earlier one's of the same key. */
export function readManifests(sources: readonly string[]): ManifestSet {
  const manifests = new Map<ObjectKey, Manifest>();
  const problems: ManifestProblem[] = [];
  for (const file of sources.flatMap(manifestFiles)) {
    try {
      readFile(file, manifests, problems);
    } catch (error) {
      // Removed between listing and reading, or unreadable: the next pass looks again.
      problems.push({ file, message: error instanceof Error ? error.message : String(error) });
    }
  }
  return { manifests, problems };
}

/**
 * The YAML files of a folder and of the folders in it, in the order of their names; hidden ones, `node_modules` and
 * links to folders do not count. Of a file: that file.
 */
export function manifestFiles(source: string, depth = 0): string[] {
  try {
    if (statSync(source).isFile()) {
      return [source];
    }
    return readdirSync(source, { withFileTypes: true })
      .filter(({ name }) => !name.startsWith('.') && name !== 'node_modules')
      .sort((a, b) => (a.name < b.name ? -1 : 1))
      .flatMap((entry) => {
        const path = join(source, entry.name);
        if (entry.isDirectory()) {
          return depth < DEPTH_MAX ? manifestFiles(path, depth + 1) : [];
        }
        return YAML.test(entry.name) ? [path] : [];
      });
  } catch {
    // Not there yet, such as the controller's folder before its first start.
    return [];
  }
}

function readFile(
  file: string,
  manifests: Map<ObjectKey, Manifest>,
  problems: ManifestProblem[],
): void {
  if (statSync(file).size > FILE_BYTES_MAX) {
    problems.push({ file, message: `larger than ${FILE_BYTES_MAX} bytes` });
    return;
  }
  for (const document of parseAllDocuments(readFileSync(file, 'utf8'))) {
    const broken = document.errors[0];
    if (broken !== undefined) {
      problems.push({ file, message: broken.message });
      continue;
    }
    const value: unknown = document.toJS({ maxAliasCount: 100 });
    for (const raw of listItems(value)) {
      readObject(raw, file, manifests, problems);
    }
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `kubectl get -o yaml` of several objects gives one `List`. */
function listItems(value: unknown): unknown[] {
  if (isRecord(value) && value['kind'] === 'List' && Array.isArray(value['items'])) {
    return value['items'];
  }
  return value === null || value === undefined ? [] : [value];
}

function readObject(
  raw: unknown,
  file: string,
  manifests: Map<ObjectKey, Manifest>,
  problems: ManifestProblem[],
): void {
  if (!isRecord(raw) || typeof raw['kind'] !== 'string' || !CLUSTER_KINDS.has(raw['kind'])) {
    return;
  }
  const { object, findings } = parseObject(raw);
  for (const finding of findings.filter(({ severity }) => severity === 'error')) {
    const allowed = finding.allowed === undefined ? '' : `; allowed: ${finding.allowed}`;
    problems.push({ file, message: `${finding.path}: ${finding.message}${allowed}` });
  }
  if (object !== undefined) {
    const key = keyOf(object);
    manifests.set(key, { key, object, raw, file });
  }
}

/** `Kind/namespace/name`, or `Kind/name`. */
export function keyOf({ kind, metadata }: MeshObject): ObjectKey {
  return metadata.namespace === ''
    ? `${kind}/${metadata.name}`
    : `${kind}/${metadata.namespace}/${metadata.name}`;
}
