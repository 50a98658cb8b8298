/**
 * What is in force in place of a policy that this waypoint cannot read: a refusal of everybody in its scope, because what it says
 * could be a refusal. Other objects that it cannot read open nothing, and have no stand-in.
 */
import { isDeepStrictEqual } from 'node:util';
import { type MeshObject, parseObject } from '@ambit/api';
import { SEMANTICS_VERSION, STAND_IN } from '@ambit/model';
import type { ObjectResource } from '@ambit/xds';

const POLICY = /^AuthorizationPolicy\/([^/]+)\/([^/]+)$/;

/** For content that cannot be read: its name tells the namespace, and nothing tells more. */
export function standInForUnreadable(key: string): ObjectResource | undefined {
  const [, namespace, name] = POLICY.exec(key) ?? [];
  const object =
    namespace === undefined || name === undefined ? undefined : refusal({ namespace, name }, {});
  return object && { key, semanticsVersion: SEMANTICS_VERSION, object };
}

/**
 * For content in a later version of the semantics. Undefined: none is needed, or `held` says the same and was read by
 * rules that this waypoint knows.
 */
export function standInForLater(
  object: MeshObject,
  held: MeshObject | undefined,
): MeshObject | undefined {
  if (object.kind !== 'AuthorizationPolicy') {
    return undefined;
  }
  const { metadata, spec } = object;
  const before = held?.kind === 'AuthorizationPolicy' ? held.spec : undefined;
  if (isDeepStrictEqual(before, spec)) {
    return undefined;
  }
  const { selector, targetRefs } = spec;
  const scope = { selector, targetRefs };
  const hasMoved =
    before !== undefined &&
    !isDeepStrictEqual({ selector: before.selector, targetRefs: before.targetRefs }, scope);
  // Where it was in force before, nothing may be open now either.
  return (hasMoved ? undefined : refusal(metadata, scope)) ?? refusal(metadata, {});
}

function refusal(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  scope: object,
): MeshObject | undefined {
  return parseObject({
    apiVersion: 'security.istio.io/v1',
    kind: 'AuthorizationPolicy',
    metadata: { namespace, name, annotations: { [STAND_IN]: 'true' } },
    spec: { action: 'DENY', rules: [{}], ...scope },
  }).object;
}
