/**
 * The bond between a node's pods and its agent, over the agent's restarts.
 *
 * Every pod is announced to every agent that comes; a pod's containers start only after it was admitted. Until an
 * agent has answered once, every pod waits, as on a tainted node; later only those whose namespace may be enrolled.
 */
import type { Clock } from '@ambit/core';
import type { PodEvent } from './agent-client.ts';
import { pause } from './pause.ts';

const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 1_000;

/** What is asked of an agent; `AgentClient` asks a real one. */
export interface Agent {
  add(pod: PodEvent): Promise<{ readonly captured: boolean }>;
  update(pod: PodEvent): Promise<void>;
  remove(uid: string): Promise<void>;
  mayBeEnrolled(namespace: string): boolean;
}

interface Entry {
  event: PodEvent;
  readonly admitted: PromiseWithResolvers<void>;
  readonly removed: AbortController;
  isAnnounced: boolean;
  isBusy: boolean;
}

export class AgentLink {
  readonly #client: Agent;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  #hasAnswered = false;
  /** Why the last attempt failed; empty when it did not. */
  lastError = '';

  constructor(client: Agent, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** Resolves when the pod may start. Rejects only when it is removed first. */
  async admit(event: PodEvent): Promise<void> {
    const entry: Entry = {
      event,
      admitted: Promise.withResolvers<void>(),
      removed: new AbortController(),
      isAnnounced: false,
      isBusy: false,
    };
    this.#entries.set(event.uid, entry);
    this.#announce(entry);
    await entry.admitted.promise;
  }

  /** Labels or annotations changed. */
  update(event: PodEvent): void {
    const entry = this.#entries.get(event.uid);
    if (entry === undefined) {
      return;
    }
    entry.event = event;
    if (entry.isAnnounced) {
      this.#client.update(event).catch(() => {
        // The agent is away: announce the pod again when it is back.
        entry.isAnnounced = false;
        this.#announce(entry);
      });
    }
  }

  /** The pod is gone. Best effort: a namespace that is gone serves nobody. */
  async remove(uid: string): Promise<void> {
    const entry = this.#entries.get(uid);
    if (entry === undefined) {
      return;
    }
    this.#entries.delete(uid);
    entry.removed.abort();
    entry.admitted.promise.catch(() => undefined);
    entry.admitted.reject(new Error('removed'));
    await this.#client.remove(uid).catch((error: unknown) => {
      this.lastError = String(error);
    });
  }

  /** A new agent process: it hears of every pod, also of those that it took over. */
  agentStarted(): void {
    for (const entry of this.#entries.values()) {
      entry.isAnnounced = false;
      this.#announce(entry);
    }
  }

  #announce(entry: Entry): void {
    if (!entry.isBusy) {
      entry.isBusy = true;
      void this.#keepTrying(entry).finally(() => {
        entry.isBusy = false;
      });
    }
  }

  async #keepTrying(entry: Entry): Promise<void> {
    let pauseMs = RETRY_MS_MIN;
    while (!entry.isAnnounced && !entry.removed.signal.aborted) {
      try {
        await this.#client.add(entry.event);
        entry.isAnnounced = true;
        this.#hasAnswered = true;
        this.lastError = '';
        entry.admitted.resolve();
      } catch (error) {
        this.lastError = error instanceof Error ? error.message : String(error);
        if (this.#hasAnswered && !this.#client.mayBeEnrolled(entry.event.namespace)) {
          entry.admitted.resolve();
        }
        await pause(this.#clock, pauseMs, entry.removed.signal);
        pauseMs = Math.min(pauseMs * 2, RETRY_MS_MAX);
      }
    }
  }
}
