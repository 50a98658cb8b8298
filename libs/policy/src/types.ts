/**
 * The one form in which authorisation is decided, at the agent, at the waypoint and in `meshctl`.
 *
 * Nesting as on the wire (`istio.security.Authorization`): a policy is OR of rules, a rule is AND of
 * clauses, a clause is OR of matches, a match is AND over attribute kinds; within a kind the positive
 * list is OR and the `not` list must have no hit. A match with every list empty is skipped, a clause
 * made only of such matches is false, a rule without clauses is true, a policy without rules is false.
 */

/** `presence`: not empty. Principals never carry `spiffe://`. */
export type StringPattern =
  | { readonly kind: 'exact'; readonly value: string }
  | { readonly kind: 'prefix'; readonly value: string }
  | { readonly kind: 'suffix'; readonly value: string }
  | { readonly kind: 'presence' };

/** Path templates: `{*}` is one segment, `{**}` any suffix. */
export type PathPattern = StringPattern | { readonly kind: 'template'; readonly value: string };

/** 4 or 16 bytes and a prefix length. */
export interface Cidr {
  readonly address: Uint8Array;
  readonly length: number;
}

export interface ServiceAccountRef {
  readonly namespace: string;
  readonly name: string;
}

export interface HeaderMatch {
  /** Lower case. */
  readonly name: string;
  readonly values: readonly StringPattern[];
}

/** Kinds that an agent can decide. */
export interface L4Match {
  readonly namespaces: readonly StringPattern[];
  readonly notNamespaces: readonly StringPattern[];
  readonly principals: readonly StringPattern[];
  readonly notPrincipals: readonly StringPattern[];
  readonly serviceAccounts: readonly ServiceAccountRef[];
  readonly notServiceAccounts: readonly ServiceAccountRef[];
  readonly trustDomains: readonly StringPattern[];
  readonly notTrustDomains: readonly StringPattern[];
  readonly sourceIps: readonly Cidr[];
  readonly notSourceIps: readonly Cidr[];
  readonly destinationIps: readonly Cidr[];
  readonly notDestinationIps: readonly Cidr[];
  readonly destinationPorts: readonly number[];
  readonly notDestinationPorts: readonly number[];
}

/** Kinds that need the request. */
export interface L7Match {
  readonly hosts: readonly StringPattern[];
  readonly notHosts: readonly StringPattern[];
  readonly methods: readonly StringPattern[];
  readonly notMethods: readonly StringPattern[];
  readonly paths: readonly PathPattern[];
  readonly notPaths: readonly PathPattern[];
  readonly headers: readonly HeaderMatch[];
  readonly notHeaders: readonly HeaderMatch[];
  /**
   * Names of attributes that are valid but that this version cannot decide (`request.auth.claims[x]`,
   * `requestPrincipals`, `remoteIpBlocks`). They never match in ALLOW and always match in DENY.
   */
  readonly undecidable: readonly string[];
}

/** `l7` absent: a pure L4 match. */
export interface Match {
  readonly l4: L4Match;
  readonly l7?: L7Match;
}

export interface Clause {
  readonly matches: readonly Match[];
  /** Where it was written, for people: `from`, `to`, `when[0]`. Empty when it came from a foreign controller. */
  readonly origin: string;
}

export interface Rule {
  readonly clauses: readonly Clause[];
}

export type PolicyAction = 'ALLOW' | 'DENY' | 'AUDIT';
export type PolicyScope = 'GLOBAL' | 'NAMESPACE' | 'WORKLOAD_SELECTOR';

export interface CompiledPolicy {
  readonly name: string;
  readonly namespace: string;
  readonly scope: PolicyScope;
  readonly action: PolicyAction;
  readonly dryRun: boolean;
  readonly rules: readonly Rule[];
  /**
   * Stands in for a policy whose content could not be read: wherever it applies it counts as missing,
   * so everything is refused there. Never on the wire.
   */
  readonly isUnreadable?: boolean;
}

/** What is known of a connection. Addresses are canonical text and bytes (v4-mapped v6 is v4). */
export interface ConnectionAttributes {
  readonly sourceIp: Uint8Array;
  /** Undefined: of an endpoint that is known by its name alone. It is read against the caller: in DENY as forbidden, in ALLOW as not named. */
  readonly destinationIp: Uint8Array | undefined;
  /** The final (target) port, never 15008. */
  readonly destinationPort: number;
  /** The port that the caller asked for, where it may be another than the final one: that of a service. */
  readonly askedPort?: number;
  /** SPIFFE id of the verified peer; absent for plaintext. */
  readonly source?: {
    readonly trustDomain: string;
    readonly namespace: string;
    readonly serviceAccount: string;
  };
}

export interface RequestAttributes {
  /** As sent, with port if sent. Compared without case; see host-spellings.ts. */
  readonly host: string;
  readonly method: string;
  /** After normalisation, without query. */
  readonly path: string;
  /** Lower-case names; several values joined by `,`. One character for each byte. */
  readonly header: (name: string) => string | undefined;
  /** The values of a field that was sent more than once, each alone. Undefined: it was not, or nobody knows. */
  readonly repeatedHeader?: (name: string) => readonly string[] | undefined;
}

/** `request` absent: a TCP point. There, HTTP-only kinds make ALLOW not match and are ignored in DENY and AUDIT. */
export interface PolicyInput {
  readonly connection: ConnectionAttributes;
  readonly request?: RequestAttributes;
}

export interface RuleRef {
  readonly policy: string;
  /** Index in the policy's rules; -1: the policy as a whole (no rule matched). */
  readonly rule: number;
  /** Origins of the clauses that matched, e.g. `from, to`. */
  readonly clause: string;
}

export interface Verdict {
  readonly allowed: boolean;
  /**
   * `no-policy`: no ALLOW policy in scope · `allow`: one matched · `deny`: a DENY matched ·
   * `no-match`: ALLOW policies exist and none matched · `policy-missing`: a named policy is not here yet.
   */
  readonly reason: 'no-policy' | 'allow' | 'deny' | 'no-match' | 'policy-missing';
  /** The rule that decided; for `no-match` the ALLOW policies that were tried are in `tried`. */
  readonly by?: RuleRef;
  readonly tried: readonly string[];
  /** AUDIT rules that matched, and dry-run rules that would have decided. */
  readonly audited: readonly RuleRef[];
  readonly dryRun: readonly (RuleRef & { readonly wouldBe: 'allow' | 'deny' })[];
}
