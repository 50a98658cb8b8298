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
  const refused = wanted.find(({ type, reason }) => type === 'Accepted' && reason === 'Invalid');
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
      return ancestorsStatus(input, stanza);
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
  { ancestors }: GatewayApiStanza & { readonly kind: 'ancestors' },
): Status {
  const before = listOf(current['ancestors']).map(({ ancestorRef, ...rest }) => ({
    ...rest,
    parentRef: ancestorRef,
  })) as unknown as readonly ParentEntry<TimedCondition>[];
  const entries = ancestors.map(({ ancestorRef, ...rest }) => ({
    ...rest,
    parentRef: ancestorRef,
  }));
  const merged = merge(before, entries, wallNowMs).map(({ parentRef, ...rest }) => ({
    ancestorRef: parentRef,
    ...rest,
  }));
  return { ...current, ancestors: merged };
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

/** The parents of a refused version are only in the object itself. */
function refusedStatus(input: GatewayStatusInput, refused: WantedCondition): Status | undefined {
  const { spec } = input;
  const parentRefs = listOf((spec as { readonly parentRefs?: unknown } | undefined)?.parentRefs);
  const condition = { ...refused, reason: 'UnsupportedValue' };
  if (input.stanza?.kind === 'gateway') return conditionsStatus(input, [condition]);
  const entries = parentRefs.flatMap((ref): readonly ParentEntry<WantedCondition>[] => {
    const { kind = 'Gateway', group = GATEWAY_GROUP, name } = ref;
    const isOfMesh =
      (kind === 'Service' && (group === '' || group === 'core')) ||
      (kind === 'ServiceEntry' && group === ISTIO_GROUP);
    if (!isOfMesh || typeof name !== 'string') return [];
    const parentRef = { ...ref, kind, group, name } as ParentRefFacts;
    return [{ parentRef, controllerName: GATEWAY_CONTROLLER, conditions: [condition] }];
  });
  return parentsStatus(input, entries);
}

function listOf(value: unknown): readonly Readonly<Record<string, unknown>>[] {
  return Array.isArray(value)
    ? value.filter((item) => typeof item === 'object' && item !== null)
    : [];
}
