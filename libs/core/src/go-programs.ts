/**
 * Programs in Go that tests talk with: tools of others by their modules at pinned versions, or sources of this repository.
 * Imported by tests only, as `@ambit/core/go-programs`.
 *
 * They go to AMBIT_TOOLS_CACHE (default: ambit-tools in the user's cache folder) and are built once a version.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

export interface GoProgram {
  readonly name: string;
  /** Part of where it is kept: what was built is never built again. */
  readonly version: string;
  /** Modules at versions, for `go get`. */
  readonly modules: readonly string[];
  /** A package, or `.` for `sources`. */
  readonly build: string;
  /** File name → text. */
  readonly sources?: Readonly<Record<string, string>>;
}

/** Path of the program. Throws, and so fails the test, without Go. */
export function goProgram({ name, version, modules, build, sources = {} }: GoProgram): string {
  const cache = process.env['AMBIT_TOOLS_CACHE'] ?? join(homedir(), '.cache', 'ambit-tools');
  const program = join(cache, `${name}-${version}`, name);
  if (existsSync(program)) {
    return program;
  }
  const folder = mkdtempSync(join(tmpdir(), 'ambit-go-'));
  const go = (...args: readonly string[]): void => {
    execFileSync('go', args, {
      cwd: folder,
      env: { ...process.env, GOFLAGS: '-mod=mod' },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  };
  try {
    // A module of its own: `go install` refuses modules that replace others.
    go('mod', 'init', 'ambit.example/tool');
    for (const [file, text] of Object.entries(sources)) {
      writeFileSync(join(folder, file), text);
    }
    go('get', ...modules);
    go('build', '-buildvcs=false', '-o', program, build);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return program;
}
