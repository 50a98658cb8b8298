/**
 * Conditions of a match: a predicate over the request, and its words for people. A match is true when
 * all its conditions are.
 */
import type { HttpMatchRequest, HttpRouteMatch, StringMatch } from '@ambit/api';
import type { PathKey } from '@ambit/policy';
import { compilePathMatch } from './path-regex.ts';
import type { HttpRequestView } from './request.ts';
import { queryParam } from './request.ts';
import {
  compileFieldMatch,
  compileRegexMatch,
  compileStringMatch,
  compileWithout,
  hasSegmentPrefix,
  trimTrailingSlash,
} from './string-match.ts';

export interface Condition {
  readonly words: string;
  readonly holds: (request: HttpRequestView) => boolean;
  /** It holds for no path that this does not fit. */
  readonly path?: PathKey | undefined;
}

export function allHold(conditions: readonly Condition[]): (request: HttpRequestView) => boolean {
  const [only] = conditions;
  if (only !== undefined && conditions.length === 1) return only.holds;
  return (request) => {
    for (const { holds } of conditions) {
      if (!holds(request)) return false;
    }
    return true;
  };
}

/** What all of them together ask of the path; undefined: nothing that can be looked up. */
export function pathKeyOf(conditions: readonly Condition[]): PathKey | undefined {
  return conditions.find(({ path }) => path !== undefined)?.path;
}

export function describeConditions(conditions: readonly Condition[]): string {
  return conditions.length === 0
    ? 'every request'
    : conditions.map((condition) => condition.words).join(', ');
}

/** Names that mean the request line, not a header, and are ignored among `headers`. */
const NOT_HEADERS: ReadonlySet<string> = new Set(['uri', 'scheme', 'method', 'authority']);

/** One block of a VirtualService's `match`. Its `gateways` is not looked at here. */
export function matchRequestConditions(match: HttpMatchRequest): readonly Condition[] {
  const conditions: Condition[] = [];
  const { uri, ignoreUriCase } = match;
  if (uri !== undefined) {
    const test =
      'regex' in uri
        ? compilePathMatch(uri.regex)
        : compileStringMatch(uri, { ignoreCase: ignoreUriCase });
    conditions.push({
      words: `path ${describe(uri)}`,
      holds: (request) => test(request.path),
      path: ignoreUriCase ? undefined : stringKey(uri),
    });
  }
  for (const [words, pattern, read] of [
    ['scheme', match.scheme, (request: HttpRequestView) => request.scheme],
    ['method', match.method, (request: HttpRequestView) => request.method],
    ['authority', match.authority, (request: HttpRequestView) => request.authority],
  ] as const) {
    if (pattern === undefined) continue;
    const test = compileStringMatch(pattern);
    conditions.push({
      words: `${words} ${describe(pattern)}`,
      holds: (request) => test(read(request)),
    });
  }
  conditions.push(
    ...headerConditions(match),
    ...queryConditions(match),
    ...sourceConditions(match),
  );
  const { port } = match;
  if (port !== undefined) {
    conditions.push({ words: `port ${port}`, holds: (request) => request.port === port });
  }
  return conditions;
}

/** One `match` of an HTTPRoute. */
export function routeMatchConditions(match: HttpRouteMatch): readonly Condition[] {
  const conditions: Condition[] = [];
  const { path, method } = match;
  const isEverything = path.type === 'PathPrefix' && path.value === '/';
  if (!isEverything) {
    conditions.push({
      words: `path ${path.type} "${path.value}"`,
      holds: pathPredicate(match),
      path: routePathKey(match),
    });
  }
  if (method !== undefined) {
    conditions.push({ words: `method "${method}"`, holds: (request) => request.method === method });
  }
  for (const header of firstOfEachName(match.headers, (name) => name.toLowerCase())) {
    const name = header.name.toLowerCase();
    const test = compileFieldMatch(
      header.type === 'Exact' ? { exact: header.value } : { regex: header.value },
      name,
    );
    conditions.push({
      words: `header ${name} ${header.type === 'Exact' ? '=' : '~'} "${header.value}"`,
      holds: (request) => test(request.header(name)),
    });
  }
  for (const param of firstOfEachName(match.queryParams, (name) => name)) {
    const test = valuePredicate(param);
    conditions.push({
      words: `query ${param.name} ${param.type === 'Exact' ? '=' : '~'} "${param.value}"`,
      holds: (request) => test(queryParam(request.query, param.name)),
    });
  }
  return conditions;
}

