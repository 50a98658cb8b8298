/**
 * `Enforced`: whether the proxies that an object concerns have it in force.
 *
 * True only when every one of them has acknowledged the resources that the object became, wherever its stream is. A
 * proxy that should be there and is not makes it Unknown, and so does a replica of the controller that cannot be
 * asked or has not seen this version; one that refuses makes it False, with its own words.
 */
import type { ObjectKey } from '@ambit/api';
import { type Condition, type MeshDelta, type MeshOutputs, NOT_CAPTURED } from '@ambit/model';
import { type ReplicaAnswer, type StreamView, TYPE_URL, type XdsNode } from '@ambit/xds';

import type { RemoteReplica } from '../replicas/remote-book.ts';
import type { ExpectedProxy } from '../serve/proxy-table.ts';
import {
  type AskedStream,
  answerOf,
  hasEverything,
  type Names,
  namesOf,
  unite,
} from './stream-answer.ts';
import { addReplica, awayOf, note, some, type Tally } from './tally.ts';

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
  'GRPCRoute',
  'TCPRoute',
]);

export interface EnforcementOptions {
  readonly outputs: () => MeshOutputs;
  readonly generation: (key: ObjectKey) => number;
  /** Tells an object from one that had its name before. Default: nothing does. */
  readonly uid?: (key: ObjectKey) => string;
  readonly version: (typeUrl: string, name: string, node: XdsNode) => string | undefined;
  readonly streams: () => readonly StreamView[];
  readonly unreachable: () => readonly ExpectedProxy[];
  readonly waypointOf: (node: XdsNode) => string | undefined;
  /** Default: there is no other replica. */
  readonly remote?: () => readonly RemoteReplica[];
}

/** What is the same for all objects of one evaluation. */
interface Evaluation {
  /** How many have everything: of agents under '', of waypoints under their names. */
  readonly settled: ReadonlyMap<string, number>;
  readonly unsettled: readonly (AskedStream & { readonly waypoint: string | undefined })[];
  readonly unreachable: readonly ExpectedProxy[];
  readonly remote: readonly RemoteReplica[];
  /** Waypoints that have a stream, anywhere. */
  readonly reached: ReadonlySet<string>;
  /** Waypoints in whose scope an object is. */
  readonly scopesOf: ReadonlyMap<ObjectKey, readonly string[]>;
}

export class Enforcement {
  readonly #options: EnforcementOptions;
  /** What an object changed and not every proxy has acknowledged yet. */
  readonly #related = new Map<ObjectKey, Map<string, Names>>();

  constructor(options: EnforcementOptions) {
    this.#options = options;
  }

