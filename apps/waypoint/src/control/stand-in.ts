/**
 * What is in force in place of a policy that this waypoint cannot read: a refusal of everybody in its scope, because what it says
 * could be a refusal. Other objects that it cannot read open nothing, and have no stand-in.
 *
 * Where the scope is not known it is all that the waypoint serves. The policy's namespace would be less: what targets the Gateway, or a
 * service with a route to another namespace, decides for workloads of other namespaces.
 */
import { isDeepStrictEqual } from 'node:util';
import {
  type AuthorizationPolicy,
  type MeshObject,
  parseObject,
  STAND_IN,
  UNREAD,
} from '@ambit/api';
import { SEMANTICS_VERSION } from '@ambit/model';
import type { ObjectResource } from '@ambit/xds';

const POLICY = /^AuthorizationPolicy\/([^/]+)\/([^/]+)$/;

/** What a policy that is only tried out carries. */
const DRY_RUN = 'istio.io/dry-run';

/** For content that cannot be read: its name tells the policy, and nothing tells where it holds. */
export function standInForUnreadable(key: string, className: string): ObjectResource | undefined {
  const [, namespace, name] = POLICY.exec(key) ?? [];
  const object =
    namespace === undefined || name === undefined
      ? undefined
      : everywhere(refusal({ namespace, name }, {}), className);
  return object && { key, semanticsVersion: SEMANTICS_VERSION, object };
}

/**
 * For content in a later version of the semantics. Undefined: none is needed, or `held` says the same and was read by
 * rules that this waypoint knows. `className`: of this waypoint.
 */
export function standInForLater(
  object: MeshObject,
  held: MeshObject | undefined,
  className: string,
): MeshObject | undefined {
  if (object.kind !== 'AuthorizationPolicy') {
    return undefined;
  }
  const before = held?.kind === 'AuthorizationPolicy' ? held : undefined;
  if (before !== undefined && isDeepStrictEqual(saidBy(before), saidBy(object))) {
    return undefined;
  }
  // Where it was in force before, nothing may be open now either.
  const hasMoved = before !== undefined && !isDeepStrictEqual(scopeOf(before), scopeOf(object));
  return (
    (hasMoved ? undefined : refusal(object.metadata, scopeOf(object))) ??
    everywhere(refusal(object.metadata, {}), className)
  );
}

/** All that decides what a policy does. */
function saidBy({ metadata, spec }: AuthorizationPolicy): unknown {
  return { spec, dryRun: metadata.annotations[DRY_RUN] ?? 'false' };
}

function scopeOf({ spec: { selector, targetRefs } }: AuthorizationPolicy): object {
  return { selector, targetRefs };
}

/**
 * Every decision of a waypoint asks for what targets its class, and the mark lets this do so from any namespace. Not parsed again: no name
 * of a class may keep it from closing.
 */
function everywhere(
  object: AuthorizationPolicy | undefined,
  className: string,
): AuthorizationPolicy | undefined {
  const targetRefs = [
    { group: 'gateway.networking.k8s.io', kind: 'GatewayClass', name: className },
  ];
  if (object === undefined) return undefined;
  const annotations = { [STAND_IN]: UNREAD };
  return {
    ...object,
    metadata: { ...object.metadata, annotations },
    spec: { ...object.spec, targetRefs },
  };
}

function refusal(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  scope: object,
): AuthorizationPolicy | undefined {
  const { object } = parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace, name },
    spec: { action: 'DENY', rules: [{}], ...scope },
  });
  if (object?.kind !== 'AuthorizationPolicy') return undefined;
  // Only afterwards: no object that is read may say so of itself.
  return { ...object, metadata: { ...object.metadata, annotations: { [STAND_IN]: 'true' } } };
}
