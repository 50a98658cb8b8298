/** What the rules of a policy ask of a path, so that most of them need not be looked at for a request. */
import { PathIndex, type PathKey } from './path-index.ts';
import type { Clause, Match, PathPattern, Rule } from './types.ts';

/** Undefined: it would leave nothing out. */
export function indexRules(rules: readonly Rule[]): PathIndex | undefined {
  const keys = rules.map(ruleKeys);
  const helps = rules.length > 1 && keys.some((own) => own !== undefined);
  return helps ? new PathIndex(keys) : undefined;
}

/** One of them fits every path for which the rule can hold: of one clause, because all clauses have to hold. */
function ruleKeys({ clauses }: Rule): readonly PathKey[] | undefined {
  for (const clause of clauses) {
    const keys = clauseKeys(clause);
    if (keys !== undefined) {
      return keys;
    }
  }
  return undefined;
}

function clauseKeys({ matches }: Clause): readonly PathKey[] | undefined {
  const keys: PathKey[] = [];
  for (const match of matches) {
    const own = matchKeys(match);
    if (own === undefined) {
      return undefined;
    }
    keys.push(...own);
  }
  return matches.length === 0 ? undefined : keys;
}

function matchKeys({ l7 }: Match): readonly PathKey[] | undefined {
  const keys: PathKey[] = [];
  for (const pattern of l7?.paths ?? []) {
    const key = patternKey(pattern);
    if (key === undefined) {
      return undefined;
    }
    keys.push(key);
  }
  return keys.length === 0 ? undefined : keys;
}

function patternKey(pattern: PathPattern): PathKey | undefined {
  switch (pattern.kind) {
    case 'exact':
    case 'prefix':
      return pattern;
    case 'template':
      return { kind: 'prefix', value: pattern.value.slice(0, pattern.value.indexOf('{')) };
    case 'suffix':
    case 'presence':
      return undefined;
  }
}
