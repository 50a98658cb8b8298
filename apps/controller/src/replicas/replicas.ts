/**
 * The other replicas of this controller, both ways: what they are told, and what they say.
 *
 * Everything here works on without any of them; what nobody can tell then counts as unknown.
 */
import type { ObjectKey } from '@ambit/api';
import type { Clock } from '@ambit/core';
import type { Logger } from '@ambit/telemetry';
import {
  type ControlPlaneAddress,
  openReplicaStream,
  type ReplicaServiceOptions,
} from '@ambit/xds';
import type { Registry } from 'prom-client';

import type { CaptureChange, Captures } from '../index/captures.ts';
import { createReplicaMetrics } from '../metrics.ts';
import type { ProxyTable } from '../serve/proxy-table.ts';
import type { Enforcement } from '../status/enforcement.ts';
import type { RemoteBook } from './remote-book.ts';
import { ReplicaFeed } from './replica-feed.ts';
import { type Peer, ReplicaPeers } from './replica-peers.ts';

export interface ReplicasOptions {
  /** Name of the pod that this is. */
  readonly self: string;
  /** Of the controller: `namespace/serviceaccount`. No other may ask. */
  readonly account: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly random?: () => number;
  /** All replicas, also this one. */
  readonly peers: () => readonly Peer[];
  /** How they are called; the address is the peer's, the name that of the control plane. */
  readonly target: Omit<ControlPlaneAddress, 'address'>;
  /** The one that `proxies` and `enforcement` read. */
  readonly book: RemoteBook;
  readonly proxies: Pick<ProxyTable, 'own'>;
  readonly captures: Captures;
  readonly enforcement: Pick<Enforcement, 'own'>;
  /** Uids of pods that wait for their agent, as the model knows. Default: none. */
  readonly awaited?: () => Iterable<string>;
  /** Pods that agents of other replicas have captured, or hold no longer, or that wait for theirs. */
  readonly onCaptured: (change: CaptureChange) => void;
  /** What others say has changed, of some objects or of all: statuses may have. */
  readonly onChange: (keys: ReadonlySet<ObjectKey> | 'all') => void;
}

export class Replicas {
  /** For the server of the control plane. */
  readonly service: ReplicaServiceOptions;
  readonly #feed: ReplicaFeed;
  readonly #peers: ReplicaPeers;
  readonly #book: RemoteBook;

  constructor(options: ReplicasOptions) {
    const { self, clock, log, proxies, captures, enforcement, target, book } = options;
    this.#book = book;
    this.#feed = new ReplicaFeed({
      self,
      clock,
      log,
      proxies: () => proxies.own(),
      captures: () => captures.own(),
      answers: () => enforcement.own(),
      awaited: () => options.awaited?.() ?? [],
    });
    this.service = { account: options.account, watch: (call) => this.#feed.watch(call) };
    this.#peers = new ReplicaPeers({
      ...{ self, clock, log, book, captures },
      ...(options.random === undefined ? {} : { random: options.random }),
      peers: options.peers,
      onCaptured: options.onCaptured,
      open: ({ name, address }, signal) =>
        openReplicaStream({ ...target, address }, { watcher: self, replica: name }, signal),
      onChange: (keys) => {
        this.#feed.touch();
        options.onChange(keys);
      },
    });
  }

  /** Begins to ask the others. To be called once the control plane of this one is served. */
  start(): void {
    this.#peers.start();
  }

  /** A stream, an acknowledgement or the model has changed. Cheap. */
  touch(): void {
    this.#feed.touch();
  }

  /** What `peers` answers may have changed. */
  touchPeers(): void {
    this.#peers.touch();
  }

  /**
   * Whether all that serve have been heard; false when that took too long. Before that, pods that agents of others
   * have captured are not known here, so that no proxy should be served. Rejects when aborted.
   */
  async settled(limit: {
    readonly timeoutMs: number;
    readonly signal: AbortSignal;
  }): Promise<boolean> {
    return await this.#peers.settled(limit);
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    this.#feed.stop();
    await this.#peers.stop();
  }

  /** For people. */
  describe(): unknown {
    return this.#peers.describe();
  }

  /** Once per registry. */
  registerMetrics(registry: Registry): void {
    createReplicaMetrics(registry, {
      peers: () => {
        const replicas = this.#book.replicas();
        const heard = replicas.filter(({ isHeard }) => isHeard).length;
        return { heard, silent: replicas.length - heard };
      },
      watchers: () => this.#feed.watchers,
    });
  }
}
