/** Statuses of the security objects. */
import type {
  AuthorizationPolicy,
  Finding,
  ObjectKey,
  PeerAuthentication,
  RequestAuthentication,
} from '@ambit/api';
import { BY_KEY, BY_OBJECT, BY_POLICY } from '../derive.ts';
import { keyOf, objectKey } from '../objects/keys.ts';
import { hasSelector, targetBucket } from '../objects/sources.ts';
import type { Condition } from '../types.ts';
import { condition, listKeys, warning } from './conditions.ts';
import {
  acceptedCondition,
  REACHED_BY_NAMESPACE,
  REACHED_BY_POLICY,
  type Reached,
  type StatusContext,
  type StatusParts,
  targetExists,
  waypointConditions,
} from './status-context.ts';
import { uncapturedFindings } from './uncaptured.ts';
import { hiddenCallers, openWays, unjudgedWaypoints, unmadeTargets } from './unjudged.ts';

export function authorizationPolicyStatus(
  policy: AuthorizationPolicy,
  context: StatusContext,
): StatusParts {
  const { derived } = context;
  const key = keyOf(policy);
  const info = derived.policies.get(key);
  const findings: Finding[] = [];
  const conditions: Condition[] = [acceptedPolicy(policy, info?.error, info?.undecidable ?? [])];
  for (const path of info?.undecidable ?? []) {
    findings.push(
      warning('UNSUPPORTED_FIELD', path, 'is valid but not decided yet; it can only refuse more'),
    );
  }
  const outside = outsideOf(policy, context);
  const unmade = unmadeTargets(policy, derived);
  conditions.push(
    unmade.condition ??
      (outside.isAll
        ? notEnrolled(policy, outside.names)
        : attachedCondition(policy, context, info?.needsL7 === true)),
  );
  if (outside.names.length > 0) {
    const message = `nobody decides for ${listKeys(outside.names)}: not in the mesh`;
    const fix = 'enrol the namespace (istio.io/dataplane-mode: ambient)';
    findings.push(warning('NOT_ENROLLED', 'spec', message, fix));
  }
  findings.push(...uncapturedFindings(policy, context.uncaptured, derived.options.rootNamespace));
  findings.push(...unmade.findings, ...hiddenCallers(policy, derived, context.behindForeign));
  findings.push(...unjudgedWaypoints(policy, derived, context.capturedWaypoints));
  if (info?.needsL7 === true || info?.isTargeted === true) {
    conditions.push(...waypointConditions(key, policy.metadata.generation, context));
    findings.push(...openWays(context.standings(key)));
  }
  for (const { target } of missingTargets(policy, context)) {
    findings.push(warning('IST0101', 'spec.targetRefs', `${target} does not exist`));
  }
  if (conditions.some(({ reason }) => reason === 'NoEffect')) {
    findings.push(warning('IST0127', 'spec.selector', 'selects no workload'));
  }
  return { conditions, findings };
}

interface Outside {
  /** Workloads in the policy's scope before which nobody of the mesh stands. */
  readonly names: readonly ObjectKey[];
  /** They are all that it concerns. */
  readonly isAll: boolean;
}

/** By selector, namespace or targets; a policy of the whole mesh is not looked at workload by workload. */
function outsideOf(policy: AuthorizationPolicy, context: StatusContext): Outside {
  const { metadata, spec } = policy;
  const isSelecting = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  const isTargeted = spec.targetRefs.length > 0;
  const isWide = metadata.namespace === context.derived.options.rootNamespace && !isSelecting;
  if (isWide && !isTargeted) return { names: [], isAll: false };
  const { reached } = context;
  const key = objectKey('AuthorizationPolicy', metadata.namespace, metadata.name);
  const all = isTargeted
    ? membersOfTargets(policy, context)
    : isSelecting
      ? reached.lookup(REACHED_BY_POLICY, key)
      : reached.lookup(REACHED_BY_NAMESPACE, metadata.namespace);
  const outside = all.filter(({ isInMesh, isElsewhere }) => !isInMesh && !isElsewhere);
  // What is no Service has callers of the mesh alone, and they meet the policy.
  const isOfServices = spec.targetRefs.every(({ kind }) => kind === 'Service');
  return {
    names: [...new Set(outside.map(({ object }) => object))].sort(),
    isAll: isOfServices && outside.length > 0 && outside.length === all.length,
  };
}

/** Pods of the targeted Services: callers outside of the mesh, and those that dial a pod, reach them without a waypoint. */
function membersOfTargets(
  { metadata, spec }: AuthorizationPolicy,
  { derived, reached }: StatusContext,
): readonly Reached[] {
  return spec.targetRefs
    .filter(({ kind }) => kind === 'Service')
    .flatMap((ref) => derived.services.keysOf(BY_OBJECT, targetBucket(ref, metadata.namespace)))
    .flatMap((key) => derived.memberships.keysOf(BY_KEY, key))
    .flatMap((uid) => reached.get(uid) ?? []);
}

function notEnrolled(
  { metadata, spec }: AuthorizationPolicy,
  names: readonly ObjectKey[],
): Condition {
  const message =
    spec.targetRefs.length === 0
      ? `nobody decides: not in the mesh: ${listKeys(names)}`
      : `nobody decides but for callers in the mesh that go by the Service: not in the mesh: ${listKeys(names)}`;
  return condition('Attached', 'False', 'NotEnrolled', message, metadata.generation);
}

