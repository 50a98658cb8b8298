/**
 * What the CNI plugin asks, answered: may this pod start, is it gone, which are left.
 *
 * Rule: the answer to `add` comes when the pod is captured or when it is certain that it is not to be. Where a pod
 * could be the mesh's and nobody says who it is, it does not start: its identity is never guessed.
 */
import type { Clock } from '@ambit/core';
import type { Enrolment, PodFacts } from '@ambit/model';
import { describeError, type Logger } from '@ambit/telemetry';
import { AgentError } from '../errors.ts';
import { DATAPLANE_MODE_LABEL, holdsPods } from '../pods/enrolment.ts';
import type { Pod } from '../pods/pod.ts';
import type { AddRequest, Attachment, CollectRequest } from './cni-request.ts';
import { PodDirectory } from './pod-directory.ts';

/** A controller that is there has told of a pod long before; this is for one that is busy. */
const FACTS_MS = 3_000;
/** With the wait for facts less than the plugin waits. */
const CAPTURE_MS = 7_000;

/** The part of the registry that is needed here. */
export interface CapturedPods {
  readonly rows: readonly {
    readonly pod: Pod;
    readonly state: string;
    readonly isWanted: boolean;
  }[];
  readonly enrolments: ReadonlyMap<string, Enrolment> | undefined;
  put(pod: Pod, timeoutMs: number): Promise<boolean>;
  remove(uid: string): Promise<void>;
}

export interface CniPodsOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly pods: CapturedPods;
  /** Whether a controller would tell of a pod now. */
  readonly isConnected: () => boolean;
  /** Namespaces whose pods start although nobody has said what is enrolled: the mesh itself is in them. */
  readonly exemptNamespaces: ReadonlySet<string>;
}

export interface AddAnswer {
  readonly captured: boolean;
  readonly reason: string;
}

export class CniPods {
  readonly counters = { added: 0, refused: 0, removed: 0 };
  readonly directory: PodDirectory;
  readonly #options: CniPodsOptions;

  constructor(options: CniPodsOptions) {
    this.#options = options;
    this.directory = new PodDirectory(options.clock);
  }

  /** Throws what refuses the pod; retryable unless said otherwise. */
  async add(request: AddRequest): Promise<AddAnswer> {
    try {
      const answer = await this.#add(request);
      this.counters.added += 1;
      return answer;
    } catch (error) {
      this.counters.refused += 1;
      const { namespace, name } = request;
      this.#options.log.warn('pod cannot start yet', { pod: `${namespace}/${name}`, error });
      throw error;
    }
  }