  /** Remembers what a batch changed, for every object of it and every object that it says something new of. */
  note(causes: ReadonlySet<ObjectKey>, delta: MeshDelta): void {
    const byType: readonly (readonly [string, MeshDelta['addresses']])[] = [
      [TYPE_URL.address, delta.addresses],
      [TYPE_URL.authorization, delta.authorizations],
    ];
    // A status that changed with the batch may hang on what it changed: a waypoint that became ready is in addresses.
    for (const key of new Set([...causes, ...delta.statuses.changed])) {
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
    const { statuses } = this.#options.outputs();
    const evaluation = this.#begin();
    const conditions = new Map<ObjectKey, Condition>();
    for (const key of this.#keys()) {
      const status = statuses.get(key);
      if (status === undefined) continue;
      const isAccepted = status.conditions.some(({ type }) => type === 'Accepted');
      // Every proxy may have it, and none of them stands before what it is about.
      const outside = status.conditions.find(({ reason }) => reason === 'NotEnrolled');
      const uncaptured = status.findings.find(({ code }) => code === NOT_CAPTURED);
      if (outside !== undefined) {
        conditions.set(key, this.#say(key, 'False', 'NotEnrolled', outside.message));
      } else if (uncaptured !== undefined) {
        conditions.set(key, this.#say(key, 'False', 'NotCaptured', uncaptured.message));
      } else if (isAccepted) {
        const unready = status.conditions.find(({ reason }) => reason === 'WaypointNotReady');
        conditions.set(key, this.#conditionOf(key, evaluation, unready));
      }
    }
    for (const key of this.#related.keys()) {
      if (!statuses.has(key)) this.#related.delete(key);
    }
    return conditions;
  }

  /** What the proxies that have a stream here have, of every object; for other replicas. */
  own(): ReadonlyMap<ObjectKey, ReplicaAnswer> {
    const evaluation = this.#begin();
    const answers = new Map<ObjectKey, ReplicaAnswer>();
    for (const key of this.#keys()) {
      const { inForce: _, ...tally } = this.#tally(key, evaluation);
      const generation = this.#options.generation(key);
      answers.set(key, { key, uid: this.#uid(key), generation, ...tally });
    }
    return answers;
  }

  *#keys(): Iterable<ObjectKey> {
    const { statuses, objects } = this.#options.outputs();
    for (const key of statuses.keys()) {
      if (isEnforced(key) && (objects.has(key) || isPeer(key))) yield key;
    }
  }

  #uid(key: ObjectKey): string {
    return this.#options.uid?.(key) ?? '';
  }

  #begin(): Evaluation {
    const { outputs, streams, unreachable, waypointOf, remote } = this.#options;
    const settled = new Map<string, number>();
    const unsettled: Evaluation['unsettled'][number][] = [];
    const reached = new Set<string>();
    /** When the stream began that a proxy has here. */
    const sinceMs = new Map<string, number>();
    for (const view of streams()) {
      const { node } = view;
      if (node === undefined) continue;
      sinceMs.set(node.id, view.connectedAtMs);
      const waypoint = waypointOf(node);
      if (waypoint !== undefined) reached.add(waypoint);
      // A waypoint that is nobody's is concerned by nothing.
      if (node.type === 'waypoint' && waypoint === undefined) continue;
      const name = node.type === 'waypoint' ? (waypoint ?? '') : '';
      if (!hasEverything({ view, node })) unsettled.push({ view, node, waypoint });
      else settled.set(name, (settled.get(name) ?? 0) + 1);
    }
    const replicas = (remote?.() ?? []).map((replica) => ({
      ...replica,
      proxies: replica.proxies.filter(({ id, connectedAtMs }) => {
        const here = sinceMs.get(id);
        return here === undefined || (replica.isHeard && connectedAtMs > here);
      }),
    }));
    for (const { isHeard, proxies } of replicas) {
      for (const { waypoint } of isHeard ? proxies : []) {
        if (waypoint !== undefined) reached.add(waypoint);
      }
    }
    const scopesOf = invert(outputs().scopes);
    return { settled, unsettled, unreachable: unreachable(), remote: replicas, reached, scopesOf };
  }

  #say(
    key: ObjectKey,
    status: Condition['status'],
    reason: EnforcedReason,
    message: string,
  ): Condition {
    const observedGeneration = this.#options.generation(key);
    return { type: 'Enforced', status, reason, message, observedGeneration };
  }

  /** `unready`: the waypoint has no ready instance, so that what is for it to route goes elsewhere yet. */
  #conditionOf(
    key: ObjectKey,
    evaluation: Evaluation,
    unready: { readonly message: string } | undefined,
  ): Condition {
    const waypoints = evaluation.scopesOf.get(key) ?? [];
    const tally = this.#tally(key, evaluation);
    const version = { key, uid: this.#uid(key), generation: this.#options.generation(key) };
    for (const replica of evaluation.remote) {
      if (replica.isHeard) addReplica(tally, replica, { version, waypoints });
    }
    const { inForce, waiting, waitingNames, refused, refusals } = tally;
    if (refused > 0) return this.#say(key, 'False', 'Refused', some(refusals, refused, '; '));
    const away = awayOf(evaluation, waypoints);
    const all = inForce + waiting + away.length;
    if (away.length > 0) {
      const text = `${away.length} of ${all} proxies cannot be reached: ${some(away, away.length)}`;
      return this.#say(key, 'Unknown', 'Unreachable', text);
    }
    const silent = evaluation.remote.filter(({ isHeard, isServing }) => isServing && !isHeard);
    if (silent.length > 0) {
      const names = silent.map(({ name }) => name);
      const text = `what proxies of other replicas have cannot be asked: ${some(names, names.length)}`;
      return this.#say(key, 'Unknown', 'Unreachable', text);
    }
    if (waiting > 0) {
      const text = `${waiting} of ${all} proxies have not acknowledged: ${some(waitingNames, waiting)}`;
      return this.#say(key, 'Unknown', 'Waiting', text);
    }
    if (inForce === 0) return this.#say(key, 'Unknown', 'NoProxy', 'no proxy is connected');
    if (unready !== undefined && isRouted(key)) {
      return this.#say(key, 'Unknown', 'Waiting', unready.message);
    }
    this.#related.delete(key);
    const text = `acknowledged by ${inForce} ${inForce === 1 ? 'proxy' : 'proxies'}`;
    return this.#say(key, 'True', 'Enforced', text);
  }

  #tally(key: ObjectKey, { settled, unsettled, scopesOf }: Evaluation): Tally {
    const waypoints = scopesOf.get(key) ?? [];
    const inForce = ['', ...waypoints].reduce((sum, name) => sum + (settled.get(name) ?? 0), 0);
    const tally: Tally = { inForce, waiting: 0, waitingNames: [], refused: 0, refusals: [] };
    if (unsettled.length === 0) return tally;
    const names = namesOf(key, this.#related.get(key));
    for (const stream of unsettled) {
      const { node, waypoint } = stream;
      if (node.type === 'waypoint' && !waypoints.includes(waypoint ?? '')) continue;
      const answer = answerOf(names, stream, this.#options.version);
      if (answer.kind === 'in-force') tally.inForce += 1;
      else if (answer.kind === 'waiting') {
        tally.waiting += 1;
        note(tally.waitingNames, node.podName);
      } else {
        tally.refused += 1;
        note(tally.refusals, `${node.podName}: ${answer.reason}`);
      }
    }
    return tally;
  }
}

function isEnforced(key: ObjectKey): boolean {
  return ENFORCED_KINDS.has(key.slice(0, key.indexOf('/')));
}

/** Until its waypoint is ready, traffic goes past it: a policy's does not, it is refused. */
function isRouted(key: ObjectKey): boolean {
  return /^(VirtualService|DestinationRule|HTTPRoute|GRPCRoute|TCPRoute)\//.test(key);
}

/** Not among the objects of waypoints, and in force at agents all the same. */
function isPeer(key: ObjectKey): boolean {
  return key.startsWith('PeerAuthentication/');
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
