/**
 * `Enforced`: whether the proxies that an object concerns have it in force.
 *
 * True only when every one of them has acknowledged the resources that the object became, wherever its stream is, and the
 * object is accepted and attached: what concerns nobody is not enforced, however many have it. A
 * proxy that should be there and is not makes it Unknown, and so does a replica of the controller that cannot be
 * asked or has not seen this version; one that refuses makes it False, with its own words.
 *
 * An object is looked at again when something was said of it (`note`, `touch`) and until every proxy has answered for it;
 * what every proxy has stays so, whatever else is on its way to them.
 */
import type { ObjectKey } from '@ambit/api';
import {
  type Condition,
  deepEqual,
  type MeshDelta,
  type MeshOutputs,
  NOT_CAPTURED,
  type ObjectStatus,
  type UnjudgedReason,
  unjudged,
} from '@ambit/model';
import { type ReplicaAnswer, type StreamView, TYPE_URL, type XdsNode } from '@ambit/xds';

import type { RemoteReplica } from '../replicas/remote-book.ts';
import type { ExpectedProxy } from '../serve/proxy-identity.ts';
import { type AskedStreams, askStreams, whoIsAsked } from './asked-streams.ts';
import { isEnforced, isPeer, isRouted } from './enforced-kinds.ts';
import { ScopesOf } from './scopes-of.ts';
import { answerOf, type Names, namesOf, unite } from './stream-answer.ts';
import { addReplica, awayOf, note, some, type Tally } from './tally.ts';

export type EnforcedReason =
  | 'Enforced'
  | 'Waiting'
  | 'Unreachable'
  | 'Refused'
  | 'NotEnrolled'
  | 'NotAccepted'
  | 'NotAttached'
  | UnfollowedReason
  | 'NotCaptured'
  | 'NoProxy'
  | UnjudgedReason;

/** Of `WaypointReady`: what a route is for has no waypoint that follows it, or some of it has none. */
const UNFOLLOWED = [
  'WaypointOptedOut',
  'WaypointNotFound',
  'WaypointForeign',
  'NamespaceForeign',
  'AttachmentDenied',
  'UnsupportedTrafficType',
  'WaypointBehindAgent',
] as const;

type UnfollowedReason = (typeof UNFOLLOWED)[number];

export interface EnforcementOptions {
  /** Those of the turn in which it is asked. */
  readonly outputs: () => MeshOutputs;
  readonly generation: (key: ObjectKey) => number;
  /** Tells an object from one that had its name before. Default: nothing does. */
  readonly uid?: (key: ObjectKey) => string;
  readonly version: (typeUrl: string, name: string, node: XdsNode) => string | undefined;
  /** Of agents and waypoints, and of nobody else. */
  readonly streams: () => readonly StreamView[];
  readonly unreachable: () => readonly ExpectedProxy[];
  readonly waypointOf: (node: XdsNode) => string | undefined;
  /** Default: there is no other replica. */
  readonly remote?: () => readonly RemoteReplica[];
}

/** What is the same for all objects of one evaluation. */
interface Evaluation extends AskedStreams {
  readonly outputs: MeshOutputs;
  readonly unreachable: readonly ExpectedProxy[];
}

export class Enforcement {
  readonly #options: EnforcementOptions;
  /** What an object changed and not every proxy has acknowledged yet. */
  readonly #related = new Map<ObjectKey, ReadonlyMap<string, Names>>();
  readonly #conditions = new Map<ObjectKey, Condition>();
  readonly #answers = new Map<ObjectKey, ReplicaAnswer>();
  readonly #scopes = new ScopesOf();
  /** To be looked at; 'all' also finds what was never looked at. */
  #marked: Set<ObjectKey> | 'all' = 'all';
  /** Some proxy has not answered for them, or refuses them. */
  readonly #open = new Set<ObjectKey>();
  #unreachable: readonly ExpectedProxy[] = [];
  /** Who was asked. */
  #asked: readonly string[] = [];
  /** Whose condition has changed since `evaluate` said so. */
  #changed = new Set<ObjectKey>();

  constructor(options: EnforcementOptions) {
    this.#options = options;
  }

