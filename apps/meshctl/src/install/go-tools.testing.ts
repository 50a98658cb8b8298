/**
 * Tools of others that tests hold the chart against, built from their Go modules at a pinned version.
 *
 * They go to AMBIT_TOOLS_CACHE (default: ambit-tools in the user's cache folder) and are built once a version.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';

/** promtool as a whole takes twenty minutes to build, for the clients of every cloud; this is its `check rules`. */
const RULE_CHECK = `package main

import (
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func main() {
	syntax := parser.NewParser(parser.Options{})
	_, errs := rulefmt.ParseFile(os.Args[1], false, model.UTF8Validation, syntax, slog.Default())
	for _, err := range errs {
		fmt.Fprintln(os.Stderr, err)
	}
	if len(errs) > 0 {
		os.Exit(1)
	}
}
`;

const TOOLS = {
  helm: { module: 'helm.sh/helm/v3', version: 'v3.19.5', build: 'helm.sh/helm/v3/cmd/helm' },
  rulecheck: { module: 'github.com/prometheus/prometheus', version: 'v0.313.5', build: '.' },
} as const;

/** Path of the program. Throws, and so fails the test, without Go. */
export function goTool(name: keyof typeof TOOLS): string {
  const { module, version, build } = TOOLS[name];
  const cache = process.env['AMBIT_TOOLS_CACHE'] ?? join(homedir(), '.cache', 'ambit-tools');
  const program = join(cache, `${name}-${version}`, name);
  if (existsSync(program)) return program;
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
    if (build === '.') writeFileSync(join(folder, 'main.go'), RULE_CHECK);
    go('get', build === '.' ? `${module}/model/rulefmt@${version}` : `${build}@${version}`);
    go('build', '-buildvcs=false', '-o', program, build);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return program;
}
