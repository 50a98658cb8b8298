/**
 * `status` of Gateway API's kinds. Others write into the same lists: their entries stay, ours are replaced, and nothing is there
 * twice.
 */
import type { Status, WantedCondition } from '@ambit/kube';
import {
  GATEWAY_CONTROLLER,
  type GatewayApiStanza,
  mergeParents,
  type ParentEntry,
  type ParentRefFacts,
  type TimedCondition,
} from '@ambit/model';

import { mergedConditions } from './own-conditions.ts';

const GATEWAY_GROUP = 'gateway.networking.k8s.io';
const ISTIO_GROUP = 'networking.istio.io';
const CLASSES: ReadonlySet<unknown> = new Set(['istio-waypoint', 'ambit-waypoint']);
/** Of versions and kinds that the model has nothing of. */
const UNREAD_REASONS: ReadonlySet<string> = new Set(['Invalid', 'UnsupportedKind']);
/** What the API takes in one entry. */
const ENTRY_CONDITIONS_MAX = 8;

export interface GatewayStatusInput {
  readonly current: Status;
  readonly stanza: GatewayApiStanza | undefined;
  /** The conditions of the object as a whole, explained. */
  readonly wanted: readonly WantedCondition[];
  /** As it is stored. */
  readonly spec: unknown;
  readonly wallNowMs: number;
}

/** Undefined for what is not ours to say. */
export function gatewayApiStatusOf(input: GatewayStatusInput): Status | undefined {
  const { stanza, wanted } = input;
  const refused = wanted.find(
    ({ type, reason }) => type === 'Accepted' && UNREAD_REASONS.has(reason),
  );
  if (refused !== undefined) return refusedStatus(input, refused);
  switch (stanza?.kind) {
    case 'parents':
      return parentsStatus(
        input,
        stanza.parents.map((entry) => withOthers(entry, wanted)),
      );
    case 'gateway':
      return gatewayStatus(input, stanza);
    case 'class': {
      const { conditions, supportedFeatures } = stanza.gatewayClass;
      return { ...conditionsStatus(input, conditions), supportedFeatures };
    }
    case 'ancestors':
      return ancestorsStatus(
        input,
        stanza.ancestors.map(({ ancestorRef, ...rest }) => ({ ...rest, parentRef: ancestorRef })),
      );
    case undefined:
      return undefined;
  }
}

function conditionsStatus(
  { current, wallNowMs }: GatewayStatusInput,
  conditions: readonly WantedCondition[],
): Status {
  const merged = mergedConditions(current['conditions'], conditions, { wallNowMs, ownTypes: [] });
  return { ...current, conditions: merged ?? [] };
}

function gatewayStatus(
  input: GatewayStatusInput,
  { gateway }: GatewayApiStanza & { readonly kind: 'gateway' },
): Status {
  const { current, wallNowMs } = input;
  const before = new Map(
    listOf(current['listeners']).map((listener) => [listener['name'], listener['conditions']]),
  );
  const listeners = gateway.listeners.map((listener) => ({
    ...listener,
    conditions:
      mergedConditions(before.get(listener.name), listener.conditions, {
        wallNowMs,
        ownTypes: [],
      }) ?? [],
  }));
  const { addresses } = gateway;
  return { ...conditionsStatus(input, gateway.conditions), addresses, listeners };
}

/** What a route is accepted for is said per parent; whether it is in force is said at each of them too. */
function withOthers(
  entry: ParentEntry<WantedCondition>,
  wanted: readonly WantedCondition[],
): ParentEntry<WantedCondition> {
  const own = new Set(entry.conditions.map(({ type }) => type));
  const accepted = wanted.find(({ type }) => type === 'Accepted');
  const explained = entry.conditions.map((condition) =>
    // A field that is set aside, or a warning.
    condition.type === 'Accepted' && condition.status === 'True' && accepted?.status === 'True'
      ? { ...condition, message: accepted.message }
      : condition,
  );
  const others = wanted.filter(({ type }) => !own.has(type));
  return { ...entry, conditions: [...explained, ...others].slice(0, ENTRY_CONDITIONS_MAX) };
}

