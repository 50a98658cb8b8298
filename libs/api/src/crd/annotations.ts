/**
 * What a CRD says beyond the schema of its kind: list types, limits, rules across fields (CEL), and the
 * places where a dialect writes another type than the official form.
 *
 * Rules repeat those of `rules/` that an API server can decide within its budget; they hold also while the
 * webhook does not answer. Each row must meet a place of its kind, or the files are not made.
 */
import type { CelRule, WireSchema } from '../schema/wire.ts';
import { POLICY_PLACES } from '../unsupported.ts';
import { CrdError } from './emit-schema.ts';

type Change = (emitted: WireSchema) => WireSchema;

const rules =
  (...more: readonly CelRule[]): Change =>
  (emitted) => ({
    ...emitted,
    'x-kubernetes-validations': [...(emitted['x-kubernetes-validations'] ?? []), ...more],
  });
const add =
  (more: WireSchema): Change =>
  (emitted) => ({ ...emitted, ...more });
const mapBy = (...keys: readonly string[]): Change =>
  add({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': keys });
const SET: Change = add({ 'x-kubernetes-list-type': 'set' });

/** What a dialect writes here, which is rewritten when the object is read. */
const orWritten =
  (...values: readonly string[]): Change =>
  (emitted) => ({ ...emitted, enum: [...(emitted.enum ?? []), ...values] });
/** A dialect writes another type here, which is rewritten when the object is read. */
const ANY_TYPE: Change = () => ({ 'x-kubernetes-preserve-unknown-fields': true });

/** CEL: the field has a value. A field without one is there and null; `dyn`, since types are never null. */
const has = (field: string): string => `has(self.${field}) && dyn(self.${field}) != null`;
/** CEL: the field is there, with or without a value; this costs least. */
const isThere = (field: string): string => `has(self.${field})`;
/** CEL: the list or map has something in it. */
const isSaid = (field: string): string => `${has(field)} && self.${field}.size() > 0`;
const not = (rule: string): string => `!(${rule})`;
const both = (one: string, other: string): string => `(${one}) && (${other})`;
const either = (one: string, other: string): string => `(${one}) || (${other})`;

const SELECTED_PORTS: CelRule = {
  rule: either(not(has('portLevelMtls')), both(has('selector'), isSaid('selector.matchLabels'))),
  message: 'portLevelMtls needs a selector: ports belong to workloads',
};
const ONE_ATTACHMENT: CelRule = {
  rule: not(both(has('selector'), isSaid('targetRefs'))),
  message: 'targetRefs cannot stand beside selector; remove one of them',
};

const policyPlaces = (fields: Readonly<Record<string, Change>>): Readonly<Record<string, Change>> =>
  Object.fromEntries(
    POLICY_PLACES.flatMap((place) =>
      Object.entries(fields).map(([field, change]) => [`${place}.${field}`, change] as const),
    ),
  );

const TABLE: Readonly<Record<string, Readonly<Record<string, Change>>>> = {
  VirtualService: {
    'spec.http[].corsPolicy.unmatchedPreflights': orWritten('UNSPECIFIED'),
    // What is said twice costs too much to find in a list without bound; the webhook does.
    'spec.http[]': rules({
      rule: ['route', 'redirect', 'directResponse', 'delegate'].map(isThere).join(' || '),
      message: 'one of route, redirect, directResponse, delegate is required',
    }),
  },
  DestinationRule: {
    'spec.subsets': mapBy('name'),
    ...policyPlaces({
      'loadBalancer.simple': orWritten('LEAST_CONN', 'UNSPECIFIED'),
    }),
    'spec.trafficPolicy.loadBalancer': rules({
      rule: not(both(has('simple'), has('consistentHash'))),
      message: 'consistentHash cannot stand beside simple; remove one of them',
    }),
    'spec.trafficPolicy.timeout': ANY_TYPE,
    'spec.subsets[].trafficPolicy.timeout': ANY_TYPE,
  },
  ServiceEntry: {
    spec: rules(
      {
        rule: not(both(has('workloadSelector'), isSaid('endpoints'))),
        message: 'workloadSelector cannot stand beside endpoints; remove one of them',
      },
      {
        rule: either(
          both(has('resolution'), 'self.resolution != "NONE"'),
          not(isSaid('endpoints')),
        ),
        message: 'endpoints cannot stand beside resolution NONE; write resolution: STATIC',
      },
      {
        rule: isSaid('hosts'),
        message: 'hosts is required',
      },
    ),
    'spec.ports': mapBy('number'),
    'spec.addresses': SET,
  },
  AuthorizationPolicy: {
    spec: rules(ONE_ATTACHMENT, {
      rule: either(not(both(has('action'), 'self.action in ["DENY", "CUSTOM"]')), isSaid('rules')),
      message: 'DENY and CUSTOM without rules never match; write rules: [{}] for everything',
    }),
    'spec.rules': add({ maxItems: 512 }),
    'spec.targetRefs': add({ maxItems: 16 }),
  },
  PeerAuthentication: {
    spec: rules(SELECTED_PORTS),
    'spec.portLevelMtls': add({ minProperties: 1 }),
  },
  RequestAuthentication: {
    spec: rules(ONE_ATTACHMENT),
    'spec.targetRefs': add({ maxItems: 16 }),
    'spec.jwtRules[]': rules({
      rule: either(isThere('issuer'), isThere('jwksUri')),
      message: 'issuer or jwksUri is required: whose tokens are taken',
    }),
  },
};

/** The changes for one kind; `assertUsed` fails if a row met no place. */
export function annotationsOf(kind: string): {
  readonly annotate: (path: string, emitted: WireSchema) => WireSchema;
  readonly assertUsed: () => void;
} {
  const changes = Object.hasOwn(TABLE, kind) ? (TABLE[kind] ?? {}) : {};
  const unused = new Set(Object.keys(changes));
  return {
    annotate: (path, emitted) => {
      unused.delete(path);
      return (Object.hasOwn(changes, path) ? changes[path] : undefined)?.(emitted) ?? emitted;
    },
    assertUsed: () => {
      if (unused.size > 0) throw new CrdError(`${kind} has no ${[...unused].join(', ')}`);
    },
  };
}

/** Kinds that the table has rows for. */
export function annotatedKinds(): readonly string[] {
  return Object.keys(TABLE);
}
