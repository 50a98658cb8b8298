/**
 * Alert rules and the dashboard against the programs: each metric that an expression names is one that a program
 * exports, each label is one that it gives, and each value is one that it can have.
 *
 * promtool sees that an expression parses; an alert on a name that nobody exports parses too, and never fires.
 */
import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { alertRules } from '../apps/meshctl/src/install/objects/alerts.ts';
import { dashboardJson } from '../apps/meshctl/src/install/objects/dashboard.ts';

const ROOT = dirname(import.meta.dirname);
/** Put on by who scrapes, or by the format. */
const GIVEN_LABELS: ReadonlySet<string> = new Set(['pod', 'le']);
const FUNCTIONS =
  /\b(absent|sum|max|min|rate|increase|topk|histogram_quantile|by|on|and|or|unless)\b/g;

interface Used {
  readonly metric: string;
  readonly labels: ReadonlySet<string>;
  readonly values: ReadonlySet<string>;
}

const SOURCES: ReadonlyMap<string, string> = new Map(
  globSync('{apps/{controller,node-agent,waypoint},libs/*}/src/**/*.ts', { cwd: ROOT })
    .filter((file) => !/\.(test|testing)\.ts$|\/testing/.test(file))
    .map((file) => [file, readFileSync(join(ROOT, file), 'utf8')]),
);

/** Metrics of one expression; those of an aggregation have its labels. */
function usedIn(expression: string): readonly Used[] {
  const grouped = [...expression.matchAll(/\b(?:by|on) \(([^)]*)\)/g)].flatMap(([, list = '']) =>
    list.split(',').map((label) => label.trim()),
  );
  const bare = expression.replace(/\b(?:by|on) \([^)]*\)/g, '').replace(/\[[^\]]*\]/g, '');
  const found = bare.matchAll(/\b([a-z_][a-z0-9_]*)(?:\{([^}]*)\})?/g);
  return [...found].flatMap(([, name = '', selector = '']): readonly Used[] => {
    if (name.replace(FUNCTIONS, '') === '' || !name.includes('_')) return [];
    const pairs = [...selector.matchAll(/(\w+)(=~|=|!=|!~)"([^"]*)"/g)];
    const plain = pairs.filter(([, label = '']) => !GIVEN_LABELS.has(label));
    return [
      {
        metric: name.replace(/_(bucket|sum|count)$/, (suffix) => (isDeclared(name) ? suffix : '')),
        labels: new Set([...grouped, ...pairs.map(([, label = '']) => label)]),
        values: new Set(plain.flatMap(([, , , value = '']) => value.split('|'))),
      },
    ];
  });
}

const declaring = (metric: string): readonly string[] =>
  [...SOURCES].flatMap(([file, text]) => (text.includes(`'${metric}'`) ? [file] : []));

function isDeclared(metric: string): boolean {
  return declaring(metric).length > 0;
}

function panelExpressions(): readonly (readonly [string, string])[] {
  const dashboard = JSON.parse(dashboardJson()) as {
    readonly panels: readonly {
      readonly title: string;
      readonly targets: readonly { readonly expr: string }[];
    }[];
  };
  return dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => [title, expr] as const),
  );
}

function alertExpressions(): readonly (readonly [string, string])[] {
  const { groups } = alertRules() as unknown as {
    readonly groups: readonly {
      readonly rules: readonly { readonly alert: string; readonly expr: string }[];
    }[];
  };
  return groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => [alert, expr] as const));
}

describe('metrics in alerts and dashboard', () => {
  const expressions = [...alertExpressions(), ...panelExpressions()];
  assert.ok(expressions.length > 20);
  for (const [title, expression] of expressions) {
    it(`are exported: ${title}`, () => {
      const used = usedIn(expression);
      assert.ok(used.length > 0, expression);
      for (const { metric, labels, values } of used) {
        const files = declaring(metric);
        assert.ok(files.length > 0, `no program exports ${metric}`);
        // Labels are declared beside the name, or come from a helper that gives them all their ends.
        const folders = new Set(files.map((file) => dirname(file)));
        const near = [...SOURCES].flatMap(([file, text]) =>
          folders.has(dirname(file)) ? [text] : [],
        );
        for (const label of labels) {
          const isGiven = GIVEN_LABELS.has(label) || near.some((text) => hasWord(text, label));
          assert.ok(isGiven, `${metric} has no label ${label}`);
        }
        for (const value of values) {
          if (/^[0-9.]+$/.test(value)) continue;
          const isPossible = [...SOURCES.values()].some((text) => hasValue(text, value));
          assert.ok(isPossible, `no program says "${value}" (${metric})`);
        }
      }
    });
  }
});

/** A label may be made of the end and the name: `${end}_workload`. */
function hasWord(text: string, label: string): boolean {
  const tail = label.replace(/^(source|destination)_/, '');
  return text.includes(label) || (tail !== label && text.includes(`_${tail}`));
}

function hasValue(text: string, value: string): boolean {
  return text.includes(`'${value}'`) || new RegExp(`\\b${value}:`).test(text);
}