function parentsStatus(
  { current, wallNowMs }: GatewayStatusInput,
  entries: readonly ParentEntry<WantedCondition>[],
): Status | undefined {
  const before = listOf(current['parents']) as unknown as readonly ParentEntry<TimedCondition>[];
  if (before.length === 0 && entries.length === 0) return undefined;
  return { ...current, parents: merge(before, entries, wallNowMs) };
}

function ancestorsStatus(
  { current, wallNowMs }: GatewayStatusInput,
  entries: readonly ParentEntry<WantedCondition>[],
): Status | undefined {
  const before = listOf(current['ancestors']).map(({ ancestorRef, ...rest }) => ({
    ...rest,
    parentRef: ancestorRef,
  })) as unknown as readonly ParentEntry<TimedCondition>[];
  if (before.length === 0 && entries.length === 0) return undefined;
  const ancestors = merge(before, entries, wallNowMs).map(({ parentRef, ...rest }) => ({
    ancestorRef: parentRef,
    ...rest,
  }));
  return { ...current, ancestors };
}

function merge(
  before: readonly ParentEntry<TimedCondition>[],
  entries: readonly ParentEntry<WantedCondition>[],
  wallNowMs: number,
): readonly ParentEntry<TimedCondition>[] {
  const now = new Date(wallNowMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const next = entries.map((entry) => ({
    ...entry,
    conditions: entry.conditions.map((condition) => ({ observedGeneration: 0, ...condition })),
  }));
  return mergeParents(next, before, { controllerName: GATEWAY_CONTROLLER, now });
}

/** What a refused version names is only in the object itself; so it is with kinds that are not served. */
function refusedStatus(input: GatewayStatusInput, refused: WantedCondition): Status | undefined {
  const spec = (input.spec ?? {}) as Readonly<Record<string, unknown>>;
  const { parentRefs, targetRefs, gatewayClassName } = spec;
  if (gatewayClassName !== undefined) {
    return CLASSES.has(gatewayClassName)
      ? conditionsStatus(input, [refused, notProgrammed(refused)])
      : undefined;
  }
  const entriesOf = (refs: unknown, fallback: Readonly<Record<string, string>>, reason: string) =>
    listOf(refs).flatMap((ref): readonly ParentEntry<WantedCondition>[] => {
      const parentRef = { ...fallback, ...ref } as unknown as ParentRefFacts;
      const conditions = [{ ...refused, reason }];
      return isOfMesh(parentRef)
        ? [{ parentRef, controllerName: GATEWAY_CONTROLLER, conditions }]
        : [];
    });
  if (targetRefs !== undefined) {
    return ancestorsStatus(input, entriesOf(targetRefs, {}, 'Invalid'));
  }
  const fallback = { group: GATEWAY_GROUP, kind: 'Gateway' };
  return parentsStatus(input, entriesOf(parentRefs, fallback, 'UnsupportedValue'));
}

/** Addresses and listeners stay those of the version that is in force, and say so by their generation. */
function notProgrammed({ observedGeneration }: WantedCondition): WantedCondition {
  return {
    type: 'Programmed',
    status: 'False',
    reason: 'Invalid',
    message: 'this version is not accepted',
    ...(observedGeneration !== undefined && { observedGeneration }),
  };
}

/** What hangs on a Gateway is the affair of its controller. */
function isOfMesh({ group, kind, name }: Partial<ParentRefFacts>): boolean {
  return (
    typeof name === 'string' &&
    ((kind === 'Service' && (group === '' || group === 'core')) ||
      (kind === 'ServiceEntry' && group === ISTIO_GROUP))
  );
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value)
    ? value.filter((item) => typeof item === 'object' && item !== null)
    : [];
}
