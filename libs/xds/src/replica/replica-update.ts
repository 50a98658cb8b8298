/**
 * What replicas of one controller tell each other, between the wire and the types of this program.
 *
 * Every text and list has a bound on both sides: the sender cuts what proxies can make long, the receiver refuses.
 */
import type { AdminProxyKind, AdminSubscription } from '@ambit/model';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';

import { reasonOf, XdsError } from '../errors.ts';
import {
  ReplicaAnswerSchema,
  ReplicaCapturesSchema,
  ReplicaProxy_Kind,
  ReplicaProxySchema,
  type ReplicaSubscription,
  ReplicaSubscriptionSchema,
  ReplicaUpdateSchema,
  type ReplicaAnswer as WireAnswer,
  type ReplicaCaptures as WireCaptures,
  type ReplicaProxy as WireProxy,
} from '../gen/ambit/mesh/v1/replicas_pb.ts';

/** A proxy that has a stream to the replica that says so. */
export interface ReplicaProxy {
  readonly id: string;
  readonly kind: AdminProxyKind;
  /** Node of an agent, `namespace/name` of a waypoint. */
  readonly name: string;
  readonly address: string;
  readonly connectedAtMs: number;
  /** `namespace/name` */
  readonly pod: string;
  /** Empty if nobody says. */
  readonly node: string;
  /** `namespace/name` of the waypoint that it is, by its token. */
  readonly waypoint: string | undefined;
  readonly subscriptions: readonly AdminSubscription[];
  /** Which roots it has, as it says itself (`trustNames`); absent: it says nothing. */
  readonly trust?: readonly string[];
}

/** What the agent of a node has captured. */
export interface ReplicaCaptures {
  readonly node: string;
  /** Of the stream that says so; undefined: there is none, and this is what was said last. */
  readonly connectedAtMs: number | undefined;
  readonly uids: readonly string[];
  /** Said on an earlier stream, and not again yet. */
  readonly earlier: readonly string[];
}

/** What the proxies of one replica have of one version of an object. Those not counted have it in force. */
export interface ReplicaAnswer {
  readonly key: string;
  readonly uid: string;
  readonly generation: number;
  readonly waiting: number;
  /** The first few. */
  readonly waitingNames: readonly string[];
  readonly refused: number;
  /** The first few, each with its reason. */
  readonly refusals: readonly string[];
}

/** A part of a batch; the batch holds once the part that completes it is there. */
export interface ReplicaUpdate {
  /** Name of the pod that says it. */
  readonly replica: string;
  readonly isComplete: boolean;
  readonly proxies: readonly ReplicaProxy[];
  readonly goneProxies: readonly string[];
  readonly captures: readonly ReplicaCaptures[];
  readonly goneNodes: readonly string[];
  readonly answers: readonly ReplicaAnswer[];
  readonly goneKeys: readonly string[];
  /** Uids of pods that wait for their agent, as far as they are new. */
  readonly awaited: readonly string[];
}

/** Of names and ids. */
const TEXT_LENGTH_MAX = 512;
/** Of the name of a cluster, a namespace and a pod. */
const UID_LENGTH_MAX = 600;
const REASON_LENGTH_MAX = 300;
const NAMED_MAX = 5;
const SUBSCRIPTIONS_MAX = 16;
/** More than that are cut from the end, which is where the roots are that a proxy should have. */
const TRUST_MAX = 64;
const UIDS_MAX = 2_000;
/** One message, as received. The largest thing that is never cut in two is a node's captures. */
export const REPLICA_UPDATE_BYTES_MAX = 8 * 1024 * 1024;

const KINDS: Readonly<Record<AdminProxyKind, ReplicaProxy_Kind>> = {
  'node-agent': ReplicaProxy_Kind.NODE_AGENT,
  waypoint: ReplicaProxy_Kind.WAYPOINT,
  other: ReplicaProxy_Kind.OTHER,
};

export function encodeReplicaUpdate(update: ReplicaUpdate): Uint8Array {
  return toBinary(
    ReplicaUpdateSchema,
    create(ReplicaUpdateSchema, {
      replica: update.replica,
      isComplete: update.isComplete,
      proxies: update.proxies.map(encodeProxy),
      goneProxies: update.goneProxies.map(cut),
      captures: update.captures.map(encodeCaptures),
      goneNodes: update.goneNodes.map(cut),
      answers: update.answers.map(encodeAnswer),
      goneKeys: update.goneKeys.map(cut),
      awaited: update.awaited.filter(isUid),
    }),
  );
}

/** Throws XDS_LIMIT for what is too large, XDS_REQUEST_INVALID for what is no update. */
export function decodeReplicaUpdate(bytes: Uint8Array): ReplicaUpdate {
  if (bytes.length > REPLICA_UPDATE_BYTES_MAX) {
    throw tooLarge(`an update of ${bytes.length} bytes`);
  }
  const message = parse(bytes);
  return {
    replica: text(message.replica),
    isComplete: message.isComplete,
    proxies: message.proxies.map(decodeProxy),
    goneProxies: message.goneProxies.map(text),
    captures: message.captures.map(decodeCaptures),
    goneNodes: message.goneNodes.map(text),
    answers: message.answers.map(decodeAnswer),
    goneKeys: message.goneKeys.map(text),
    awaited: message.awaited.map(uid),
  };
}

function parse(bytes: Uint8Array) {
  try {
    return fromBinary(ReplicaUpdateSchema, bytes, { readUnknownFields: false });
  } catch (cause) {
    throw new XdsError('XDS_REQUEST_INVALID', `not a replica's update: ${reasonOf(cause)}`, {
      cause,
    });
  }
}

