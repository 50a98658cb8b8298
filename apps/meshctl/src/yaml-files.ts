/** Files of YAML that a person names: a file, a folder with all below it, or `-` for standard input. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { EXIT, UserError } from './errors.ts';

export interface YamlFile {
  /** As shown in messages. */
  readonly name: string;
  readonly text: string;
}

const EXTENSIONS = /\.(?:ya?ml|json)$/;
const FILES_MAX = 10_000;
const FILE_BYTES_MAX = 64 * 1024 * 1024;

/** In order of name. Throws a UserError when there is nothing to read. */
export function readYamlFiles(paths: readonly string[]): readonly YamlFile[] {
  const names = paths.flatMap((path) => (path === '-' ? ['-'] : filesOf(path)));
  if (names.length === 0) {
    throw new UserError(`no .yaml, .yml or .json file in ${paths.join(', ')}`, {
      exitCode: EXIT.finding,
    });
  }
  if (names.length > FILES_MAX) {
    throw new UserError(`${names.length} files are more than ${FILES_MAX}`, {
      fix: 'name a smaller folder',
    });
  }
  return names.map(readYamlFile);
}

function filesOf(path: string): readonly string[] {
  const found = attempt(path, () => statSync(path));
  if (!found.isDirectory()) return [path];
  return attempt(path, () => readdirSync(path, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && EXTENSIONS.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

function readYamlFile(name: string): YamlFile {
  if (name === '-') return { name: '<stdin>', text: readFileSync(0, 'utf8') };
  const { size } = attempt(name, () => statSync(name));
  if (size > FILE_BYTES_MAX)
    throw new UserError(`"${name}" is larger than ${FILE_BYTES_MAX} bytes`);
  return { name, text: attempt(name, () => readFileSync(name, 'utf8')) };
}

function attempt<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    const why = code === 'ENOENT' ? 'there is no such file or folder' : String(error);
    throw new UserError(`cannot read "${path}"`, { why, cause: error });
  }
}