  /** Remembers what a batch changed, for every object of it and every object that it says something new of. */
  note(causes: ReadonlySet<ObjectKey>, delta: MeshDelta): void {
    const { addresses, authorizations, scopes, statuses } = delta;
    const byType = [
      [TYPE_URL.address, addresses, unite(undefined, addresses)],
      [TYPE_URL.authorization, authorizations, unite(undefined, authorizations)],
    ] as const;
    // A status that changed with the batch may hang on what it changed: a waypoint that became ready is in addresses.
    for (const key of new Set([...causes, ...statuses.changed])) {
      if (!isEnforced(key)) continue;
      const before = this.#related.get(key);
      const related = byType.map(([typeUrl, changed, alone]) => {
        const names = before?.get(typeUrl);
        // One set for all objects of a batch: a first one may be of thousands of names, for thousands of objects.
        return [typeUrl, names === undefined ? alone : unite(names, changed)] as const;
      });
      this.#related.set(key, new Map(related));
      this.touch([key]);
    }
    // Neither a cause nor of another status, and concerned by other waypoints.
    this.touch(this.#scopes.note(scopes, this.#options.outputs().scopes));
  }

  /**
   * What is said of these objects may be another. 'all': a proxy asks for other things. Not needed when proxies acknowledge or
   * refuse, nor for those that come, go, are missing, or become another waypoint's.
   */
  touch(keys: Iterable<ObjectKey> | 'all'): void {
    if (keys === 'all') this.#marked = 'all';
    if (this.#marked === 'all') return;
    for (const key of keys) if (isEnforced(key)) this.#marked.add(key);
  }

  /** Of all objects that proxies may have in force, as `evaluate` found them last. */
  get conditions(): ReadonlyMap<ObjectKey, Condition> {
    return this.#conditions;
  }

  /** Answers the keys whose condition is another than at the call before, or is gone. */
  evaluate(): ReadonlySet<ObjectKey> {
    this.#settle();
    const changed = this.#changed;
    this.#changed = new Set();
    return changed;
  }

  /** What the proxies that have a stream here have, of every object; for other replicas. */
  own(): ReadonlyMap<ObjectKey, ReplicaAnswer> {
    this.#settle();
    return this.#answers;
  }

  #settle(): void {
    const unreachable = this.#options.unreachable();
    const asked = whoIsAsked(this.#options);
    if (!deepEqual(unreachable, this.#unreachable) || !deepEqual(asked, this.#asked)) {
      this.touch('all');
    }
    this.#unreachable = unreachable;
    this.#asked = asked;
    const marked = this.#marked;
    if (marked !== 'all' && marked.size + this.#open.size === 0) return;
    const now = this.#options.outputs();
    const keys = new Set<ObjectKey>(
      marked === 'all'
        ? [...this.#answers.keys(), ...[...now.statuses.keys()].filter(isEnforced)]
        : [...marked, ...this.#open],
    );
    this.#marked = new Set();
    const evaluation = { ...askStreams(this.#options), outputs: now, unreachable };
    for (const key of keys) if (this.#look(key, evaluation)) this.#changed.add(key);
  }

  /** Whether its condition is another than before. */
  #look(key: ObjectKey, evaluation: Evaluation): boolean {
    const { statuses, objects } = evaluation.outputs;
    const status = statuses.get(key);
    const before = this.#conditions.get(key);
    if (status === undefined || !(objects.has(key) || isPeer(key))) {
      this.#answers.delete(key);
      this.#conditions.delete(key);
      this.#open.delete(key);
      if (status === undefined) this.#related.delete(key);
      return before !== undefined;
    }
    const tally = this.#tally(key, evaluation);
    const { inForce: _, ...answer } = tally;
    const version = { key, uid: this.#uid(key), generation: this.#options.generation(key) };
    this.#answers.set(key, { ...version, ...answer });
    const now = this.#judge(status, evaluation, tally);
    const isAnswered = tally.waiting + tally.refused === 0;
    // In force, or nothing that proxies could have in force: what it changes from now on is noted anew.
    if (isAnswered && !isUncertain(now)) this.#related.delete(key);
    if (isAnswered && !this.#related.has(key)) this.#open.delete(key);
    else this.#open.add(key);
    if (now === undefined) this.#conditions.delete(key);
    else if (!deepEqual(before, now)) this.#conditions.set(key, now);
    return this.#conditions.get(key) !== before;
  }

  #uid(key: ObjectKey): string {
    return this.#options.uid?.(key) ?? '';
  }

  /** Nothing of what has no `Accepted`. */
  #judge(status: ObjectStatus, evaluation: Evaluation, own: Tally): Condition | undefined {
    const { key, conditions, findings } = status;
    // Every proxy may have it, and none of them stands before what it is about.
    const outside = conditions.find(({ reason }) => reason === 'NotEnrolled');
    if (outside !== undefined) return this.#say(key, 'False', 'NotEnrolled', outside.message);
    const uncaptured = findings.find(({ code }) => code === NOT_CAPTURED);
    if (uncaptured !== undefined) return this.#notCaptured(key, uncaptured.message, evaluation);
    const open = unjudged(findings);
    if (open !== undefined) return this.#say(key, 'False', open.reason, open.message);
    if (!conditions.some(({ type }) => type === 'Accepted')) return undefined;
    return this.#conditionOf(status, evaluation, own);
  }

  /** Of an agent that cannot be heard nobody knows what it has captured. */
  #notCaptured(key: ObjectKey, message: string, { unreachable, remote }: Evaluation): Condition {
    const agents = unreachable.filter(({ kind }) => kind === 'node-agent').map(({ name }) => name);
    const replicas = remote.filter(({ isHeard }) => !isHeard).map(({ name }) => name);
    const silent = [...agents, ...replicas];
    if (silent.length === 0) return this.#say(key, 'False', 'NotCaptured', message);
    const text = `${message}, or whoever has cannot say so: ${some(silent, silent.length)} cannot be reached`;
    return this.#say(key, 'Unknown', 'NotCaptured', text);
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

  #conditionOf({ key, conditions }: ObjectStatus, evaluation: Evaluation, own: Tally): Condition {
    const waypoints = this.#scopes.of(key);
    const { waitingNames: names, refusals: reasons } = own;
    const tally = { ...own, waitingNames: [...names], refusals: [...reasons] };
    const version = { key, uid: this.#uid(key), generation: this.#options.generation(key) };
    for (const replica of evaluation.remote) {
      if (replica.isHeard) addReplica(tally, replica, { version, waypoints });
    }
    const { inForce, waiting, waitingNames, refused, refusals } = tally;
    if (refused > 0) return this.#say(key, 'False', 'Refused', some(refusals, refused, '; '));
    // Every proxy may have it, and it is for none of their calls, or an earlier version is what they have.
    const idle = idleBecause(conditions) ?? (isRouted(key) ? unfollowed(conditions) : undefined);
    if (idle !== undefined) return this.#say(key, 'False', idle.reason, idle.message);
    const away = awayOf(evaluation, waypoints);
    const all = inForce + waiting + away.length;
    if (away.length > 0) {
      const text = `${away.length} of ${all} proxies cannot be reached: ${some(away, away.length)}`;
      return this.#say(key, 'Unknown', 'Unreachable', text);
    }
    const silent = evaluation.remote.filter(({ isHeard, isServing }) => isServing && !isHeard);
    if (silent.length > 0) {
      const silentNames = silent.map(({ name }) => name);
      const text = `what proxies of other replicas have cannot be asked: ${some(silentNames, silentNames.length)}`;
      return this.#say(key, 'Unknown', 'Unreachable', text);
    }
    if (waiting > 0) {
      const text = `${waiting} of ${all} proxies have not acknowledged: ${some(waitingNames, waiting)}`;
      return this.#say(key, 'Unknown', 'Waiting', text);
    }
    if (inForce === 0) return this.#say(key, 'Unknown', 'NoProxy', 'no proxy is connected');
    // Without a ready instance of the waypoint, what is for it to route goes elsewhere yet.
    const unready = conditions.find(({ reason }) => reason === 'WaypointNotReady');
    if (unready !== undefined && isRouted(key)) {
      return this.#say(key, 'Unknown', 'Waiting', unready.message);
    }
    const text = `acknowledged by ${inForce} ${inForce === 1 ? 'proxy' : 'proxies'}`;
    return this.#say(key, 'True', 'Enforced', text);
  }

  /** Of the proxies that have a stream here. */
  #tally(key: ObjectKey, { settled, unsettled }: Evaluation): Tally {
    const waypoints = this.#scopes.of(key);
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

interface Idle {
  readonly reason: EnforcedReason;
  readonly message: string;
}

/** Why an object holds for nobody, whoever has it: in the words of the condition that says so. */
function idleBecause(conditions: readonly Condition[]): Idle | undefined {
  const isFalse = (wanted: string) =>
    conditions.find(({ type, status }) => type === wanted && status === 'False');
  const unaccepted = isFalse('Accepted');
  if (unaccepted !== undefined) {
    return { reason: 'NotAccepted', message: `not accepted: ${unaccepted.message}` };
  }
  const unattached = isFalse('Attached');
  return unattached && { reason: 'NotAttached', message: `not attached: ${unattached.message}` };
}

/** Agents have a route too, and whoever should follow it never asks for it, or is not there. */
function unfollowed(conditions: readonly Condition[]): Idle | undefined {
  const ready = conditions.find(({ type }) => type === 'WaypointReady');
  const reason = UNFOLLOWED.find((known) => known === ready?.reason);
  return ready && reason && { reason, message: ready.message };
}

/** Of something that proxies should have, and not all do. */
function isUncertain(condition: Condition | undefined): boolean {
  const reasons: readonly EnforcedReason[] = ['Waiting', 'Unreachable', 'Refused', 'NoProxy'];
  return reasons.some((reason) => reason === condition?.reason);
}
