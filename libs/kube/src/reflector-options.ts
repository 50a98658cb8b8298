/**
 * What a reflector is told, and what it says of itself.
 */
import type { Clock } from '@ambit/core';
import type { Discovery, WantedResource } from './discovery.ts';
import type { KubeHttp } from './http.ts';
import type { KubeMetrics } from './metrics.ts';
import type { ReflectorEvent } from './reflector-store.ts';
import type { KubeObject } from './resources.ts';

export interface ReflectorOptions<T> {
  readonly http: KubeHttp;
  /** Started by its owner, or an absent kind is not noticed when it comes. */
  readonly discovery: Discovery;
  readonly clock: Clock;
  readonly resource: WantedResource;
  /** One namespace only. */
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** The server leaves out everything but the metadata. */
  readonly metadataOnly?: boolean;
  /**
   * What is kept of an object; runs while the answer is read, so the rest is never held. Undefined for
   * an object that is not wanted. What it throws is reported as `malformed`.
   */
  readonly prune: (object: KubeObject) => T | undefined;
  /** Must not throw; what it throws is counted and shown as `lastError`. */
  readonly onEvent: (event: ReflectorEvent<T>) => void;
  readonly metrics?: KubeMetrics;
  readonly pageSize?: number;
  /** Of one object as JSON; larger ones are malformed. Default 4 MiB. */
  readonly objectBytesMax?: number;
  /** Default 500,000; further ones are malformed. */
  readonly objectsMax?: number;
  /** The longest silence of a watch. Default 3 minutes. */
  readonly stallMs?: number;
  readonly backoff?: {
    readonly initialMs: number;
    readonly maxMs: number;
    readonly jitter: number;
  };
  readonly random?: () => number;
}

export type ReflectorState =
  | 'stopped'
  | 'listing'
  | 'watching'
  /** The cluster has no such kind now. */
  | 'absent'
  | 'backing-off';

export interface ReflectorHealth {
  readonly state: ReflectorState;
  readonly isSynced: boolean;
  readonly objects: number;
  readonly malformed: number;
  readonly lists: number;
  /** The version in use, if any. */
  readonly version: string | undefined;
  /** Undefined while all is well. */
  readonly lastError: string | undefined;
  /** Milliseconds since the epoch, of the last list, event or bookmark. */
  readonly lastEventAt: number | undefined;
}
