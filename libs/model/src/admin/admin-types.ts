/**
 * What the controller's admin socket answers, as JSON. Who asks: `meshctl`, the lab, people with curl.
 *
 * | path | body |
 * |---|---|
 * | `/v1/objects[?kind=KIND&namespace=NS]` | `{ items: AdminObject[] }` |
 * | `/v1/objects/KIND/NAMESPACE/NAME` (cluster-scoped: `KIND/NAME`) | `AdminObject` |
 * | `/v1/snapshot` | `MeshSnapshot` |
 * | `/v1/proxies` | `AdminProxies` |
 * | `/v1/summary` | `MeshSummary` |
 * | `/v1/workloads`, `/v1/services` | `{ items: Workload[] }`, `{ items: MeshService[] }` |
 * | `/v1/certificates` | `{ items: AdminCertificate[] }` |
 *
 * Errors: 404 and 4xx/5xx with `{ error: string }`. Times are milliseconds since the epoch.
 */
import type { MeshObject, ObjectKey } from '@ambit/api';
import type { ObjectStatus } from '../types.ts';

export interface AdminItems<T> {
  readonly items: readonly T[];
}

/** `object` absent: it was refused, and only what was said about it is known. */
export interface AdminObject {
  readonly key: string;
  readonly object?: MeshObject;
  readonly status?: ObjectStatus;
}

export interface AdminController {
  readonly version: string;
  /** Value of `istio.io/rev` that it answers to. Absent: `default`. */
  readonly revision?: string;
  readonly nowMs: number;
  readonly startedAtMs: number;
  /** When the configuration in force last changed. */
  readonly changedAtMs: number;
  readonly trustDomain: string;
  readonly objects: number;
  /** Objects with an error finding, which are not in force. */
  readonly refused: number;
  readonly root: { readonly notAfterMs: number };
  /** What keeps it from reading its configuration. */
  readonly problems?: readonly string[];
}

export type AdminProxyKind = 'node-agent' | 'waypoint' | 'other';

export interface AdminSubscription {
  /** The last part of the type URL: `Address`, `Authorization`, `Object`, … */
  readonly type: string;
  readonly resources: number;
  /** Pushes that wait for an acknowledgement. */
  readonly pending: number;
  /** When the oldest of them was sent; absent when none is pending. */
  readonly pendingSinceMs?: number;
  readonly acknowledgedAtMs?: number;
  /** The last refusal that no acknowledgement followed. */
  readonly error?: string;
}

export interface AdminProxy {
  readonly id: string;
  readonly kind: AdminProxyKind;
  /** Node of an agent, `namespace/name` of a waypoint. */
  readonly name: string;
  /** Which it runs in: of one waypoint there may be several. Older controllers do not say it. */
  readonly pod?: ObjectKey;
  readonly address: string;
  /** Of its program, as it says itself; absent: it does not say, or its stream is at another replica. */
  readonly version?: string;
  /** Absent: not connected now. */
  readonly connectedSinceMs?: number;
  readonly disconnectedSinceMs?: number;
  /** The controller's replica that has, or had, its stream; absent: the one that was asked. */
  readonly replica?: string;
  readonly subscriptions: readonly AdminSubscription[];
  /** Uids of pods that an agent has captured. */
  readonly captured: readonly string[];
}

export interface AdminProxies {
  readonly controller: AdminController;
  readonly proxies: readonly AdminProxy[];
}

/** The last certificate that was issued for an identity to a proxy. */
export interface AdminCertificate {
  readonly identity: string;
  /** Id of the proxy that asked. */
  readonly proxy: string;
  readonly serial: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}
