/**
 * A compiled policy as closures: built once a policy, so that a check compares and does not interpret.
 *
 * Only lists that say something become a check; a match without any is the "empty match" of the API and
 * is left out, while its clause remembers that it is not a clause without matches.
 */
import { cidrContains } from '@ambit/api';
import type { EvaluationContext } from './evaluation-context.ts';
import { otherSpellings, withAskedPort, withOneSpelling } from './host-spellings.ts';
import type { PathIndex } from './path-index.ts';
import { compilePatterns, octetsOf } from './pattern.ts';
import { indexRules } from './rule-paths.ts';
import type {
  Cidr,
  Clause,
  CompiledPolicy,
  ConnectionAttributes,
  HeaderMatch,
  L4Match,
  L7Match,
  Match,
  PathPattern,
  RequestAttributes,
  Rule,
  RuleRef,
  ServiceAccountRef,
  StringPattern,
} from './types.ts';

/** `broad`: see `ruleMatches`. */
type ConnectionCheck = (context: EvaluationContext, broad: boolean) => boolean;
type RequestCheck = (
  request: RequestAttributes,
  context: EvaluationContext,
  broad: boolean,
) => boolean;

interface PreparedMatch {
  readonly l4: readonly ConnectionCheck[];
  readonly l7: readonly RequestCheck[];
  /** Some HTTP kind is there, decidable or not. */
  readonly needsRequest: boolean;
  readonly undecidable: boolean;
}

interface PreparedClause {
  /** No match was given at all: true. Otherwise one of `matches` must hold. */
  readonly always: boolean;
  readonly matches: readonly PreparedMatch[];
}

export interface PreparedRule {
  readonly clauses: readonly PreparedClause[];
  readonly needsRequest: boolean;
  readonly ref: RuleRef;
}

export interface PreparedPolicy {
  /** `namespace/name` */
  readonly name: string;
  readonly policy: CompiledPolicy;
  readonly rules: readonly PreparedRule[];
  /** Which rules can hold for a path; undefined: all may. */
  readonly byPath: PathIndex | undefined;
  /** The policy as a whole, for what no rule matched. */
  readonly ref: RuleRef;
}

const cache = new WeakMap<CompiledPolicy, PreparedPolicy>();

/** Prepared form of a policy; made at first use and kept as long as the policy lives. */
export function preparePolicy(policy: CompiledPolicy): PreparedPolicy {
  const known = cache.get(policy);
  if (known !== undefined) {
    return known;
  }
  const name = `${policy.namespace}/${policy.name}`;
  const prepared: PreparedPolicy = {
    name,
    policy,
    rules: policy.rules.map((rule, index) => prepareRule(rule, index, name)),
    byPath: indexRules(policy.rules),
    ref: { policy: name, rule: -1, clause: '' },
  };
  cache.set(policy, prepared);
  return prepared;
}

/**
 * Whether a rule holds. `broad` is the reading of DENY and AUDIT: what cannot be decided here counts as
 * fulfilled, so a rule only ever refuses more. ALLOW reads the other way round: a rule with HTTP kinds
 * never holds without a request.
 */
export function ruleMatches(
  rule: PreparedRule,
  context: EvaluationContext,
  broad: boolean,
): boolean {
  if (!broad && rule.needsRequest && context.request === undefined) {
    return false;
  }
  for (const clause of rule.clauses) {
    if (!clause.always && !anyMatch(clause.matches, context, broad)) {
      return false;
    }
  }
  return true;
}

function anyMatch(
  matches: readonly PreparedMatch[],
  context: EvaluationContext,
  broad: boolean,
): boolean {
  for (const match of matches) {
    if (matchHolds(match, context, broad)) {
      return true;
    }
  }
  return false;
}

function matchHolds(match: PreparedMatch, context: EvaluationContext, broad: boolean): boolean {
  for (const check of match.l4) {
    if (!check(context, broad)) {
      return false;
    }
  }
  if (!match.needsRequest) {
    return true;
  }
  if (match.undecidable && !broad) {
    return false;
  }
  const { request } = context;
  if (request === undefined) {
    return broad;
  }
  for (const check of match.l7) {
    if (!check(request, context, broad)) {
      return false;
    }
  }
  return true;
}

function prepareRule(rule: Rule, index: number, policy: string): PreparedRule {
  const clauses = rule.clauses.map(prepareClause);
  return {
    clauses,
    needsRequest: clauses.some((clause) => clause.matches.some((match) => match.needsRequest)),
    ref: { policy, rule: index, clause: originsOf(rule) },
  };
}

/** People read `from, to, when[0]`, whatever the order on the wire. */
function originsOf(rule: Rule): string {
  return rule.clauses
    .map((clause) => clause.origin)
    .filter((origin) => origin !== '')
    .sort()
    .join(', ');
}

function prepareClause(clause: Clause): PreparedClause {
  const matches = clause.matches.map(prepareMatch);
  return {
    always: matches.length === 0,
    matches: matches.filter((match) => match.l4.length > 0 || match.needsRequest),
  };
}

function prepareMatch(match: Match): PreparedMatch {
  const l4: ConnectionCheck[] = [...identityChecks(match.l4), ...addressChecks(match.l4)];
  const l7 = match.l7 === undefined ? [] : requestChecks(match.l7);
  const undecidable = (match.l7?.undecidable.length ?? 0) > 0;
  return { l4, l7, needsRequest: l7.length > 0 || undecidable, undecidable };
}

/** Adds a check for a list and one for its `not` list, where they say something. */
function addChecks<Item, Check extends (...args: never[]) => boolean>(
  checks: Check[],
  lists: { readonly some: readonly Item[]; readonly none: readonly Item[] },
  make: (items: readonly Item[], wanted: boolean) => Check,
): void {
  if (lists.some.length > 0) {
    checks.push(make(lists.some, true));
  }
  if (lists.none.length > 0) {
    checks.push(make(lists.none, false));
  }
}

