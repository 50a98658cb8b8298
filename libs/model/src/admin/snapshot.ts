/**
 * The whole mesh as JSON: what `/v1/snapshot` answers and what `meshctl why` decides on.
 *
 * Decoding checks the format's number and the identity of every entry; the rest is the controller's own
 * output. Bytes of CIDRs are text in the JSON.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import { formatCidr, objectKey, parseCidr } from '@ambit/api';
import { MeshError } from '@ambit/core';
import type { Cidr, Clause, CompiledPolicy, L4Match, Match } from '@ambit/policy';
import type { Address, Enrolment, MeshOutputs, ObjectStatus, WaypointSpec } from '../types.ts';

export const SNAPSHOT_FORMAT = 1;

/** The settings that the model was built with. */
export interface SnapshotContext {
  readonly network: string;
  readonly trustDomain: string;
  readonly rootNamespace: string;
  readonly clusterDomain: string;
  readonly takenAtMs: number;
}

export interface MeshSnapshot extends SnapshotContext {
  readonly format: number;
  readonly addresses: readonly Address[];
  readonly authorizations: readonly unknown[];
  readonly enrolments: readonly Enrolment[];
  readonly waypoints: readonly WaypointSpec[];
  readonly scopes: Readonly<Record<string, readonly ObjectKey[]>>;
  readonly objects: readonly MeshObject[];
  readonly statuses: readonly ObjectStatus[];
}

export interface DecodedSnapshot {
  readonly context: SnapshotContext;
  readonly outputs: MeshOutputs;
}

export function encodeSnapshot(outputs: MeshOutputs, context: SnapshotContext): MeshSnapshot {
  return {
    format: SNAPSHOT_FORMAT,
    ...context,
    addresses: [...outputs.addresses.values()],
    authorizations: [...outputs.authorizations.values()].map(encodePolicy),
    enrolments: [...outputs.enrolments.values()],
    waypoints: [...outputs.waypoints.values()],
    scopes: Object.fromEntries(
      [...outputs.scopes].map(([waypoint, keys]) => [waypoint, [...keys].sort()]),
    ),
    objects: [...outputs.objects.values()],
    statuses: [...outputs.statuses.values()],
  };
}

/** Throws `MODEL_SNAPSHOT_INVALID` for anything that is not a snapshot of this format. */
export function decodeSnapshot(json: unknown): DecodedSnapshot {
  const snapshot = checkSnapshot(json);
  const { network, trustDomain, rootNamespace, clusterDomain, takenAtMs } = snapshot;
  const policies = snapshot.authorizations.map(decodePolicy);
  return {
    context: { network, trustDomain, rootNamespace, clusterDomain, takenAtMs },
    outputs: {
      addresses: new Map(snapshot.addresses.map((address) => [addressKey(address), address])),
      authorizations: new Map(policies.map((policy) => [named(policy), policy])),
      enrolments: new Map(snapshot.enrolments.map((entry) => [entry.namespace, entry])),
      // Only for agents, and as many as there are pods: not in a snapshot.
      pods: new Map(),
      waypoints: new Map(snapshot.waypoints.map((waypoint) => [named(waypoint), waypoint])),
      scopes: new Map(
        Object.entries(snapshot.scopes).map(([waypoint, keys]) => [waypoint, new Set(keys)]),
      ),
      objects: new Map(snapshot.objects.map((object) => [objectKey(object), object])),
      statuses: new Map(snapshot.statuses.map((status) => [status.key, status])),
    },
  };
}

const LISTS = [
  'addresses',
  'authorizations',
  'enrolments',
  'waypoints',
  'objects',
  'statuses',
] as const;

const TEXTS = ['network', 'trustDomain', 'rootNamespace', 'clusterDomain'] as const;

function checkSnapshot(json: unknown): MeshSnapshot {
  if (!isRecord(json)) throw invalid('it is not an object');
  if (json['format'] !== SNAPSHOT_FORMAT) {
    throw invalid(
      `its format is "${String(json['format'])}", this program reads ${SNAPSHOT_FORMAT}`,
    );
  }
  for (const list of LISTS) {
    const entries = json[list];
    if (!Array.isArray(entries) || !entries.every(isRecord)) {
      throw invalid(`"${list}" is not a list of objects`);
    }
  }
  for (const text of TEXTS) {
    if (typeof json[text] !== 'string') throw invalid(`"${text}" is missing`);
  }
  if (!isRecord(json['scopes']) || typeof json['takenAtMs'] !== 'number') {
    throw invalid('"scopes" or "takenAtMs" is missing');
  }
  // The rest was written by encodeSnapshot of the same format.
  return json as unknown as MeshSnapshot;
}

function addressKey(address: Address): string {
  return address.kind === 'workload'
    ? address.workload.uid
    : `${address.service.namespace}/${address.service.hostname}`;
}

function named(of: { readonly namespace: string; readonly name: string }): string {
  return `${of.namespace}/${of.name}`;
}

const CIDR_LISTS = [
  'sourceIps',
  'notSourceIps',
  'destinationIps',
  'notDestinationIps',
] as const satisfies readonly (keyof L4Match)[];

function encodePolicy(policy: CompiledPolicy): unknown {
  return mapMatches(policy, (l4) => mapCidrs(l4, (cidr: Cidr) => formatCidr(cidr)));
}

function decodePolicy(json: unknown): CompiledPolicy {
  const policy = json as CompiledPolicy;
  if (!Array.isArray(policy.rules)) throw invalid('a policy has no rules');
  return mapMatches(policy, (l4) => mapCidrs(l4, decodeCidr)) as CompiledPolicy;
}

function decodeCidr(text: unknown): Cidr {
  const cidr = typeof text === 'string' ? parseCidr(text) : undefined;
  if (cidr === undefined) throw invalid(`"${String(text)}" is not a CIDR`);
  return cidr;
}

function mapMatches(policy: CompiledPolicy, map: (l4: L4Match) => unknown): unknown {
  return {
    ...policy,
    rules: policy.rules.map((rule) => ({
      ...rule,
      clauses: rule.clauses.map((clause: Clause) => ({
        ...clause,
        matches: clause.matches.map((match: Match) => ({ ...match, l4: map(match.l4) })),
      })),
    })),
  };
}

function mapCidrs<From, To>(l4: L4Match, map: (cidr: From) => To): unknown {
  const mapped = CIDR_LISTS.map((list) => [
    list,
    (l4[list] as unknown as readonly From[]).map((cidr) => map(cidr)),
  ]);
  return { ...l4, ...Object.fromEntries(mapped) };
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(why: string): MeshError {
  return new MeshError('MODEL_SNAPSHOT_INVALID', `not a snapshot of the mesh: ${why}`, {
    side: 'control-plane',
  });
}
