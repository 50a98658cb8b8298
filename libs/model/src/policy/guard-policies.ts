/**
 * A guard in the words of `istio.security`, for agents that do not know ours.
 *
 * A DENY refuses whoever is not the waypoint on the guarded ports. Where an ALLOW is in scope too, an
 * ALLOW for the waypoint keeps that one from refusing it. Our own agents read the guard itself; for them
 * both policies say nothing new.
 */
import { type CompiledPolicy, EMPTY_L4, type L4Match } from '@ambit/policy';

import type { Guard } from '../types.ts';

const SPIFFE = 'spiffe://';

export interface GuardPolicyRequest {
  /** Of the workload. */
  readonly namespace: string;
  readonly guard: Guard;
  /** An ALLOW is in scope of the workload at its agent. */
  readonly hasAllow: boolean;
}

/** By `namespace/name`; equal requests give equal names. */
export function guardPolicies(request: GuardPolicyRequest): ReadonlyMap<string, CompiledPolicy> {
  const { guard, hasAllow } = request;
  const policies = new Map<string, CompiledPolicy>();
  const add = (policy: CompiledPolicy): void => {
    policies.set(`${policy.namespace}/${policy.name}`, policy);
  };
  if (guard.exclusive) add(onlyWaypoint(request));
  if (hasAllow && guard.waypointIdentities.length > 0) add(allowWaypoint(request));
  return policies;
}

function onlyWaypoint({ namespace, guard }: GuardPolicyRequest): CompiledPolicy {
  const match: L4Match = {
    ...EMPTY_L4,
    notPrincipals: principalsOf(guard),
    destinationPorts: guard.ports,
  };
  const isEmpty = guard.waypointIdentities.length === 0 && guard.ports.length === 0;
  const clauses = isEmpty ? [] : [{ matches: [{ l4: match }], origin: 'guard' }];
  return policyOf('DENY', `ambit_only_waypoint_${nameSuffix(guard)}`, namespace, clauses);
}

function allowWaypoint({ namespace, guard }: GuardPolicyRequest): CompiledPolicy {
  const match: L4Match = {
    ...EMPTY_L4,
    principals: principalsOf(guard),
    destinationPorts: guard.ports,
  };
  const clauses = [{ matches: [{ l4: match }], origin: 'guard' }];
  return policyOf('ALLOW', `ambit_allow_waypoint_${nameSuffix(guard)}`, namespace, clauses);
}

function policyOf(
  action: CompiledPolicy['action'],
  name: string,
  namespace: string,
  clauses: CompiledPolicy['rules'][number]['clauses'],
): CompiledPolicy {
  return {
    name,
    namespace,
    scope: 'WORKLOAD_SELECTOR',
    action,
    dryRun: false,
    rules: [{ clauses }],
  };
}

function principalsOf({ waypointIdentities }: Guard): L4Match['principals'] {
  return waypointIdentities.map((identity) => ({
    kind: 'exact',
    value: identity.startsWith(SPIFFE) ? identity.slice(SPIFFE.length) : identity,
  }));
}

/** Readable, and different for every set of identities and ports. */
function nameSuffix({ waypointIdentities, ports }: Guard): string {
  const names = waypointIdentities.map((identity) =>
    identity.replace(/^spiffe:\/\/[^/]*\/ns\/([^/]*)\/sa\//, '$1_'),
  );
  return [...(names.length === 0 ? ['nobody'] : names), ...ports].join('_');
}
