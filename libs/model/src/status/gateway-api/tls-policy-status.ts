/** Status of BackendTLSPolicy: one ancestor for each Service that it is about. */
import type { Condition } from '../../types.ts';
import {
  type GatewayApiWorld,
  gatewayCondition,
  isService,
  type ObjectFacts,
  type ParentRefFacts,
} from './world.ts';

/** What the API takes. */
const ANCESTORS_MAX = 16;

export interface TlsPolicyFacts extends ObjectFacts {
  readonly targetRefs: readonly {
    readonly group: string;
    readonly kind: string;
    readonly name: string;
    /** Name of a port. */
    readonly sectionName?: string;
  }[];
  readonly caCertificateRefs: readonly {
    readonly group: string;
    readonly kind: string;
    readonly name: string;
  }[];
  readonly wellKnownCaCertificates?: string;
}

export interface PolicyAncestorStatus {
  readonly ancestorRef: ParentRefFacts;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

/** `conflictsWith` names an older policy for the same target; undefined if this is the one in force. */
export function tlsPolicyStatus(
  policy: TlsPolicyFacts,
  world: GatewayApiWorld,
  conflictsWith: (target: TlsPolicyFacts['targetRefs'][number]) => string | undefined,
): readonly PolicyAncestorStatus[] {
  const refs = certificatesCondition(policy, world);
  return policy.targetRefs.slice(0, ANCESTORS_MAX).map((target) => ({
    ancestorRef: {
      group: target.group,
      kind: target.kind,
      name: target.name,
      namespace: policy.namespace,
      ...(target.sectionName === undefined ? {} : { sectionName: target.sectionName }),
    },
    controllerName: world.controllerName,
    conditions: [acceptedCondition(policy, target, refs, world, conflictsWith(target)), refs],
  }));
}

function acceptedCondition(
  policy: TlsPolicyFacts,
  target: TlsPolicyFacts['targetRefs'][number],
  refs: Condition,
  world: GatewayApiWorld,
  conflict: string | undefined,
): Condition {
  const say = (isTrue: boolean, reason: string, message: string) =>
    gatewayCondition('Accepted', isTrue, reason, message, policy);
  const { namespace } = policy;
  if (!isService(target)) return say(false, 'Invalid', `${target.kind} is no target of the policy`);
  if (world.service({ namespace, name: target.name }) === undefined) {
    return say(false, 'TargetNotFound', `there is no Service ${namespace}/${target.name}`);
  }
  if (conflict !== undefined) return say(false, 'Conflicted', `${conflict} is older`);
  if (refs.status !== 'True') {
    return say(false, 'NoValidCACertificate', 'connections fail, they are never sent in clear');
  }
  return say(true, 'Accepted', 'in force');
}

function certificatesCondition(policy: TlsPolicyFacts, world: GatewayApiWorld): Condition {
  const say = (isTrue: boolean, reason: string, message: string) =>
    gatewayCondition('ResolvedRefs', isTrue, reason, message, policy);
  const { caCertificateRefs, wellKnownCaCertificates, namespace } = policy;
  if (caCertificateRefs.length === 0) {
    return wellKnownCaCertificates === 'System'
      ? say(true, 'ResolvedRefs', 'the certificates of the system are used')
      : say(false, 'InvalidCACertificateRef', 'it names no certificates of a CA');
  }
  for (const { group, kind, name } of caCertificateRefs) {
    if (kind !== 'ConfigMap' || (group !== '' && group !== 'core')) {
      return say(false, 'InvalidKind', `${kind} ${name} is no ConfigMap`);
    }
    if (!world.configMapHasCa({ namespace, name })) {
      const message = `there is no ConfigMap ${namespace}/${name} with certificates in ca.crt`;
      return say(false, 'InvalidCACertificateRef', message);
    }
  }
  return say(true, 'ResolvedRefs', 'every certificate is there');
}