function encodeProxy(proxy: ReplicaProxy): WireProxy {
  const { waypoint } = proxy;
  return create(ReplicaProxySchema, {
    id: cut(proxy.id),
    kind: KINDS[proxy.kind],
    name: cut(proxy.name),
    address: cut(proxy.address),
    connectedAtMs: encodeTime(proxy.connectedAtMs),
    pod: cut(proxy.pod),
    node: cut(proxy.node),
    ...(waypoint === undefined ? {} : { waypoint: cut(waypoint) }),
    subscriptions: proxy.subscriptions.slice(0, SUBSCRIPTIONS_MAX).map(encodeSubscription),
    trust: [...(proxy.trust ?? [])].sort().slice(0, TRUST_MAX).map(cut),
  });
}

function decodeProxy(message: WireProxy): ReplicaProxy {
  const { kind } = message;
  const isKnown = kind === ReplicaProxy_Kind.NODE_AGENT || kind === ReplicaProxy_Kind.WAYPOINT;
  return {
    id: text(message.id),
    kind: !isKnown ? 'other' : kind === ReplicaProxy_Kind.WAYPOINT ? 'waypoint' : 'node-agent',
    name: text(message.name),
    address: text(message.address),
    connectedAtMs: decodeNumber(message.connectedAtMs),
    pod: text(message.pod),
    node: text(message.node),
    waypoint: message.waypoint === undefined ? undefined : text(message.waypoint),
    subscriptions: list(message.subscriptions, SUBSCRIPTIONS_MAX).map(decodeSubscription),
    ...(message.trust.length === 0 ? {} : { trust: list(message.trust, TRUST_MAX).map(text) }),
  };
}

function encodeSubscription(subscription: AdminSubscription): ReplicaSubscription {
  const { type, resources, pending, pendingSinceMs, acknowledgedAtMs, error } = subscription;
  return create(ReplicaSubscriptionSchema, {
    type: cut(type),
    resources,
    pending,
    ...(pendingSinceMs === undefined ? {} : { pendingSinceMs: encodeTime(pendingSinceMs) }),
    ...(acknowledgedAtMs === undefined ? {} : { acknowledgedAtMs: encodeTime(acknowledgedAtMs) }),
    ...(error === undefined ? {} : { error: error.slice(0, REASON_LENGTH_MAX) }),
  });
}

function decodeSubscription(message: ReplicaSubscription): AdminSubscription {
  const { pendingSinceMs, acknowledgedAtMs, error } = message;
  return {
    type: text(message.type),
    resources: message.resources,
    pending: message.pending,
    ...(pendingSinceMs === undefined ? {} : { pendingSinceMs: decodeNumber(pendingSinceMs) }),
    ...(acknowledgedAtMs === undefined ? {} : { acknowledgedAtMs: decodeNumber(acknowledgedAtMs) }),
    ...(error === undefined ? {} : { error: text(error) }),
  };
}

/** A uid that is too long is no pod's. */
function encodeCaptures({ node, connectedAtMs, uids, earlier }: ReplicaCaptures): WireCaptures {
  return create(ReplicaCapturesSchema, {
    node: cut(node),
    ...(connectedAtMs === undefined ? {} : { connectedAtMs: encodeTime(connectedAtMs) }),
    uids: uids.filter(isUid).slice(0, UIDS_MAX),
    earlier: earlier.filter(isUid).slice(0, UIDS_MAX),
  });
}

function decodeCaptures(message: WireCaptures): ReplicaCaptures {
  const { connectedAtMs } = message;
  return {
    node: text(message.node),
    connectedAtMs: connectedAtMs === undefined ? undefined : decodeNumber(connectedAtMs),
    uids: list(message.uids, UIDS_MAX).map(uid),
    earlier: list(message.earlier, UIDS_MAX).map(uid),
  };
}

function encodeAnswer(answer: ReplicaAnswer): WireAnswer {
  return create(ReplicaAnswerSchema, {
    key: cut(answer.key),
    uid: cut(answer.uid),
    generation: BigInt(Math.trunc(answer.generation)),
    waiting: answer.waiting,
    waitingNames: answer.waitingNames.slice(0, NAMED_MAX).map(cut),
    refused: answer.refused,
    refusals: answer.refusals.slice(0, NAMED_MAX).map((one) => one.slice(0, REASON_LENGTH_MAX)),
  });
}

function decodeAnswer(message: WireAnswer): ReplicaAnswer {
  return {
    key: text(message.key),
    uid: text(message.uid),
    generation: decodeNumber(message.generation),
    waiting: message.waiting,
    waitingNames: list(message.waitingNames, NAMED_MAX).map(text),
    refused: message.refused,
    refusals: list(message.refusals, NAMED_MAX).map(text),
  };
}

function isUid(value: string): boolean {
  return value.length <= UID_LENGTH_MAX;
}

function cut(value: string): string {
  return value.slice(0, TEXT_LENGTH_MAX);
}

function text(value: string): string {
  if (value.length > TEXT_LENGTH_MAX) {
    throw tooLarge(`a text of ${value.length} characters`);
  }
  return value;
}

function uid(value: string): string {
  if (value.length > UID_LENGTH_MAX) {
    throw tooLarge(`a uid of ${value.length} characters`);
  }
  return value;
}

function list<T>(values: readonly T[], max: number): readonly T[] {
  if (values.length > max) {
    throw tooLarge(`a list of ${values.length}, more than ${max}`);
  }
  return values;
}

function encodeTime(ms: number): bigint {
  return BigInt(Math.round(ms));
}

function decodeNumber(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) {
    throw new XdsError('XDS_REQUEST_INVALID', `${value} is too large a number`);
  }
  return number;
}

function tooLarge(what: string): XdsError {
  return new XdsError('XDS_LIMIT', `${what} from another replica`);
}
