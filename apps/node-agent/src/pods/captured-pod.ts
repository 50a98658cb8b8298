/**
 * The real steps of one pod's capture: its namespace, its listeners on every worker, its names.
 *
 * Owns the namespace handle and one listener set for each worker; gives away duplicates only.
 */
import { canonicalIp } from '@ambit/api';
import { type Netns, openNetns } from '@ambit/netns';
import {
  closeListeners,
  duplicateListeners,
  type ListenerSet,
  openListeners,
} from '../capture/listeners.ts';
import {
  applyCapture,
  carriedConnections,
  hasCapture,
  releaseCapture,
  removeCapture,
} from '../capture/pod-network.ts';
import type { CaptureOptions } from '../capture/rules.ts';
import { superseded } from '../errors.ts';
import type { WorkerPool } from '../workers/worker-pool.ts';
import type { Pod } from './pod.ts';
import type { CaptureSteps } from './pod-capture.ts';

export interface PodNames {
  /** Answers names inside the namespace until disposed. */
  serve(pod: Pod, ns: Netns): Promise<ServedNames>;
}

export interface ServedNames extends AsyncDisposable {
  /** Ends, too, and loses no question: for where another agent answers by now. */
  leave(): Promise<void>;
}

export interface PodCertificates {
  /** Resolves when the first attempt is over, whatever came of it, or at the signal. */
  warm(pod: Pod, signal: AbortSignal): Promise<void>;
}

/** The node's rule that lets kubelet's probes of a captured pod pass. */
export interface PodProbes {
  add(pod: Pod): Promise<void>;
  /** Never rejects. */
  remove(uid: string): Promise<void>;
}

export interface CapturedPodOptions {
  readonly pod: Pod;
  readonly ns: Netns;
  readonly workers: WorkerPool;
  readonly names: PodNames;
  readonly certificates: PodCertificates;
  readonly probes: PodProbes;
  /** Another agent of the node decides about the pod's rules by now. */
  readonly isSuperseded: () => boolean;
}

export class CapturedPodSteps implements CaptureSteps {
  readonly #options: CapturedPodOptions;
  #sets: readonly ListenerSet[] = [];
  #names: ServedNames | undefined;

  constructor(options: CapturedPodOptions) {
    this.#options = options;
  }

  async listen(signal: AbortSignal): Promise<void> {
    const { pod, ns, workers, names, certificates } = this.#options;
    // Enrolling a pod that runs must not make it wait for its first certificate.
    await certificates.warm(pod, signal);
    // Workers that drain take no listeners, and what nobody accepts from would keep connections from the next agent.
    signal.throwIfAborted();
    this.#closeSets();
    const sets: ListenerSet[] = [];
    this.#sets = sets;
    try {
      for (let index = 0; index < workers.size; index++) {
        sets.push(openListeners(ns));
      }
      await workers.addPod(pod.uid, (index) => ({
        uid: pod.uid,
        name: pod.name,
        namespace: pod.namespace,
        serviceAccount: pod.serviceAccount,
        ips: pod.ips.map((ip) => canonicalIp(ip) ?? ip),
        netnsPath: `/proc/self/fd/${ns.fd}`,
        listeners: duplicateListeners(setOf(sets, index)),
      }));
      this.#names ??= await names.serve(pod, ns);
    } catch (error) {
      await this.unlisten();
      throw error;
    }
  }

  async applyRules(options: CaptureOptions): Promise<void> {
    const { ns, pod, probes } = this.#options;
    this.#requireOwnership();
    await applyCapture(ns, options);
    await probes.add(pod);
  }

  async releaseRules(): Promise<void> {
    const { ns, pod, probes } = this.#options;
    this.#requireOwnership();
    await probes.remove(pod.uid);
    await releaseCapture(ns);
  }

  async unlisten(): Promise<void> {
    await this.#stop('release');
  }

  /**
   * The pod is gone: connections end now. Resolves when no worker has a message before it that names the namespace's
   * descriptor, whose number is used again after it is closed.
   */
  async kill(): Promise<void> {
    const { pod, probes, workers } = this.#options;
    await this.#stop('kill');
    await probes.remove(pod.uid);
    await workers.settle();
  }

  /** This agent ends and another takes over: our sockets close, workers close theirs as they drain. */
  async leave(): Promise<void> {
    this.#closeSets();
    const names = this.#names;
    this.#names = undefined;
    await names?.leave();
  }

  carriedConnections(): number {
    return carriedConnections(this.#options.ns);
  }

  async removeRules(): Promise<void> {
    this.#requireOwnership();
    await removeCapture(this.#options.ns);
  }

  async hasRules(): Promise<boolean> {
    return await hasCapture(this.#options.ns);
  }

  #requireOwnership(): void {
    if (this.#options.isSuperseded()) {
      throw superseded();
    }
  }

  async #stop(mode: 'release' | 'kill'): Promise<void> {
    this.#options.workers.removePod(this.#options.pod.uid, mode);
    this.#closeSets();
    await this.#closeNames();
  }

  async #closeNames(): Promise<void> {
    const names = this.#names;
    this.#names = undefined;
    await names?.[Symbol.asyncDispose]();
  }

  #closeSets(): void {
    for (const set of this.#sets) {
      closeListeners(set);
    }
    this.#sets = [];
  }
}

function setOf(sets: readonly ListenerSet[], index: number): ListenerSet {
  const set = sets[index];
  if (set === undefined) {
    throw new RangeError(`no listeners for worker ${index}`);
  }
  return set;
}

/** Throws NETNS_OPEN_FAILED when the path leads nowhere any more. */
export function openPodNetns(pod: Pod): Netns {
  return openNetns(pod.netnsPath);
}