function identityChecks(l4: L4Match): ConnectionCheck[] {
  const checks: ConnectionCheck[] = [];
  const text =
    (read: (context: EvaluationContext) => string) =>
    (patterns: readonly PathPattern[], wanted: boolean): ConnectionCheck => {
      const test = compilePatterns(patterns);
      return (context) => test(read(context)) === wanted;
    };
  addChecks(
    checks,
    { some: l4.principals, none: l4.notPrincipals },
    text((context) => context.principal),
  );
  addChecks(
    checks,
    { some: l4.namespaces, none: l4.notNamespaces },
    text((context) => context.connection.source?.namespace ?? ''),
  );
  addChecks(
    checks,
    { some: l4.trustDomains, none: l4.notTrustDomains },
    text((context) => context.connection.source?.trustDomain ?? ''),
  );
  addChecks(
    checks,
    { some: l4.serviceAccounts, none: l4.notServiceAccounts },
    (accounts, wanted): ConnectionCheck =>
      (context) =>
        isOneOf(accounts, context.connection.source) === wanted,
  );
  return checks;
}

function isOneOf(
  accounts: readonly ServiceAccountRef[],
  source: ConnectionAttributes['source'],
): boolean {
  if (source === undefined) {
    return false;
  }
  for (const account of accounts) {
    if (account.name === source.serviceAccount && account.namespace === source.namespace) {
      return true;
    }
  }
  return false;
}

function addressChecks(l4: L4Match): ConnectionCheck[] {
  const checks: ConnectionCheck[] = [];
  const blocks =
    (read: (context: EvaluationContext) => Uint8Array | undefined) =>
    (cidrs: readonly Cidr[], wanted: boolean): ConnectionCheck =>
    (context, broad) => {
      const address = read(context);
      // What nobody knows may be any address.
      return address === undefined ? broad : isInside(cidrs, address) === wanted;
    };
  addChecks(
    checks,
    { some: l4.sourceIps, none: l4.notSourceIps },
    blocks((context) => context.connection.sourceIp),
  );
  addChecks(
    checks,
    { some: l4.destinationIps, none: l4.notDestinationIps },
    blocks((context) => context.connection.destinationIp),
  );
  addChecks(
    checks,
    { some: l4.destinationPorts, none: l4.notDestinationPorts },
    (ports, wanted): ConnectionCheck =>
      (context) =>
        ports.includes(context.connection.destinationPort) === wanted,
  );
  return checks;
}

function isInside(cidrs: readonly Cidr[], address: Uint8Array): boolean {
  for (const cidr of cidrs) {
    if (cidrContains(cidr, address)) {
      return true;
    }
  }
  return false;
}

function requestChecks(l7: L7Match): RequestCheck[] {
  const checks: RequestCheck[] = [];
  const text =
    (read: (request: RequestAttributes, context: EvaluationContext) => string) =>
    (patterns: readonly PathPattern[], wanted: boolean): RequestCheck => {
      const test = compilePatterns(patterns);
      return (request, context) => test(read(request, context)) === wanted;
    };
  addChecks(
    checks,
    { some: l7.methods, none: l7.notMethods },
    text((request) => request.method),
  );
  addChecks(
    checks,
    { some: l7.paths, none: l7.notPaths },
    text((request) => request.path),
  );
  addChecks(checks, { some: l7.hosts.map(lowerCase), none: l7.notHosts.map(lowerCase) }, hostCheck);
  addChecks(checks, { some: l7.headers, none: l7.notHeaders }, (headers, wanted) => {
    const tests = headers.map(headerTest);
    // A DENY that asks for a value, and an ALLOW that forbids one, hold for any of several.
    return (request, _context, broad) =>
      tests.some((test) => test(request, broad === wanted)) === wanted;
  });
  return checks;
}

function hostCheck(hosts: readonly PathPattern[], wanted: boolean): RequestCheck {
  const test = compilePatterns(hosts);
  const strictTest = compilePatterns(withOneSpelling(hosts));
  return (_request, { host, connection }, broad) => {
    // A DENY that asks for a host, and an ALLOW that forbids one, hold however it is written.
    if (broad === wanted) {
      const isHeld = test(host) || otherSpellings(host, connection).some(strictTest);
      return isHeld === wanted;
    }
    if (!test(host)) {
      return !wanted;
    }
    const asked = withAskedPort(host, connection);
    return (asked === undefined || test(asked)) === wanted;
  };
}

function lowerCase<Pattern extends PathPattern>(pattern: Pattern): Pattern {
  return 'value' in pattern ? { ...pattern, value: pattern.value.toLowerCase() } : pattern;
}

/** Values of requests have one character for each byte, those of policies are text. */
function inOctets(pattern: StringPattern): StringPattern {
  return 'value' in pattern ? { ...pattern, value: octetsOf(pattern.value) } : pattern;
}

/**
 * A header that was not sent has no value, so it matches nothing, not even an empty pattern. One that was sent more than once:
 * with `any`, if one of its values matches or all of them joined; else only if each does, as a server may read any of them.
 */
function headerTest(header: HeaderMatch): (request: RequestAttributes, any: boolean) => boolean {
  const test = compilePatterns(header.values.map(inOctets));
  return (request, any) => {
    const value = request.header(header.name);
    if (value === undefined) {
      return false;
    }
    const repeated = request.repeatedHeader?.(header.name);
    if (repeated === undefined) {
      return test(value);
    }
    return any ? test(value) || repeated.some(test) : repeated.every(test);
  };
}