function headerConditions(match: HttpMatchRequest): readonly Condition[] {
  const conditions: Condition[] = [];
  for (const [written, pattern] of Object.entries(match.headers)) {
    const name = written.toLowerCase();
    if (NOT_HEADERS.has(name)) continue;
    const test = compileFieldMatch(pattern, name);
    conditions.push({
      words: `header ${name} ${describe(pattern)}`,
      holds: (request) => test(request.header(name)),
    });
  }
  for (const [written, pattern] of Object.entries(match.withoutHeaders)) {
    const name = written.toLowerCase();
    const test = compileWithout(pattern, name);
    conditions.push({
      words: `header ${name} not ${describe(pattern)}`,
      holds: (request) => test(request.header(name)),
    });
  }
  return conditions;
}

function queryConditions(match: HttpMatchRequest): readonly Condition[] {
  return Object.entries(match.queryParams).map(([name, pattern]) => {
    const isPresence = 'exact' in pattern && pattern.exact === '';
    const test = compileStringMatch(isPresence ? { present: true } : pattern);
    return {
      words: `query ${name} ${describe(pattern)}`,
      holds: (request: HttpRequestView) => test(queryParam(request.query, name)),
    };
  });
}

/** Not looked at where the block names gateways of its own. */
function sourceConditions(match: HttpMatchRequest): readonly Condition[] {
  if (match.gateways.length > 0) return [];
  const conditions: Condition[] = [];
  const { sourceNamespace } = match;
  if (sourceNamespace !== undefined) {
    conditions.push({
      words: `source namespace "${sourceNamespace}"`,
      holds: (request) => request.source.namespace === sourceNamespace,
    });
  }
  for (const [name, value] of Object.entries(match.sourceLabels)) {
    conditions.push({
      words: `source label ${name}=${value}`,
      holds: (request) => ownValue(request.source.labels, name) === value,
    });
  }
  return conditions;
}

function pathPredicate({ path }: HttpRouteMatch): (request: HttpRequestView) => boolean {
  switch (path.type) {
    case 'Exact':
      return (request) => request.path === path.value;
    case 'PathPrefix':
      return (request) => hasSegmentPrefix(request.path, path.value);
    case 'RegularExpression': {
      const test = compilePathMatch(path.value);
      return (request) => test(request.path);
    }
  }
}

function stringKey(match: StringMatch): PathKey | undefined {
  if ('exact' in match) return { kind: 'exact', value: match.exact };
  return 'prefix' in match ? { kind: 'prefix', value: match.prefix } : undefined;
}

function routePathKey({ path }: HttpRouteMatch): PathKey | undefined {
  if (path.type === 'Exact') return { kind: 'exact', value: path.value };
  return path.type === 'PathPrefix'
    ? { kind: 'prefix', value: trimTrailingSlash(path.value) }
    : undefined;
}

function valuePredicate(match: {
  readonly type: 'Exact' | 'RegularExpression';
  readonly value: string;
}): (value: string | undefined) => boolean {
  if (match.type === 'RegularExpression') return compileRegexMatch(match.value);
  return (value) => value === match.value;
}

function firstOfEachName<T extends { readonly name: string }>(
  entries: readonly T[],
  fold: (name: string) => string,
): readonly T[] {
  const seen = new Set<string>();
  return entries.filter(({ name }) => {
    const key = fold(name);
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

function ownValue(
  record: Readonly<Record<string, string>> | undefined,
  key: string,
): string | undefined {
  return record !== undefined && Object.hasOwn(record, key) ? record[key] : undefined;
}

function describe(match: StringMatch): string {
  if ('present' in match) return 'present';
  if ('exact' in match) return `= "${match.exact}"`;
  if ('prefix' in match) return `prefix "${match.prefix}"`;
  return match.regex === '*' ? 'present' : `~ "${match.regex}"`;
}
