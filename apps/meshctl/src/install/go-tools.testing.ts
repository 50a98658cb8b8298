/**
 * Tools of others that tests hold the chart against, built from their Go modules at a pinned version.
 */
import { type GoProgram, goProgram } from '@ambit/core/go-programs';

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

const PROMETHEUS = 'v0.313.5';
const HELM = 'v3.19.5';

const TOOLS = {
  helm: {
    name: 'helm',
    version: HELM,
    modules: [`helm.sh/helm/v3/cmd/helm@${HELM}`],
    build: 'helm.sh/helm/v3/cmd/helm',
  },
  rulecheck: {
    name: 'rulecheck',
    version: PROMETHEUS,
    modules: [`github.com/prometheus/prometheus/model/rulefmt@${PROMETHEUS}`],
    build: '.',
    sources: { 'main.go': RULE_CHECK },
  },
} as const satisfies Record<string, GoProgram>;

/** Path of the program. Throws, and so fails the test, without Go. */
export function goTool(name: keyof typeof TOOLS): string {
  return goProgram(TOOLS[name]);
}
