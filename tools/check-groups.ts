/**
 * Test files that share a process. Starting one and reading its modules takes half a second of a core, more than most files
 * compute, and there are hundreds of them.
 *
 * Rule: a file that looks at its process, changes it or counts its memory, or has hooks for all of its tests, has one of its own.
 * So has one that only calls suites of others: what is heard of these names their file.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './check-report.ts';

const FOLDER = join(root, 'node_modules', '.cache', 'test-groups');
/** So that a group takes no longer than the slowest of the files that stand alone. */
const FILES_MAX = 12;
const OF_THE_PROCESS =
  /\bprocess\.(?!nextTick|stdout)|\bmock\.|\bglobalThis\b|memoryUsage|\bspawn|\bexecFile|\bgc\b|[hH]eap|\bWorker\(|^(?:before|after)(?:Each)?\(/m;

export interface TestGroup {
  /** What is run: a test file, or one that imports several. */
  readonly path: string;
  readonly name: string;
  readonly files: readonly string[];
}
const OWN_TESTS = /^\s*(?:it|test|describe)\(/m;

/** `files` relative to the root, in groups by package. */
export function groupFiles(files: readonly string[]): readonly TestGroup[] {
  const alone: TestGroup[] = [];
  const packages = new Map<string, string[]>();
  for (const file of files) {
    const text = readFileSync(join(root, file), 'utf8');
    if (OF_THE_PROCESS.test(text) || !OWN_TESTS.test(text)) {
      alone.push(ofOne(file));
    } else {
      const [name = ''] = /^(?:(?:apps|libs)\/)?[^/]+/.exec(file) ?? [];
      packages.set(name, [...(packages.get(name) ?? []), file]);
    }
  }
  mkdirSync(FOLDER, { recursive: true });
  const together = [...packages].flatMap(([name, all]) => {
    const count = Math.ceil(all.length / FILES_MAX);
    return Array.from({ length: count }, (_, n) => {
      // Every so-manyth: neighbours are alike, also in how long they take.
      const own = all.filter((_file, at) => at % count === n);
      return own.length === 1 ? ofOne(own[0] ?? '') : ofMany(`${name}, ${n + 1} of ${count}`, own);
    });
  });
  return [...together, ...alone];
}

export function ofOne(file: string): TestGroup {
  return { path: join(root, file), name: file, files: [file] };
}

function ofMany(name: string, files: readonly string[]): TestGroup {
  const path = join(FOLDER, `${name.replaceAll(/[^a-z0-9]+/g, '-')}.mjs`);
  const lines = files.map((file) => `import ${JSON.stringify(pathToFileURL(join(root, file)))};\n`);
  writeFileSync(path, lines.join(''));
  return { path, name: `${name}: ${files.length} files`, files };
}
