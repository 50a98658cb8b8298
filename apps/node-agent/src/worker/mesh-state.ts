/**
 * The mesh as this worker holds it: addresses, policies, and who waits for the record of a pod.
 *
 * Rule: policies are applied before the workloads that name them, so that no connection is decided by a
 * workload whose policies are a step behind.
 */

import type { Cancellation, Clock } from '@ambit/core';
import { MeshIndex, type Workload } from '@ambit/model';
import { PolicyIndex } from '@ambit/policy';
import { FINISHED } from '@ambit/proxy';

import type { CapturedPod, ToWorker } from './messages.ts';

export type ResourcesMessage = Extract<ToWorker, { kind: 'resources' }>;
type PodName = Pick<CapturedPod, 'name' | 'namespace' | 'serviceAccount' | 'ips'>;

export class MeshState {
  readonly index: MeshIndex;
  readonly policies = new PolicyIndex();
  readonly #clusterId: string;
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #changed = new Set<() => void>();

  constructor(options: {
    readonly clusterId: string;
    readonly network: string;
    readonly clock: Clock;
    readonly waitMs: number;
  }) {
    this.index = new MeshIndex({ network: options.network });
    this.#clusterId = options.clusterId;
    this.#clock = options.clock;
    this.#waitMs = options.waitMs;
  }

  apply(message: ResourcesMessage): void {
    this.policies.apply(message.authorizations.changed, message.authorizations.removed);
    this.index.apply(message.addresses);
    for (const wake of [...this.#changed]) {
      wake();
    }
  }

  /**
   * The record of a pod here. One of another service account is not this pod's, nor is one of other
   * addresses: a pod that was made again under its name is met by the record of the one before it.
   */
  workloadOf(pod: PodName): Workload | undefined {
    const uid = `${this.#clusterId}//Pod/${pod.namespace}/${pod.name}`;
    const workload = this.index.workloadByUid(uid);
    const isOfPod =
      workload?.serviceAccount === pod.serviceAccount &&
      workload.addresses.some((address) => pod.ips.includes(address));
    return isOfPod ? workload : undefined;
  }

  /** Waits up to 5 s for the record. Undefined: it did not come, or `signal` aborted. */
  async awaitWorkload(pod: PodName, signal: Cancellation): Promise<Workload | undefined> {
    const known = this.workloadOf(pod);
    if (known !== undefined || signal.aborted) {
      return known;
    }
    const found = Promise.withResolvers<void>();
    const check = (): void => {
      if (this.workloadOf(pod) !== undefined) {
        found.resolve();
      }
    };
    const stop = new AbortController();
    const end = (): void => stop.abort(FINISHED);
    signal.addEventListener('abort', end, { once: true });
    const timeout = this.#clock.sleep(this.#waitMs, stop.signal).catch(() => undefined);
    this.#changed.add(check);
    await Promise.race([found.promise, timeout]);
    this.#changed.delete(check);
    signal.removeEventListener('abort', end);
    end();
    return this.workloadOf(pod);
  }
}
