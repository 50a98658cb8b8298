/**
 * Everything of one captured pod: three listeners, its tunnels, its connections.
 *
 * Rule: the pod's namespace stays open until the last connection has ended, and not longer.
 */
import type { MeshError } from '@ambit/core';
import { Acceptor, ConnectionTracker, type TrackerCounters } from '@ambit/proxy';

import { admit } from './admission.ts';
import { WorkerError } from './errors.ts';
import { InboundHbone } from './inbound-hbone.ts';
import { InboundPlaintext } from './inbound-plaintext.ts';
import type { CapturedPod } from './messages.ts';
import { Outbound } from './outbound.ts';
import type { ConnectionRow, PodContext, Tracked, WorkerContext } from './pod-context.ts';
import type { OpenPodSockets, PodSockets } from './pod-sockets.ts';

export class PodProxy {
  readonly pod: CapturedPod;
  readonly #context: PodContext;
  readonly #sockets: PodSockets;
  readonly #outbound: Outbound;
  readonly #hbone: InboundHbone;
  readonly #acceptors: {
    readonly outbound: Acceptor;
    readonly inbound: Acceptor;
    readonly hbone: Acceptor;
  };
  #isClosed = false;

  /** Opens the pod's namespace; throws when it is gone. */
  constructor(pod: CapturedPod, worker: WorkerContext, open: OpenPodSockets) {
    this.pod = pod;
    this.#sockets = open(pod.netnsPath);
    const { connectionsPerPodMax, waitingPerPodMax } = worker.config.limits;
    this.#context = {
      ...worker,
      pod,
      sockets: this.#sockets,
      inbound: new ConnectionTracker<Tracked>({ max: connectionsPerPodMax }),
      // The acceptor's bound counts; a connection leaves here a little after its socket has closed.
      outbound: new ConnectionTracker<Tracked>({ max: connectionsPerPodMax + waitingPerPodMax }),
    };
    const outbound = new Outbound(this.#context);
    const plaintext = new InboundPlaintext(this.#context);
    const hbone = new InboundHbone(this.#context);
    this.#outbound = outbound;
    this.#hbone = hbone;
    this.#acceptors = {
      outbound: this.#acceptor((socket) => outbound.accept(socket)),
      inbound: this.#acceptor((socket) => plaintext.accept(socket)),
      hbone: this.#acceptor((socket) => hbone.accept(socket)),
    };
  }

  /** Takes over the pod's listening descriptors. */
  async start(): Promise<void> {
    const { listeners } = this.pod;
    await Promise.all([
      this.#acceptors.outbound.listen(this.#sockets.listenAt(listeners.outbound)),
      this.#acceptors.inbound.listen(this.#sockets.listenAt(listeners.inbound)),
      this.#acceptors.hbone.listen(this.#sockets.listenAt(listeners.hbone)),
    ]);
  }

  /** After a change: asks policy again about every open inbound connection, and cuts those that it no longer allows. */
  reevaluate(): number {
    this.#outbound.retireGone();
    const { mesh, policyLog } = this.#context;
    return this.#context.inbound.reevaluate(({ inbound }) => {
      if (inbound === undefined) {
        return undefined;
      }
      const admission = admit(inbound, mesh, policyLog);
      return admission.kind === 'admitted'
        ? undefined
        : new WorkerError(
            'WORKER_DENIED_LATER',
            `connection closed due to policy change: ${admission.error.message}`,
          );
    });
  }

  /** After a change of the revocation lists: ends sessions with clients that are on them. */
  recheckClients(): void {
    this.#hbone.server.recheck();
  }

  /** The same with servers. */
  recheckServers(): void {
    this.#outbound.pool.recheck();
  }

  /** After a change of a certificate: takes nothing new from clients of a root that left with it. Answers how many sessions that meets. */
  recheckRoots(): number {
    return this.#hbone.server.recheckRoots();
  }

  /** Stops listening; open connections go on. Resolves when the last has ended. Idempotent. */
  async release(): Promise<void> {
    this.#stopListening();
    const { inbound, outbound } = this.#context;
    await Promise.all([
      this.#hbone.server.drain(),
      inbound.idle(),
      // Connections that are still being dialled need the pool.
      outbound.idle().then(() => this.#outbound.pool.close()),
    ]);
    this.#close();
  }

  /** The pod is gone, or the time is up: everything ends now. Idempotent. */
  kill(reason: MeshError): void {
    this.#stopListening();
    this.#context.outbound.closeAll(reason);
    this.#context.inbound.closeAll(reason);
    this.#outbound.pool.destroy(reason);
    this.#hbone.server.destroy();
    for (const acceptor of Object.values(this.#acceptors)) {
      acceptor.destroy();
    }
    this.#close();
  }

  get rows(): { readonly inbound: ConnectionRow[]; readonly outbound: ConnectionRow[] } {
    const { inbound, outbound } = this.#context;
    return {
      inbound: [...inbound.contexts()].map(({ row }) => row),
      outbound: [...outbound.contexts()].map(({ row }) => row),
    };
  }

  /** Sums for metrics. */
  get counters() {
    const { inbound, outbound, hbone } = this.#acceptors;
    const all = [inbound.counters, outbound.counters, hbone.counters];
    const trackers: TrackerCounters[] = [
      this.#context.inbound.counters,
      this.#context.outbound.counters,
    ];
    return {
      socketsOpen: sum(all.map(({ live }) => live)),
      waiting: sum(all.map(({ waiting }) => waiting)),
      resetAtBound: sum(all.map(({ resetAtBound }) => resetAtBound)),
      withoutAddress: sum(all.map(({ withoutAddress }) => withoutAddress)),
      acceptErrors: sum(all.map(({ errors }) => errors)),
      refusedAtBound: sum(trackers.map(({ refusedAtBound }) => refusedAtBound)),
      closedByPolicy: sum(trackers.map(({ closedByChange }) => closedByChange)),
      server: this.#hbone.server.counters,
      pool: this.#outbound.pool.counters,
      tunnels: this.#outbound.pool.size,
    };
  }

  #acceptor(onSocket: ConstructorParameters<typeof Acceptor>[0]['onSocket']): Acceptor {
    const { limits } = this.#context.config;
    return new Acceptor({
      liveMax: limits.connectionsPerPodMax,
      waitingMax: limits.waitingPerPodMax,
      onSocket,
      onError: (error) => this.#context.log.warn('accept failed', { pod: this.pod.uid, error }),
    });
  }

  #stopListening(): void {
    for (const acceptor of Object.values(this.#acceptors)) {
      acceptor.close();
    }
  }

  #close(): void {
    if (!this.#isClosed) {
      this.#isClosed = true;
      this.#sockets[Symbol.dispose]();
    }
  }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
