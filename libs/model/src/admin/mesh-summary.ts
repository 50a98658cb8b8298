/**
 * Of all objects only what a status shows: how many, the namespaces in the mesh, and what is refused or not in force.
 *
 * However large the mesh is, its summary is not. What is cut off is counted, and what is wrong comes before what is not, so that
 * nobody takes a mesh for fine because of a bound.
 */
import { splitKey } from '../objects/keys.ts';
import { conditionOf } from './admin-object.ts';
import type { AdminObject, AdminProxy } from './admin-types.ts';
import { type EnrolledNamespace, enrolledNamespaces } from './enrolled-namespaces.ts';

export const SUMMARY_NAMESPACES_MAX = 1000;
/** Of those refused, and of those not in force. */
export const SUMMARY_OBJECTS_MAX = 200;
const MESSAGE_LENGTH_MAX = 1000;

/** One object that is not as it should be. */
export interface TroubledObject {
  readonly key: string;
  /** `invalid`: in force, but for the part that `message` names. */
  readonly state: 'refused' | 'invalid' | 'not-enforced';
  readonly reason: string;
  readonly message: string;
}

/** `/v1/summary`. */
export interface MeshSummary {
  /** How many objects there are, by kind. */
  readonly kinds: Readonly<Record<string, number>>;
  /** By name. */
  readonly namespaces: readonly EnrolledNamespace[];
  /** Refused ones first, then by key. */
  readonly troubled: readonly TroubledObject[];
  /** How many there are beyond those above. `troubledNamespaces` of `namespaces`. */
  readonly more: {
    readonly namespaces: number;
    readonly troubledNamespaces: number;
    readonly troubled: number;
  };
}

/** `entries` by key; `proxies` for what agents have captured; `revision` of this mesh. */
export function meshSummary(
  entries: readonly AdminObject[],
  proxies: readonly AdminProxy[],
  revision?: string,
): MeshSummary {
  const kinds = new Map<string, number>();
  const refused: TroubledObject[] = [];
  const others: TroubledObject[] = [];
  let more = 0;
  for (const entry of entries) {
    const { kind } = splitKey(entry.key);
    kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const troubled = troubleOf(entry);
    if (troubled === undefined) continue;
    const list = troubled.state === 'refused' ? refused : others;
    if (list.length < SUMMARY_OBJECTS_MAX) list.push(troubled);
    else more += 1;
  }
  const namespaces = shownOf(enrolledNamespaces(entries, proxies, revision));
  return {
    kinds: Object.fromEntries([...kinds].sort(([a], [b]) => (a < b ? -1 : 1))),
    namespaces: namespaces.shown,
    troubled: [...refused, ...others],
    more: { ...namespaces.more, troubled: more },
  };
}

function shownOf(all: readonly EnrolledNamespace[]) {
  if (all.length <= SUMMARY_NAMESPACES_MAX) {
    return { shown: all, more: { namespaces: 0, troubledNamespaces: 0 } };
  }
  const troubled = all.filter(isTroubled);
  const first = [...troubled, ...all.filter((one) => !isTroubled(one))];
  const shown = new Set(first.slice(0, SUMMARY_NAMESPACES_MAX));
  return {
    shown: all.filter((one) => shown.has(one)),
    more: {
      namespaces: all.length - shown.size,
      troubledNamespaces: Math.max(0, troubled.length - SUMMARY_NAMESPACES_MAX),
    },
  };
}

function isTroubled({ bypassed, missing, contested }: EnrolledNamespace): boolean {
  return bypassed !== undefined || missing.length > 0 || contested !== undefined;
}

function troubleOf(entry: AdminObject): TroubledObject | undefined {
  const { key } = entry;
  const accepted = conditionOf(entry, 'Accepted');
  if (accepted?.status === 'False') return { key, state: 'refused', ...saidOf(accepted) };
  const invalid = entry.status?.findings.find(({ code }) => code === 'BYPASS_INVALID');
  if (invalid !== undefined) {
    const message = `${invalid.path} ${invalid.message}`;
    return { key, state: 'invalid', ...saidOf({ reason: invalid.code, message }) };
  }
  const enforced = conditionOf(entry, 'Enforced');
  return enforced === undefined || enforced.status === 'True'
    ? undefined
    : { key, state: 'not-enforced', ...saidOf(enforced) };
}

function saidOf({ reason, message }: { readonly reason: string; readonly message: string }) {
  return {
    reason,
    message:
      message.length > MESSAGE_LENGTH_MAX ? `${message.slice(0, MESSAGE_LENGTH_MAX)}…` : message,
  };
}
