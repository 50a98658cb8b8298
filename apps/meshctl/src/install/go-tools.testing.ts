/**
 * Tools of others that tests hold the chart against, built from their Go modules at a pinned version.
 *
 * They go to AMBIT_TOOLS_CACHE (default: ambit-tools in the user's cache folder) and are built once a version.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

const TOOLS = {
  helm: { package: 'helm.sh/helm/v3/cmd/helm', version: 'v3.19.5' },
  promtool: { package: 'github.com/prometheus/prometheus/cmd/promtool', version: 'v0.313.5' },
} as const;

/** Path of the program. Throws, and so fails the test, without Go. */
export function goTool(name: keyof typeof TOOLS): string {
  const { package: path, version } = TOOLS[name];
  const cache = process.env['AMBIT_TOOLS_CACHE'] ?? join(homedir(), '.cache', 'ambit-tools');
  const folder = join(cache, `${name}-${version}`);
  const program = join(folder, name);
  if (!existsSync(program)) {
    // In a module of its own: `go install` refuses modules that replace others.
    const module = mkdtempSync(join(tmpdir(), 'ambit-go-'));
    try {
      const go = (...args: readonly string[]): void => {
        execFileSync('go', args, {
          cwd: module,
          env: { ...process.env, GOFLAGS: '-mod=mod' },
          stdio: ['ignore', 'ignore', 'pipe'],
        });
      };
      go('mod', 'init', 'tool');
      go('get', `${path}@${version}`);
      go('build', '-buildvcs=false', '-o', program, path);
    } finally {
      rmSync(module, { recursive: true, force: true });
    }
  }
  return program;
}
