/**
 * Where the agent listens: TCP for people and scrapers, unix sockets that agents of one node share.
 *
 * Rule: while another agent of the node lives, an address that it has is none to fail for; this one listens there as soon as
 * the other has gone.
 */
import { join } from 'node:path';
import type { Clock } from '@ambit/core';
import {
  type AdminRoute,
  AdminServer,
  type Logger,
  metricsRoute,
  type Readiness,
  readinessRoute,
} from '@ambit/telemetry';
import type { AgentConfig, Endpoint } from '../config.ts';
import { SharedSocket } from '../handover/shared-socket.ts';

const TAKEN_RETRY_MS = 250;

export interface AgentServersOptions {
  readonly config: AgentConfig;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface Pages {
  readonly admin: readonly AdminRoute[];
  readonly readiness: Readiness;
  readonly metricsText: () => Promise<string>;
}

export class AgentServers {
  readonly adminSocket: SharedSocket;
  /** Of pod events; whoever has claimed it decides about the node's pods. */
  readonly podSocket: SharedSocket;
  readonly #options: AgentServersOptions;
  readonly #ports: AdminServer[] = [];
  readonly #sockets: AdminServer[] = [];
  readonly #stopped = new AbortController();
  #hasPredecessor = false;

  constructor(options: AgentServersOptions) {
    this.#options = options;
    this.adminSocket = new SharedSocket(options.config.adminSocket);
    this.podSocket = new SharedSocket(join(options.config.runDir, 'agent.sock'));
  }

  /** Throws where an address is taken by a stranger. The admin socket's path stays a living predecessor's. */
  async listenForPeople({ admin, readiness, metricsText }: Pages): Promise<void> {
    const { config } = this.#options;
    await this.adminSocket.listen(this.#server(this.#sockets, 'Ambit node agent', admin));
    this.#hasPredecessor = await this.adminSocket.isServedByAnother();
    if (!this.#hasPredecessor) {
      this.adminSocket.claim();
    }
    await this.#listen('Ambit node agent', config.adminAddress, admin);
    await this.#listen('Ambit node agent, metrics', config.metricsAddress, [
      metricsRoute('/metrics', metricsText),
      metricsRoute('/stats/prometheus', metricsText),
    ]);
    await this.#listen('Ambit node agent, readiness', config.readinessAddress, [
      readinessRoute('/healthz/ready', readiness),
    ]);
  }

  /** Under the own name alone; `claim` makes it the one that callers reach. */
  async listenForPods(routes: readonly AdminRoute[]): Promise<void> {
    await this.podSocket.listen(this.#server(this.#sockets, 'Ambit node agent, pods', routes));
  }

  /** From here on this agent is the node's. */
  claim(): void {
    this.adminSocket.claim();
    this.podSocket.claim();
  }

  /** Callers find no agent, or the one that has taken over. */
  disown(): void {
    this.adminSocket[Symbol.dispose]();
    this.podSocket[Symbol.dispose]();
  }

  /** For the agent that has taken over; the unix sockets stay. */
  async releasePorts(): Promise<void> {
    this.#stopped.abort();
    await Promise.all(this.#ports.map((server) => server.stop()));
  }

  async stop(): Promise<void> {
    await this.releasePorts();
    await Promise.all(this.#sockets.map((server) => server.stop()));
  }

  async #listen(title: string, address: Endpoint, routes: readonly AdminRoute[]): Promise<void> {
    const server = this.#server(this.#ports, title, routes);
    try {
      await server.listen(address);
    } catch (error) {
      if (!(this.#hasPredecessor && isTaken(error))) {
        throw error;
      }
      this.#options.log.info('another agent of this node has the address still', { ...address });
      void this.#listenLater(server, address);
    }
  }

  async #listenLater(server: AdminServer, address: Endpoint): Promise<void> {
    const { clock, log } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      try {
        await clock.sleep(TAKEN_RETRY_MS, signal);
        await server.listen(address);
        return;
      } catch (error) {
        if (!signal.aborted && !isTaken(error)) {
          log.error('cannot listen', { ...address, error });
          return;
        }
      }
    }
  }

  #server(list: AdminServer[], title: string, routes: readonly AdminRoute[]): AdminServer {
    const server = new AdminServer({ title, routes, log: this.#options.log.scoped('admin') });
    list.push(server);
    return server;
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EADDRINUSE';
}
