/**
 * `Enforced`: whether the proxies that an object concerns have it in force.
 *
 * True only when every one of them has acknowledged the resources that the object became. A proxy that
 * should be there and is not makes it Unknown; one that refuses makes it False, with its own words.
 */
import type { ObjectKey } from '@ambit/api';
import { type Condition, type MeshDelta, type MeshOutputs, NOT_CAPTURED } from '@ambit/model';
import { type StreamView, TYPE_URL, type XdsNode } from '@ambit/xds';

import type { ExpectedProxy } from '../serve/proxy-table.ts';

export type EnforcedReason =
  | 'Enforced'
  | 'Waiting'
  | 'Unreachable'
  | 'Refused'
  | 'NotEnrolled'
  | 'NotCaptured'
  | 'NoProxy';

/** Kinds that proxies have in force. */
const ENFORCED_KINDS: ReadonlySet<string> = new Set([
  'AuthorizationPolicy',
  'PeerAuthentication',
  'RequestAuthentication',
  'VirtualService',
  'DestinationRule',
  'HTTPRoute',
  'TCPRoute',
]);

/** Names that are remembered for one object and type; beyond, the whole type has to be acknowledged. */
const NAMES_MAX = 5_000;
const NAMED_MAX = 5;

type Names = ReadonlySet<string> | 'all';

export interface EnforcementOptions {
  readonly outputs: () => MeshOutputs;
  readonly generation: (key: ObjectKey) => number;
  readonly version: (typeUrl: string, name: string, node: XdsNode) => string | undefined;
  readonly streams: () => readonly StreamView[];
  readonly unreachable: () => readonly ExpectedProxy[];
  readonly waypointOf: (node: XdsNode) => string | undefined;
}

/** One proxy's answer to one object. */
type Answer =
  | { readonly kind: 'in-force' }
  | { readonly kind: 'waiting' }
  | { readonly kind: 'refused'; readonly reason: string };

export class Enforcement {
  readonly #options: EnforcementOptions;
  /** What an object changed and not every proxy has acknowledged yet. */
  readonly #related = new Map<ObjectKey, Map<string, Names>>();

  constructor(options: EnforcementOptions) {
    this.#options = options;
  }

  /** Remembers what a batch changed, for every object of it. */
  note(causes: ReadonlySet<ObjectKey>, delta: MeshDelta): void {
    const byType: readonly (readonly [string, MeshDelta['addresses']])[] = [
      [TYPE_URL.address, delta.addresses],
      [TYPE_URL.authorization, delta.authorizations],
    ];
    for (const key of causes) {
      if (!isEnforced(key)) continue;
      const related = this.#related.get(key) ?? new Map<string, Names>();
      for (const [typeUrl, { changed, removed }] of byType) {
        related.set(typeUrl, unite(related.get(typeUrl), changed, removed));
      }
      this.#related.set(key, related);
    }
  }

