/** Rules of a VirtualService that can never be reached: after a catch-all, or the same match again. */
import type { View } from './view.ts';

/** Warnings for the http rules of one object. */
export function matchShadowRules(rules: readonly View[]): void {
  let catchAll: number | undefined;
  const seen = new Map<string, number>();
  rules.forEach((rule, index) => {
    if (catchAll !== undefined) {
      rule.complain({
        code: 'UNREACHABLE_RULE',
        severity: 'warning',
        message: `is never reached: http[${catchAll}] matches everything`,
        fix: 'move it up or remove it',
      });
      return;
    }
    const matches = rule.at('match').items;
    if (
      matches.length === 0 ||
      matches.some((match) =>
        match.fields.every(([key]) => key === 'name' || key === 'ignoreUriCase'),
      )
    ) {
      catchAll = index;
      return;
    }
    for (const match of matches) {
      const { name: _name, ...conditions } = Object(match.value);
      const text = JSON.stringify(conditions, sortedKeys);
      const earlier = seen.get(text);
      if (earlier !== undefined) {
        match.complain({
          code: 'UNREACHABLE_RULE',
          severity: 'warning',
          message: `is never reached: http[${earlier}] has the same match`,
          fix: 'remove it',
        });
      } else seen.set(text, index);
    }
  });
}

function sortedKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
