/**
 * AuthorizationPolicies in the form that is decided, and which of them concern a workload.
 *
 * A policy that needs the request cannot be decided by an agent. It is never handed to agents in a
 * weaker form: the workloads that it concerns are guarded, and their waypoint decides.
 */
import type { AuthorizationPolicy, ObjectKey, PeerAuthentication } from '@ambit/api';
import {
  type CompiledPolicy,
  compileAuthorizationPolicy,
  compilePeerAuthentication,
  convertPeerAuthentication,
  PolicyError,
} from '@ambit/policy';

import { byAge, keyOf, labelBuckets, type ModelOptions, selects } from '../objects/keys.ts';
import { BY_NAMESPACE_SCOPE, BY_SELECTOR, type Sources } from '../objects/sources.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';

export interface PolicyInfo {
  readonly key: ObjectKey;
  /** `namespace/name` */
  readonly name: string;
  readonly compiled: CompiledPolicy;
  readonly needsL7: boolean;
  /** Refuses by itself: not AUDIT and not a dry run. */
  readonly isEnforcing: boolean;
  readonly isTargeted: boolean;
  /** Paths of fields that nobody can decide yet; they can only refuse more. */
  readonly undecidable: readonly string[];
  /** Why the policy could not be compiled; it then refuses everything in its scope. */
  readonly error?: string;
}

/** Policies of one workload, by how they reach it. */
export interface Attachment {
  /** Names of selector policies for its agent, PeerAuthentication last. */
  readonly names: readonly string[];
  /** Policies that need the request and refuse: every port of the workload is guarded. */
  readonly hard: readonly ObjectKey[];
  /** Policies that need the request but only take notes (AUDIT, dry run). */
  readonly soft: readonly ObjectKey[];
  /** All policies whose selector meets the workload. */
  readonly selectedBy: readonly ObjectKey[];
  /** Its agent has policies to decide, of any scope. */
  readonly hasAgentPolicies: boolean;
  /** Among them an ALLOW in force: whoever is not named by one is refused. */
  readonly hasAllow: boolean;
}

export function policyInfo(policy: AuthorizationPolicy, options: ModelOptions): PolicyInfo {
  const { metadata } = policy;
  const common = {
    key: keyOf(policy),
    name: `${metadata.namespace}/${metadata.name}`,
    isTargeted: policy.spec.targetRefs.length > 0,
  };
  try {
    const { compiled, needsL7, undecidable } = compileAuthorizationPolicy(policy, options);
    const isEnforcing = compiled.action !== 'AUDIT' && !compiled.dryRun;
    return { ...common, compiled, needsL7, isEnforcing, undecidable };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    const compiled = refuseAll(policy, options);
    const message = error.message;
    return {
      ...common,
      compiled,
      needsL7: false,
      isEnforcing: true,
      undecidable: [],
      error: message,
    };
  }
}

/** What stands in for a policy that cannot be compiled. */
function refuseAll({ metadata, spec }: AuthorizationPolicy, options: ModelOptions): CompiledPolicy {
  const isWide = metadata.namespace === options.rootNamespace ? 'GLOBAL' : 'NAMESPACE';
  const isNarrow = spec.selector !== undefined || spec.targetRefs.length > 0;
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    scope: isNarrow ? 'WORKLOAD_SELECTOR' : isWide,
    action: 'DENY',
    dryRun: false,
    rules: [{ clauses: [] }],
  };
}

/** What agents hold of a policy; nothing where only a waypoint can decide. */
export function agentPolicy(info: PolicyInfo): CompiledPolicy | undefined {
  return info.isTargeted || info.needsL7 ? undefined : info.compiled;
}

export interface AttachmentContext {
  readonly sources: Sources;
  readonly policy: (key: ObjectKey) => PolicyInfo | undefined;
  readonly options: ModelOptions;
}

export function attachPolicies(workload: WorkloadSpec, context: AttachmentContext): Attachment {
  const { sources, options } = context;
  const infos = authorizationPoliciesOf(workload, context);
  const inAgent = infos.filter(({ info }) => agentPolicy(info) !== undefined);
  const l7 = infos.filter(({ info }) => info.needsL7);
  const keys = (wanted: boolean): readonly ObjectKey[] =>
    l7.filter(({ info }) => info.isEnforcing === wanted).map(({ info }) => info.key);
  const peers = compilePeerAuthentication(peersOf(workload, sources, options), workload, options);
  const names = inAgent
    .filter(({ info }) => info.compiled.scope === 'WORKLOAD_SELECTOR')
    .map(({ info }) => info.name);
  return {
    names: [
      ...names,
      ...peers.authorizations.map((policy) => `${policy.namespace}/${policy.name}`),
    ],
    hard: keys(true),
    soft: keys(false),
    selectedBy: infos.filter(({ isSelected }) => isSelected).map(({ info }) => info.key),
    hasAgentPolicies: inAgent.length > 0,
    hasAllow: inAgent.some(({ info }) => info.isEnforcing && info.compiled.action === 'ALLOW'),
  };
}

interface Attached {
  readonly info: PolicyInfo;
  readonly isSelected: boolean;
}

/** Selector, then namespace, then mesh; each in order of name. */
function authorizationPoliciesOf(
  workload: WorkloadSpec,
  { sources, policy, options }: AttachmentContext,
): readonly Attached[] {
  const { namespace } = workload;
  const scopes = new Set([namespace, options.rootNamespace]);
  // A selector in the root namespace reaches workloads of every namespace.
  const selected = [...scopes]
    .flatMap((scope) => labelBuckets(scope, workload.labels))
    .flatMap((bucket) => sources.policies.lookup(BY_SELECTOR, bucket))
    .filter((object) => selects(object.spec.selector?.matchLabels ?? {}, workload.labels))
    .map(keyOf)
    .sort();
  const wide = [...scopes].flatMap((scope) => sources.policies.lookup(BY_NAMESPACE_SCOPE, scope));
  const attach = (key: ObjectKey, isSelected: boolean): readonly Attached[] => {
    const info = policy(key);
    return info === undefined ? [] : [{ info, isSelected }];
  };
  return [
    ...selected.flatMap((key) => attach(key, true)),
    ...wide.flatMap((object) => attach(keyOf(object), false)),
  ];
}

function peersOf(
  workload: WorkloadSpec,
  sources: Sources,
  options: ModelOptions,
): readonly PeerAuthentication[] {
  const scopes = new Set([workload.namespace, options.rootNamespace]);
  const selecting = labelBuckets(workload.namespace, workload.labels).flatMap((bucket) =>
    sources.peers.lookup(BY_SELECTOR, bucket),
  );
  const general = [...scopes].flatMap((scope) => sources.peers.lookup(BY_NAMESPACE_SCOPE, scope));
  return [...selecting, ...general].sort(byAge);
}

/**
 * What one PeerAuthentication turns into for agents: a policy if it has port exceptions, nothing
 * otherwise. The one that means STRICT for every port is made separately, once.
 */
export function convertedPeer(
  peer: PeerAuthentication,
  sources: Sources,
  options: ModelOptions,
): CompiledPolicy | undefined {
  const { namespace } = peer.metadata;
  if (peer.spec.selector === undefined || namespace === options.rootNamespace) return undefined;
  const general = [namespace, options.rootNamespace]
    .flatMap((scope) => sources.peers.lookup(BY_NAMESPACE_SCOPE, scope))
    .filter((other) => keyOf(other) !== keyOf(peer));
  const target = { namespace, labels: peer.spec.selector.matchLabels };
  const { mode } = compilePeerAuthentication([peer, ...general], target, options);
  return convertPeerAuthentication(peer, mode);
}
