/** An Event of events.k8s.io/v1, as the API server wants one. */
import { createHash } from 'node:crypto';

import type { CreatedObject, GroupVersionResource } from '@ambit/kube';

import { ACTIONS, type Problem } from './problems.ts';

export const EVENTS: GroupVersionResource = {
  group: 'events.k8s.io',
  version: 'v1',
  resource: 'events',
};
const REPORTING_CONTROLLER = 'ambit.io/controller';

/** Where events on objects without a namespace are. */
const CLUSTER_EVENTS_NAMESPACE = 'default';
const NAME_CHARS_MAX = 200;
const HASH_CHARS = 16;

/** What an event is about. */
export interface Regarded {
  readonly apiVersion: string;
  readonly kind: string;
  /** Empty for what has none. */
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

export function eventNamespace({ namespace }: Regarded): string {
  return namespace === '' ? CLUSTER_EVENTS_NAMESPACE : namespace;
}

/**
 * The same for the same problem of the same object, so that a new leader goes on with what the one before began. A note cannot be
 * changed in the cluster: another note is another event.
 */
export function eventName({ name, uid }: Regarded, { reason, note }: Problem): string {
  const hash = createHash('sha256')
    .update(JSON.stringify([uid, reason, note]))
    .digest('hex');
  return `${name.slice(0, NAME_CHARS_MAX)}.${hash.slice(0, HASH_CHARS)}`;
}

export function eventObject(
  regarding: Regarded,
  problem: Problem,
  { podName, wallNowMs }: { readonly podName: string; readonly wallNowMs: number },
): CreatedObject {
  const { reason, note } = problem;
  const { apiVersion, kind, namespace, name, uid } = regarding;
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    metadata: { namespace: eventNamespace(regarding), name: eventName(regarding, problem) },
    eventTime: microTime(wallNowMs),
    reportingController: REPORTING_CONTROLLER,
    reportingInstance: podName,
    type: 'Warning',
    reason,
    action: ACTIONS[reason],
    note,
    regarding: { apiVersion, kind, name, uid, ...(namespace === '' ? {} : { namespace }) },
  };
}

/** RFC 3339 with microseconds. */
export function microTime(wallNowMs: number): string {
  return new Date(wallNowMs).toISOString().replace(/\.(\d{3})Z$/, '.$1000Z');
}