  /** Idempotent. Only the attachment that the pod is served by takes it away: an older sandbox of it may go later. */
  async del({ containerId, ifname }: Attachment): Promise<void> {
    for (const { pod } of [...this.#options.pods.rows]) {
      if (pod.sandbox?.containerId === containerId && pod.sandbox.ifname === ifname) {
        this.counters.removed += 1;
        await this.#options.pods.remove(pod.uid);
      }
    }
  }

  /** Throws when the pod should be captured and is not. A pod that is not known here is not the mesh's to check. */
  check({ containerId }: Attachment): void {
    const row = this.#options.pods.rows.find(({ pod }) => pod.sandbox?.containerId === containerId);
    if (row?.isWanted === true && row.state !== 'captured') {
      throw new AgentError('AGENT_CAPTURE_FAILED', `the pod is not captured, but ${row.state}`);
    }
  }

  /** Lets go of what the runtime does not list for this network. */
  async collect({ network, attachments }: CollectRequest): Promise<number> {
    const valid = new Set(attachments.map(({ containerId, ifname }) => `${containerId}/${ifname}`));
    let count = 0;
    for (const { pod } of [...this.#options.pods.rows]) {
      const { sandbox } = pod;
      if (sandbox?.network === network && !valid.has(`${sandbox.containerId}/${sandbox.ifname}`)) {
        await this.#options.pods.remove(pod.uid);
        count += 1;
      }
    }
    return count;
  }

  /**
   * Pods that run and that the plugin was never asked for: captured now if they are enrolled. Never rejects; resolves
   * with how many were new.
   */
  async adopt(running: readonly AddRequest[]): Promise<number> {
    const { pods, log } = this.#options;
    const known = new Set(pods.rows.map(({ pod }) => pod.uid));
    let count = 0;
    for (const request of running) {
      if (request.uid === '' || known.has(request.uid) || pods.enrolments === undefined) {
        continue;
      }
      const facts = this.directory.find(request);
      const pod = facts === undefined ? unknownPod(request) : podOf(request, facts);
      try {
        await pods.put(pod, CAPTURE_MS);
        count += 1;
      } catch (error) {
        const { namespace, name } = request;
        log.warn('a running pod cannot be taken in', { pod: `${namespace}/${name}`, error });
      }
    }
    return count;
  }

  /** What the controller says of pods; those that run follow. */
  applyFacts(changed: readonly PodFacts[], removed: readonly string[]): void {
    this.directory.apply(changed, removed);
    this.refresh(changed);
  }

  /** Puts what is known of pods in force for those that run here: also after a start, for pods from disk. */
  refresh(changed?: readonly PodFacts[]): void {
    const names = changed && new Set(changed.map(({ namespace, name }) => `${namespace}/${name}`));
    for (const { pod } of this.#options.pods.rows) {
      if (pod.sandbox === undefined || names?.has(`${pod.namespace}/${pod.name}`) === false) {
        continue;
      }
      const facts = this.directory.find(pod);
      if (facts !== undefined) {
        this.#change(withFacts(pod, facts), pod);
      }
    }
  }

  async #add(request: AddRequest): Promise<AddAnswer> {
    const { pods, isConnected } = this.#options;
    const isHeld = this.#isHeld(request.namespace);
    const waitMs = isConnected() || isHeld ? FACTS_MS : 0;
    const facts = await this.directory.wait(request, waitMs);
    if (facts !== undefined) {
      const captured = await pods.put(podOf(request, facts), CAPTURE_MS);
      return { captured, reason: captured ? 'captured' : 'it is not enrolled' };
    }
    return await this.#addUnknown(request);
  }

  /** Nobody says who the pod is. It may start where no pod of its namespace is the mesh's. */
  async #addUnknown(request: AddRequest): Promise<AddAnswer> {
    const { pods, exemptNamespaces } = this.#options;
    const { namespace, uid } = request;
    if (pods.enrolments === undefined) {
      if (exemptNamespaces.has(namespace)) {
        return { captured: false, reason: `namespace ${namespace} is exempt` };
      }
      throw new AgentError(
        'AGENT_ENROLMENT_UNKNOWN',
        'no controller has told this node which namespaces are enrolled',
        { side: 'control-plane' },
      );
    }
    if (this.#isHeld(namespace)) {
      throw new AgentError(
        'AGENT_ENROLMENT_UNKNOWN',
        `the controller has not yet told this node of the pod, and namespace ${namespace} is enrolled`,
        { side: 'control-plane' },
      );
    }
    if (uid !== '') {
      await pods.put(unknownPod(request), CAPTURE_MS);
    }
    return { captured: false, reason: `namespace ${namespace} is not enrolled` };
  }

  /** Whether any pod of the namespace is the mesh's. */
  #isHeld(namespace: string): boolean {
    const enrolment = this.#options.pods.enrolments?.get(namespace);
    return enrolment !== undefined && holdsPods(enrolment);
  }

  #change(next: Pod, before: Pod): void {
    if (JSON.stringify(next) === JSON.stringify(before)) {
      return;
    }
    const { pods, log } = this.#options;
    pods.put(next, CAPTURE_MS).catch((error: unknown) => {
      log.warn('a change of a pod is not in force yet', {
        pod: `${next.namespace}/${next.name}`,
        error: describeError(error),
      });
    });
  }
}

function podOf(request: AddRequest, facts: PodFacts): Pod {
  const { namespace, name } = request;
  const uid = request.uid || facts.uid || `${namespace}.${name}`;
  return withFacts({ ...unknownPod(request), uid }, facts);
}

function withFacts(pod: Pod, { serviceAccount, mode, annotations }: PodFacts): Pod {
  return {
    ...pod,
    serviceAccount,
    labels: mode === undefined ? {} : { [DATAPLANE_MODE_LABEL]: mode },
    annotations,
  };
}

/** Kept for when somebody says who it is; until then it is certainly not captured. */
function unknownPod(request: AddRequest): Pod {
  const { uid, name, namespace, netns, ips, containerId, ifname, network } = request;
  return {
    uid,
    name,
    namespace,
    serviceAccount: 'default',
    labels: { [DATAPLANE_MODE_LABEL]: 'none' },
    annotations: {},
    netnsPath: netns,
    ips,
    sandbox: { containerId, ifname, network },
  };
}
