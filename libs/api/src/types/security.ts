/**
 * security.istio.io: PeerAuthentication, AuthorizationPolicy, RequestAuthentication.
 *
 * Lists are empty where nothing was written, so that absent and empty read the same; where they
 * differ in meaning (`rules` of an AuthorizationPolicy) the field says so.
 */
import type { LabelSelector, LocalTargetRef, ObjectBase } from './meta.ts';

export type MtlsMode = 'UNSET' | 'DISABLE' | 'PERMISSIVE' | 'STRICT';

export interface PeerAuthentication extends ObjectBase<'PeerAuthentication'> {
  readonly spec: {
    readonly selector?: LabelSelector;
    readonly mtls: { readonly mode: MtlsMode };
    /** Keyed by workload (target) port. */
    readonly portLevelMtls: Readonly<Record<number, { readonly mode: MtlsMode }>>;
  };
}

export interface AuthorizationSource {
  readonly principals: readonly string[];
  readonly notPrincipals: readonly string[];
  readonly serviceAccounts: readonly string[];
  readonly notServiceAccounts: readonly string[];
  readonly namespaces: readonly string[];
  readonly notNamespaces: readonly string[];
  readonly trustDomains: readonly string[];
  readonly notTrustDomains: readonly string[];
  readonly requestPrincipals: readonly string[];
  readonly notRequestPrincipals: readonly string[];
  readonly ipBlocks: readonly string[];
  readonly notIpBlocks: readonly string[];
  readonly remoteIpBlocks: readonly string[];
  readonly notRemoteIpBlocks: readonly string[];
}

export interface AuthorizationOperation {
  readonly hosts: readonly string[];
  readonly notHosts: readonly string[];
  readonly ports: readonly string[];
  readonly notPorts: readonly string[];
  readonly methods: readonly string[];
  readonly notMethods: readonly string[];
  readonly paths: readonly string[];
  readonly notPaths: readonly string[];
}

export interface AuthorizationCondition {
  readonly key: string;
  readonly values: readonly string[];
  readonly notValues: readonly string[];
}

/** An empty rule matches everything. `from` and `to` empty mean "any". */
export interface AuthorizationRule {
  readonly from: readonly { readonly source: AuthorizationSource }[];
  readonly to: readonly { readonly operation: AuthorizationOperation }[];
  readonly when: readonly AuthorizationCondition[];
}

export type AuthorizationAction = 'ALLOW' | 'DENY' | 'AUDIT' | 'CUSTOM';

export interface AuthorizationPolicy extends ObjectBase<'AuthorizationPolicy'> {
  readonly spec: {
    readonly selector?: LabelSelector;
    readonly targetRefs: readonly LocalTargetRef[];
    /** Empty: matches nothing (ALLOW then denies everything in scope). */
    readonly rules: readonly AuthorizationRule[];
    readonly action: AuthorizationAction;
    readonly provider?: { readonly name: string };
  };
}

/** Valid but not supported yet: it fails closed where it would have authenticated (see the model). */
export interface RequestAuthentication extends ObjectBase<'RequestAuthentication'> {
  readonly spec: {
    readonly selector?: LabelSelector;
    readonly targetRefs: readonly LocalTargetRef[];
    readonly jwtRules: readonly Readonly<Record<string, unknown>>[];
  };
}