  /** Conditions of all objects that proxies may have in force. */
  evaluate(): ReadonlyMap<ObjectKey, Condition> {
    const { outputs, streams, unreachable } = this.#options;
    const { statuses, scopes } = outputs();
    const context: EvaluationContext = {
      streams: streams().flatMap((view) =>
        view.node === undefined ? [] : [{ view, node: view.node }],
      ),
      unreachable: unreachable(),
      scopesOf: invert(scopes),
    };
    const conditions = new Map<ObjectKey, Condition>();
    for (const [key, status] of statuses) {
      if (!isEnforced(key) || (!outputs().objects.has(key) && !isPeer(key))) continue;
      const isAccepted = status.conditions.some(({ type }) => type === 'Accepted');
      // Every proxy may have it, and none of them stands before what it is about.
      const outside = status.conditions.find(({ reason }) => reason === 'NotEnrolled');
      const uncaptured = status.findings.find(({ code }) => code === NOT_CAPTURED);
      if (outside !== undefined) conditions.set(key, this.#not('NotEnrolled', key, outside));
      else if (uncaptured !== undefined) {
        conditions.set(key, this.#not('NotCaptured', key, uncaptured));
      } else if (isAccepted) conditions.set(key, this.#conditionOf(key, context));
    }
    for (const key of this.#related.keys()) {
      if (!statuses.has(key)) this.#related.delete(key);
    }
    return conditions;
  }

  #not(
    reason: EnforcedReason,
    key: ObjectKey,
    { message }: { readonly message: string },
  ): Condition {
    const observedGeneration = this.#options.generation(key);
    return { type: 'Enforced', status: 'False', reason, message, observedGeneration };
  }

  #conditionOf(key: ObjectKey, context: EvaluationContext): Condition {
    const observedGeneration = this.#options.generation(key);
    const say = (
      status: Condition['status'],
      reason: EnforcedReason,
      message: string,
    ): Condition => ({ type: 'Enforced', status, reason, message, observedGeneration });
    const waypoints = context.scopesOf.get(key) ?? [];
    let inForce = 0;
    const waiting: string[] = [];
    const refused: string[] = [];
    const reached = new Set<string>();
    for (const { view, node } of context.streams) {
      const waypoint = this.#options.waypointOf(node);
      if (waypoint !== undefined) reached.add(waypoint);
      const isConcerned =
        node.type !== 'waypoint' || (waypoint !== undefined && waypoints.includes(waypoint));
      const answer = isConcerned ? this.#answerOf(key, view, node) : undefined;
      if (answer === undefined) continue;
      if (answer.kind === 'in-force') inForce += 1;
      else if (answer.kind === 'waiting') waiting.push(node.podName);
      else refused.push(`${node.podName}: ${answer.reason}`);
    }
    if (refused.length > 0) return say('False', 'Refused', shorten(refused, '; '));
    const away = [
      ...waypoints.filter((name) => !reached.has(name)).map((name) => `waypoint ${name}`),
      ...context.unreachable
        .filter(
          ({ kind, name }) =>
            kind === 'node-agent' || (waypoints.includes(name) && reached.has(name)),
        )
        .map(({ kind, name }) => `${kind} ${name}`),
    ];
    const all = inForce + waiting.length + away.length;
    if (away.length > 0) {
      const text = `${away.length} of ${all} proxies cannot be reached: ${shorten(away, ', ')}`;
      return say('Unknown', 'Unreachable', text);
    }
    if (waiting.length > 0) {
      const text = `${waiting.length} of ${all} proxies have not acknowledged: ${shorten(waiting, ', ')}`;
      return say('Unknown', 'Waiting', text);
    }
    if (inForce === 0) return say('Unknown', 'NoProxy', 'no proxy is connected');
    this.#related.delete(key);
    return say(
      'True',
      'Enforced',
      `acknowledged by ${inForce} ${inForce === 1 ? 'proxy' : 'proxies'}`,
    );
  }

  #answerOf(key: ObjectKey, view: StreamView, node: XdsNode): Answer {
    if (hasEverything(view, node)) return { kind: 'in-force' };
    const related = this.#related.get(key) ?? new Map<string, Names>();
    const natural = new Map<string, Names>(related);
    const own = new Set([key.slice(key.indexOf('/') + 1)]);
    natural.set(TYPE_URL.authorization, unite(related.get(TYPE_URL.authorization), own, new Set()));
    natural.set(TYPE_URL.object, new Set([key]));
    let isWaiting = false;
    for (const [typeUrl, names] of natural) {
      const type = view.types.get(typeUrl);
      if (type === undefined) {
        // A proxy that has not asked for what it needs yet.
        isWaiting ||=
          typeUrl === (node.type === 'waypoint' ? TYPE_URL.object : TYPE_URL.address) &&
          names !== 'all';
        continue;
      }
      if (type.isSettled && type.rejected.size === 0) continue;
      if (names === 'all') {
        isWaiting ||= !type.isSettled;
        continue;
      }
      for (const name of names) {
        if (!type.isWildcard && !type.names.has(name)) continue;
        const version = this.#options.version(typeUrl, name, node);
        const rejected = type.rejected.get(name);
        if (rejected !== undefined && rejected.version === version) {
          return { kind: 'refused', reason: rejected.reason };
        }
        isWaiting ||= type.acked.get(name) !== version;
      }
    }
    return { kind: isWaiting ? 'waiting' : 'in-force' };
  }
}

/** Nothing is on its way and nothing was refused: whatever the object is, the proxy has it. */
function hasEverything({ types }: StreamView, node: XdsNode): boolean {
  const needed = node.type === 'waypoint' ? TYPE_URL.object : TYPE_URL.address;
  if (!types.has(needed)) return false;
  for (const type of types.values()) {
    if (type.rejected.size > 0 || (!type.isSettled && type.lastSequence > 0)) return false;
  }
  return types.get(needed)?.isSettled === true;
}

interface EvaluationContext {
  readonly streams: readonly { readonly view: StreamView; readonly node: XdsNode }[];
  readonly unreachable: readonly ExpectedProxy[];
  /** Waypoints in whose scope an object is. */
  readonly scopesOf: ReadonlyMap<ObjectKey, readonly string[]>;
}

function isEnforced(key: ObjectKey): boolean {
  return ENFORCED_KINDS.has(key.slice(0, key.indexOf('/')));
}

/** Not among the objects of waypoints, and in force at agents all the same. */
function isPeer(key: ObjectKey): boolean {
  return key.startsWith('PeerAuthentication/');
}

function unite(
  before: Names | undefined,
  changed: ReadonlySet<string>,
  removed: ReadonlySet<string>,
): Names {
  if (before === 'all') return 'all';
  const names = new Set([...(before ?? []), ...changed, ...removed]);
  return names.size > NAMES_MAX ? 'all' : names;
}

function invert(
  scopes: ReadonlyMap<string, ReadonlySet<ObjectKey>>,
): ReadonlyMap<ObjectKey, readonly string[]> {
  const found = new Map<ObjectKey, string[]>();
  for (const [waypoint, keys] of scopes) {
    for (const key of keys) {
      const list = found.get(key);
      if (list === undefined) found.set(key, [waypoint]);
      else list.push(waypoint);
    }
  }
  return found;
}

function shorten(parts: readonly string[], separator: string): string {
  const shown = parts.slice(0, NAMED_MAX).join(separator);
  return parts.length > NAMED_MAX ? `${shown} and ${parts.length - NAMED_MAX} more` : shown;
}
