/**
 * The pods of this node: who they are, whether they are to be captured, how far that is.
 *
 * What is here is also on disk (`PodStore`), so that a new agent goes on where this one ended, without a
 * controller. A pod whose namespace is gone is forgotten.
 */
import type { Clock } from '@ambit/core';
import type { Enrolment } from '@ambit/model';
import { currentNetns, type Netns, NetnsError } from '@ambit/netns';
import { describeError, type Logger } from '@ambit/telemetry';
import type { CaptureOptions } from '../capture/rules.ts';
import { AgentError, superseded } from '../errors.ts';
import { openPodNetns } from './captured-pod.ts';
import { captureOptionsOf, decideEnrolment, type EnrolmentDecision } from './enrolment.ts';
import type { Pod } from './pod.ts';
import { type CaptureState, type CaptureSteps, PodCapture } from './pod-capture.ts';
import type { PodStore } from './store.ts';

/** More than any kubelet runs; the bound of a mistake. */
const PODS_MAX = 1024;
const SWEEP_MS = 15_000;

export interface RegistrySteps extends CaptureSteps {
  kill(): Promise<void>;
  leave(): Promise<void>;
}

export interface PodRegistryOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly store: PodStore;
  readonly defaults: Pick<CaptureOptions, 'dnsCapture' | 'probeSources'>;
  readonly stepsFor: (pod: Pod, ns: Netns) => RegistrySteps;
  /** Another agent decides about this node's pods by now: this one changes nothing and takes no pods. */
  readonly isSuperseded: () => boolean;
  /** A pod came, went, or its state changed. */
  readonly onChange: () => void;
  readonly openNetns?: (pod: Pod) => Netns;
}

interface Entry {
  pod: Pod;
  readonly ns: Netns;
  readonly steps: RegistrySteps;
  readonly capture: PodCapture;
  decision: EnrolmentDecision;
}

export interface PodRow {
  readonly pod: Pod;
  readonly state: CaptureState;
  readonly isWanted: boolean;
  readonly reason: string;
  readonly lastError: string | undefined;
}

export class PodRegistry {
  /** Captures that began and ended since the start; a restart of the agent begins them anew. */
  readonly counters = { started: 0, stopped: 0 };
  readonly #options: PodRegistryOptions;
  readonly #openNetns: (pod: Pod) => Netns;
  readonly #entries = new Map<string, Entry>();
  readonly #stopped = new AbortController();
  #enrolments: ReadonlyMap<string, Enrolment> | undefined;
  #ownNetnsId = '';

  constructor(options: PodRegistryOptions) {
    this.#options = options;
    this.#openNetns = options.openNetns ?? openPodNetns;
  }

  /**
   * Takes over what an earlier agent left, from an open store; `enrolments` beats what is on disk. Does not wait for
   * captures; they go on in the background.
   */
  start(enrolments: ReadonlyMap<string, Enrolment> | undefined): void {
    const { store } = this.#options;
    using own = currentNetns();
    this.#ownNetnsId = own.id;
    this.#enrolments = enrolments ?? store.loadEnrolments();
    if (enrolments !== undefined) {
      store.saveEnrolments(enrolments);
    }
    this.#takeOverAll();
    void this.#sweep();
  }

  /** The agent that had taken over is gone: goes on with what that one left. */
  resume(): void {
    this.#takeOverAll();
    for (const entry of this.#entries.values()) {
      this.#decide(entry);
    }
    if (this.#enrolments !== undefined) {
      this.#options.store.saveEnrolments(this.#enrolments);
    }
  }

  /**
   * Adds or changes a pod. Resolves when it is captured (true), or when it is decided that it is not to be (false).
   * Rejects, never guesses: with AGENT_ENROLMENT_UNKNOWN, AGENT_CAPTURE_TIMEOUT, AGENT_POD_LIMIT, NETNS_OPEN_FAILED.
   */
  async put(pod: Pod, timeoutMs: number): Promise<boolean> {
    if (this.#options.isSuperseded()) {
      throw superseded();
    }
    const entry = this.#put(pod);
    if (entry.decision.mode === 'unknown') {
      throw new AgentError('AGENT_ENROLMENT_UNKNOWN', entry.decision.reason, {
        side: 'control-plane',
      });
    }
    await entry.capture.whenSettled(timeoutMs);
    return entry.decision.mode === 'ambient';
  }