function acceptedPolicy(
  policy: AuthorizationPolicy,
  error: string | undefined,
  undecidable: readonly string[],
): Condition {
  const { generation } = policy.metadata;
  if (error !== undefined) {
    const message = `${error}; until it is fixed, everything in its scope is refused`;
    return condition('Accepted', 'False', 'Invalid', message, generation);
  }
  if (undecidable.length === 0) return acceptedCondition(policy);
  const message = `not decided yet, and refusing rather than allowing: ${listKeys(undecidable)}`;
  return condition('Accepted', 'True', 'UnsupportedField', message, generation);
}

function attachedCondition(
  policy: AuthorizationPolicy,
  context: StatusContext,
  needsL7: boolean,
): Condition {
  const { derived } = context;
  const { generation } = policy.metadata;
  const { spec } = policy;
  if (spec.targetRefs.length > 0) {
    const missing = missingTargets(policy, context);
    const names = listKeys(missing.map(({ target }) => target));
    if (missing.length === spec.targetRefs.length) {
      const meanwhile = `not found: ${names}; callers of what is labelled with it are refused`;
      return missing.some(({ isClosed }) => isClosed)
        ? condition('Attached', 'True', 'AtAgents', meanwhile, generation)
        : condition('Attached', 'False', 'TargetNotFound', `not found: ${names}`, generation);
    }
    return condition(
      'Attached',
      'True',
      'AtWaypoint',
      'decided at the waypoint of its targets',
      generation,
    );
  }
  const isSelecting = Object.keys(spec.selector?.matchLabels ?? {}).length > 0;
  if (isSelecting && !derived.attachments.hasAny(BY_POLICY, keyOf(policy))) {
    return condition(
      'Attached',
      'False',
      'NoEffect',
      'the selector matches no workload',
      generation,
    );
  }
  return needsL7
    ? condition(
        'Attached',
        'True',
        'AtWaypoint',
        'its rules need the request: decided at the waypoint',
        generation,
      )
    : condition(
        'Attached',
        'True',
        'AtAgents',
        'decided by the agents of the workloads in its scope',
        generation,
      );
}

interface MissingTarget {
  readonly target: ObjectKey;
  /** A waypoint that labels name: all callers of what has them are refused because of the policy. */
  readonly isClosed: boolean;
}

/** Nobody wrote a Gateway for a waypoint that is made on demand, and it is there. */
function missingTargets(
  policy: AuthorizationPolicy,
  { derived, standings }: StatusContext,
): readonly MissingTarget[] {
  const { namespace } = policy.metadata;
  return policy.spec.targetRefs
    .filter((ref) => !targetExists(ref, namespace, derived))
    .flatMap((ref) => {
      const waypoint = `${ref.namespace ?? namespace}/${ref.name}`;
      const ways =
        ref.kind === 'Gateway'
          ? standings(keyOf(policy)).filter((way) => way.waypoint === waypoint)
          : [];
      const isKept = ways.length > 0 && !ways.some(({ isOpen }) => isOpen);
      const isMade = isKept && ways.some(({ reason }) => reason === 'Bound');
      return isMade ? [] : [{ target: targetBucket(ref, namespace), isClosed: isKept }];
    });
}

export function peerAuthenticationStatus(
  peer: PeerAuthentication,
  { derived, uncaptured }: StatusContext,
): StatusParts {
  const { options, sources } = derived;
  const { generation, namespace } = peer.metadata;
  const conditions: Condition[] = [acceptedCondition(peer)];
  const findings: Finding[] = [...uncapturedFindings(peer, uncaptured, options.rootNamespace)];
  if (hasSelector(peer) && namespace === options.rootNamespace) {
    const message = 'a selector in the root namespace has no effect';
    conditions.push(condition('Attached', 'False', 'NoEffect', message, generation));
  }
  const older = sources.peers
    .lookup('namespace-scope', namespace)
    .find((other) => other.metadata.creationTimestampMs < peer.metadata.creationTimestampMs);
  if (!hasSelector(peer) && older !== undefined) {
    const message = `${keyOf(older)} is older and decides for this namespace`;
    conditions.push(condition('Attached', 'False', 'Conflicted', message, generation));
  }
  const modes = [peer.spec.mtls, ...Object.values(peer.spec.portLevelMtls)];
  if (modes.some(({ mode }) => mode === 'DISABLE')) {
    findings.push(
      warning(
        'IST0002',
        'spec.mtls.mode',
        'DISABLE is taken as PERMISSIVE: encryption is always on offer',
      ),
    );
  }
  return { conditions, findings };
}

/** Whatever it selects or targets, and whatever waypoint is there: every proxy has it, and none looks at a token. */
export function requestAuthenticationStatus(request: RequestAuthentication): StatusParts {
  const message =
    'tokens are not checked yet: rules on request principals and claims never allow, and always deny';
  const { metadata, spec } = request;
  const path = spec.jwtRules.length === 0 ? 'spec' : 'spec.jwtRules';
  const fix = 'let the workloads check tokens, and write rules on who calls (source.principals)';
  return {
    conditions: [condition('Accepted', 'True', 'UnsupportedField', message, metadata.generation)],
    findings: [warning('TOKENS_UNCHECKED', path, message, fix)],
  };
}
