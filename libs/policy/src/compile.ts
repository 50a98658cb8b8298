/**
 * AuthorizationPolicy as written → the one form that is decided.
 *
 * Clauses come in the wire's order: `to`, `from`, then one for each `when`. What is valid but
 * not decidable in this version is kept by name, so that it can only ever refuse more (types.ts).
 */
import type {
  AuthorizationOperation,
  AuthorizationPolicy,
  AuthorizationRule,
  AuthorizationSource,
} from '@ambit/api';
import {
  type CompileContext,
  hostPattern,
  principalPatterns,
  requireCidr,
  requirePath,
  requirePort,
  serviceAccountRef,
} from './compile-values.ts';
import { PolicyError } from './errors.ts';
import { EMPTY_L4, EMPTY_L7, hasL7, isEmptyL4 } from './match-shapes.ts';
import { parseStringPattern } from './pattern.ts';
import type {
  Cidr,
  Clause,
  CompiledPolicy,
  L7Match,
  Match,
  PathPattern,
  PolicyAction,
  PolicyScope,
  Rule,
} from './types.ts';
import { compileCondition } from './when.ts';

const DRY_RUN_ANNOTATION = 'istio.io/dry-run';
/** What the reference reads as true; anything else leaves the policy enforced. */
const TRUE_WORDS = new Set(['1', 't', 'T', 'true', 'True', 'TRUE']);

export interface CompileOptions {
  readonly rootNamespace: string;
  readonly trustDomain: string;
}

export interface CompileResult {
  readonly compiled: CompiledPolicy;
  /** Some rule can only be decided with the request. */
  readonly needsL7: boolean;
  /** Paths of fields that this version cannot decide; they make ALLOW narrower and DENY broader. */
  readonly undecidable: readonly string[];
}

/**
 * Throws `PolicyError` for values that validation should have refused: nothing is ever dropped in
 * silence, because a dropped value can widen a rule. CUSTOM compiles to DENY: without its provider
 * nobody can say yes.
 */
export function compileAuthorizationPolicy(
  policy: AuthorizationPolicy,
  options: CompileOptions,
): CompileResult {
  const { metadata, spec } = policy;
  const undecidable: string[] = [];
  const context: CompileContext = {
    namespace: metadata.namespace,
    trustDomain: options.trustDomain,
    noteUndecidable: (path) => undecidable.push(path),
  };
  if (spec.action === 'CUSTOM') {
    undecidable.push('spec.action');
  }
  const rules = spec.rules.map((rule, index) => compileRule(rule, `spec.rules[${index}]`, context));
  const compiled: CompiledPolicy = {
    name: metadata.name,
    namespace: metadata.namespace,
    scope: scopeOf(policy, options.rootNamespace),
    action: actionOf(policy),
    dryRun: TRUE_WORDS.has(metadata.annotations[DRY_RUN_ANNOTATION] ?? ''),
    rules,
  };
  const needsL7 = rules.some((rule) => rule.clauses.some((clause) => clause.matches.some(hasL7)));
  return { compiled, needsL7, undecidable };
}

function actionOf(policy: AuthorizationPolicy): PolicyAction {
  return policy.spec.action === 'CUSTOM' ? 'DENY' : policy.spec.action;
}

/**
 * A policy with targetRefs is applied by whoever resolves them, never by its namespace. A selector without
 * labels selects the whole namespace, which is what no selector means.
 */
function scopeOf(policy: AuthorizationPolicy, rootNamespace: string): PolicyScope {
  const { selector, targetRefs } = policy.spec;
  if (Object.keys(selector?.matchLabels ?? {}).length > 0 || targetRefs.length > 0) {
    return 'WORKLOAD_SELECTOR';
  }
  return policy.metadata.namespace === rootNamespace ? 'GLOBAL' : 'NAMESPACE';
}

function compileRule(rule: AuthorizationRule, path: string, context: CompileContext): Rule {
  const clauses: Clause[] = [];
  if (rule.to.length > 0) {
    const matches = rule.to.map(({ operation }, index) =>
      notEmpty(
        compileOperation(operation, `${path}.to[${index}].operation`),
        `${path}.to[${index}].operation`,
      ),
    );
    clauses.push({ matches, origin: 'to' });
  }
  if (rule.from.length > 0) {
    const matches = rule.from.map(({ source }, index) =>
      notEmpty(
        compileSource(source, `${path}.from[${index}].source`, context),
        `${path}.from[${index}].source`,
      ),
    );
    clauses.push({ matches, origin: 'from' });
  }
  rule.when.forEach((condition, index) => {
    const match = compileCondition(condition, `${path}.when[${index}]`, context);
    clauses.push({ matches: [match], origin: `when[${index}]` });
  });
  return { clauses };
}

/** An empty match counts as false on the wire; nobody who writes `{}` there means that. */
function notEmpty(match: Match, path: string): Match {
  if (isEmptyL4(match) && !hasL7(match)) {
    throw new PolicyError(path, 'is empty, so it would never match');
  }
  return match;
}

function compileSource(source: AuthorizationSource, path: string, context: CompileContext): Match {
  const cidrs = (values: readonly string[], field: string): readonly Cidr[] =>
    values.map((value, index) => requireCidr(value, `${path}.${field}[${index}]`));
  const undecidable = (
    ['requestPrincipals', 'notRequestPrincipals', 'remoteIpBlocks', 'notRemoteIpBlocks'] as const
  ).filter((field) => source[field].length > 0);
  for (const field of undecidable) {
    context.noteUndecidable(`${path}.${field}`);
  }
  return {
    l4: {
      ...EMPTY_L4,
      principals: source.principals.flatMap((value) => principalPatterns(value, context)),
      notPrincipals: source.notPrincipals.flatMap((value) => principalPatterns(value, context)),
      serviceAccounts: source.serviceAccounts.map((value) => serviceAccountRef(value, context)),
      notServiceAccounts: source.notServiceAccounts.map((v) => serviceAccountRef(v, context)),
      namespaces: source.namespaces.map(parseStringPattern),
      notNamespaces: source.notNamespaces.map(parseStringPattern),
      trustDomains: source.trustDomains.map(parseStringPattern),
      notTrustDomains: source.notTrustDomains.map(parseStringPattern),
      sourceIps: cidrs(source.ipBlocks, 'ipBlocks'),
      notSourceIps: cidrs(source.notIpBlocks, 'notIpBlocks'),
    },
    ...(undecidable.length === 0 ? {} : { l7: { ...EMPTY_L7, undecidable } }),
  };
}

function compileOperation(operation: AuthorizationOperation, path: string): Match {
  const ports = (values: readonly string[], field: string): readonly number[] =>
    values.map((value, index) => requirePort(value, `${path}.${field}[${index}]`));
  const paths = (values: readonly string[], field: string): readonly PathPattern[] =>
    values.flatMap((value, index) => requirePath(value, `${path}.${field}[${index}]`));
  const l7: L7Match = {
    ...EMPTY_L7,
    hosts: operation.hosts.map(hostPattern),
    notHosts: operation.notHosts.map(hostPattern),
    methods: operation.methods.map(parseStringPattern),
    notMethods: operation.notMethods.map(parseStringPattern),
    paths: paths(operation.paths, 'paths'),
    notPaths: paths(operation.notPaths, 'notPaths'),
  };
  const match: Match = {
    l4: {
      ...EMPTY_L4,
      destinationPorts: ports(operation.ports, 'ports'),
      notDestinationPorts: ports(operation.notPorts, 'notPorts'),
    },
    l7,
  };
  return hasL7(match) ? match : { l4: match.l4 };
}
