/**
 * One object of the cluster as the controller keeps it: accepted, refused with what is in force instead, or of
 * a kind that is not served.
 *
 * Nothing here throws, whatever the cluster says: an object that cannot be read is refused like any other.
 */
import { type Finding, type MeshObject, parseObject } from '@ambit/api';
import type { KubeObject } from '@ambit/kube';

import { saidRevision, underRevisionOf } from '../../source/revision.ts';
import { standInFor } from '../../source/stand-in.ts';
import type { FollowedKind } from './followed-kinds.ts';
import type { SharedValues } from './shared-values.ts';
import { type Json, trimObject } from './trim-object.ts';

export interface RefusedObject {
  readonly kind: 'refused';
  readonly findings: readonly Finding[];
  readonly uid: string;
  /** Of the version that is refused; 0 for kinds without one. */
  readonly generation: number;
  /** The version that was accepted last, or what stands in for a policy that never was. */
  readonly inForce: MeshObject | undefined;
  readonly isStandIn: boolean;
  /** Its label `istio.io/rev`. */
  readonly revision?: string;
}

export type ReadObject =
  | {
      readonly kind: 'accepted';
      readonly object: MeshObject;
      /** Warnings. */
      readonly findings: readonly Finding[];
    }
  | RefusedObject
  | { readonly kind: 'unsupported'; readonly message: string; readonly generation: number };

export interface ReadContext {
  readonly followed: FollowedKind;
  readonly shared: SharedValues;
  /** What is kept of an earlier version of the same incarnation. */
  readonly before: ReadObject | undefined;
  /** What an earlier process had accepted of this incarnation. */
  readonly lastAccepted: () => MeshObject | undefined;
}

/** Of everything that there is nothing to say of. */
export const NO_FINDINGS: readonly Finding[] = [];

export function readObject(object: KubeObject, context: ReadContext): ReadObject {
  const { followed, shared } = context;
  let trimmed: Json = object;
  try {
    trimmed = followed.isServed ? trimObject(object) : withoutSpec(object);
    const parsed = parseObject(trimmed);
    if (parsed.unsupported !== undefined) {
      const { message } = parsed.unsupported.condition;
      return { kind: 'unsupported', message, generation: generationOf(object) };
    }
    if (parsed.object !== undefined) {
      const findings = parsed.findings.length === 0 ? NO_FINDINGS : parsed.findings;
      return { kind: 'accepted', object: shared.share(parsed.object), findings };
    }
    return refused(object, trimmed, parsed.findings, context);
  } catch (error) {
    const message = `cannot be read: ${error instanceof Error ? error.message : String(error)}`;
    const finding: Finding = { code: 'OBJECT_UNREADABLE', severity: 'error', path: '', message };
    return refused(object, trimmed, [finding], context);
  }
}

function withoutSpec({ apiVersion, kind, metadata }: KubeObject): Json {
  const { name, namespace, uid } = metadata;
  return { apiVersion, kind, metadata: { name, namespace, uid } };
}

function refused(
  object: KubeObject,
  trimmed: Json,
  findings: readonly Finding[],
  context: ReadContext,
): ReadObject {
  const uid = object.metadata.uid ?? '';
  const earlier = acceptedBefore(uid, context.before) ?? context.lastAccepted();
  const accepted = earlier && underRevisionOf(object, earlier);
  const inForce = accepted ?? standInFor(trimmed);
  const isStandIn = accepted === undefined && inForce !== undefined;
  const generation = generationOf(object);
  const revision = saidRevision(object);
  return { kind: 'refused', findings, uid, generation, inForce, isStandIn, ...revision };
}

function generationOf({ metadata: { generation } }: KubeObject): number {
  return typeof generation === 'number' ? generation : 0;
}

/** Of another incarnation nothing is taken over: whoever deleted it meant that. */
function acceptedBefore(uid: string, before: ReadObject | undefined): MeshObject | undefined {
  if (before?.kind === 'accepted') {
    return before.object.metadata.uid === uid ? before.object : undefined;
  }
  if (before?.kind !== 'refused' || before.isStandIn || before.uid !== uid) return undefined;
  return before.inForce;
}