  has(uid: string): boolean {
    return this.#entries.has(uid);
  }

  /** The pod is gone, and its connections with it. Idempotent. */
  async remove(uid: string): Promise<void> {
    const entry = this.#entries.get(uid);
    if (entry === undefined) {
      return;
    }
    this.#entries.delete(uid);
    this.#options.store.forgetPod(uid);
    this.counters.stopped += entry.capture.state === 'captured' ? 1 : 0;
    await entry.capture.end();
    await entry.steps.kill();
    entry.ns[Symbol.dispose]();
    this.#options.onChange();
  }

  /** The whole set, as the controller has it now; kept on disk for a start without one. */
  setEnrolments(enrolments: ReadonlyMap<string, Enrolment>): void {
    this.#enrolments = enrolments;
    this.#options.store.saveEnrolments(enrolments);
    for (const entry of this.#entries.values()) {
      this.#decide(entry);
    }
  }

  get rows(): readonly PodRow[] {
    return [...this.#entries.values()].map(({ pod, capture, decision }) => ({
      pod,
      state: capture.state,
      isWanted: capture.isWanted,
      reason: decision.reason,
      lastError: capture.lastError === undefined ? undefined : describeError(capture.lastError),
    }));
  }

  /** Undefined when no controller was ever heard, now or in an earlier life of this node's state. */
  get enrolments(): ReadonlyMap<string, Enrolment> | undefined {
    return this.#enrolments;
  }

  /** Pods whose new connections are redirected to the agent. */
  get captured(): readonly Pod[] {
    return this.#podsWhere((state) => state === 'captured');
  }

  /** Pods that need a certificate: captured, about to be, or still serving what they have. */
  get served(): readonly Pod[] {
    return [...this.#entries.values()]
      .filter(({ capture }) => capture.isWanted || capture.state !== 'idle')
      .map(({ pod }) => pod);
  }

  /** Pods that should be captured and are not. */
  get pendingCount(): number {
    return [...this.#entries.values()].filter(
      ({ capture, decision }) =>
        decision.mode === 'unknown' || (capture.isWanted && capture.state !== 'captured'),
    ).length;
  }

  /** Leaves every namespace as it is, rules included, and closes this thread's sockets there. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(
      [...this.#entries.values()].map(async ({ capture, steps }) => {
        await capture.end();
        await steps.leave();
      }),
    );
  }

  #podsWhere(accept: (state: CaptureState) => boolean): readonly Pod[] {
    return [...this.#entries.values()]
      .filter(({ capture }) => accept(capture.state))
      .map(({ pod }) => pod);
  }

  /** Every pod on disk that is not known yet. */
  #takeOverAll(): void {
    const { store, log } = this.#options;
    const { pods, problems } = store.loadPods();
    if (problems.length > 0) {
      log.error('pods of an earlier agent cannot be read', { problems });
    }
    for (const { pod, netnsId } of pods.filter(({ pod: { uid } }) => !this.has(uid))) {
      try {
        this.#takeOver(pod, netnsId);
      } catch (error) {
        log.warn('pod of an earlier agent is gone', { pod: pod.uid, error });
        store.forgetPod(pod.uid);
      }
    }
  }

  #takeOver(pod: Pod, netnsId: string): void {
    const ns = this.#openNetns(pod);
    if (ns.id !== netnsId) {
      ns[Symbol.dispose]();
      throw new AgentError('AGENT_POD_INVALID', `"${pod.netnsPath}" is another namespace now`);
    }
    this.#add(pod, ns);
  }

  #put(pod: Pod): Entry {
    const known = this.#entries.get(pod.uid);
    if (known !== undefined && known.pod.netnsPath === pod.netnsPath) {
      return this.#change(known, pod);
    }
    if (known === undefined && this.#entries.size >= PODS_MAX) {
      throw new AgentError('AGENT_POD_LIMIT', `more than ${PODS_MAX} pods`);
    }
    const ns = this.#openNetns(pod);
    if (ns.id === this.#ownNetnsId) {
      ns[Symbol.dispose]();
      throw new AgentError(
        'AGENT_POD_OWN_NETNS',
        'the pod is in the network namespace of the agent',
        {
          retryable: false,
        },
      );
    }
    if (known?.ns.id === ns.id) {
      // Another path to the same namespace, as after the caller's restart.
      ns[Symbol.dispose]();
      return this.#change(known, pod);
    }
    const other = [...this.#entries.values()].find((entry) => entry.ns.id === ns.id);
    if (other !== undefined) {
      ns[Symbol.dispose]();
      throw new AgentError(
        'AGENT_POD_NETNS_TAKEN',
        `the network namespace is that of pod ${other.pod.namespace}/${other.pod.name}`,
      );
    }
    if (known !== undefined) {
      this.#entries.delete(pod.uid);
      void this.#abandon(known);
    }
    return this.#add(pod, ns);
  }

  #change(entry: Entry, pod: Pod): Entry {
    entry.pod = pod;
    this.#options.store.savePod(pod, entry.ns.id);
    this.#decide(entry);
    return entry;
  }

  #add(pod: Pod, ns: Netns): Entry {
    const { clock, log, store, stepsFor, onChange } = this.#options;
    const steps = stepsFor(pod, ns);
    let isCaptured = false;
    const capture = new PodCapture({
      uid: pod.uid,
      clock,
      log,
      steps,
      onChange: (state) => {
        this.counters.started += state === 'captured' && !isCaptured ? 1 : 0;
        this.counters.stopped += state !== 'captured' && isCaptured ? 1 : 0;
        isCaptured = state === 'captured';
        onChange();
      },
    });
    const entry: Entry = { pod, ns, steps, capture, decision: { mode: 'unknown', reason: '' } };
    this.#entries.set(pod.uid, entry);
    store.savePod(pod, ns.id);
    this.#decide(entry);
    onChange();
    return entry;
  }

  /** The pod was made anew under the same uid: the old namespace is nobody's. */
  async #abandon({ capture, steps, ns }: Entry): Promise<void> {
    await capture.end();
    await steps.kill();
    ns[Symbol.dispose]();
  }

  #decide(entry: Entry): void {
    const { pod, capture } = entry;
    entry.decision = decideEnrolment(pod, this.#enrolments);
    if (this.#options.isSuperseded()) {
      return;
    }
    switch (entry.decision.mode) {
      case 'ambient': {
        const enrolment = this.#enrolments?.get(pod.namespace);
        const options = captureOptionsOf(pod, enrolment, this.#options.defaults);
        capture.aim({ mode: 'ambient', options });
        break;
      }
      case 'none':
        capture.aim({ mode: 'none' });
        break;
      case 'unknown':
        // Whatever an earlier agent did stays until somebody says what is wanted.
        break;
    }
  }

  /** Forgets pods whose namespace is gone without a word. */
  async #sweep(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#stopped.signal.aborted) {
      try {
        await clock.sleep(SWEEP_MS, this.#stopped.signal);
      } catch {
        return;
      }
      for (const { pod, ns } of [...this.#entries.values()]) {
        if (!this.#isStillThere(pod, ns)) {
          log.warn('pod is gone without a word', { pod: pod.uid });
          await this.remove(pod.uid);
        }
      }
    }
  }

  #isStillThere(pod: Pod, ns: Netns): boolean {
    try {
      using found = this.#openNetns(pod);
      return found.id === ns.id;
    } catch (error) {
      if (error instanceof NetnsError) {
        return false;
      }
      throw error;
    }
  }
}
