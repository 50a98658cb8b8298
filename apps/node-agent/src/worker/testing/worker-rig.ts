/**
 * Workers in-process, with pods on loopback addresses instead of network namespaces.
 *
 * A client says where it was going by `connect`; everything else is the worker's own code.
 */
import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

import { type Clock, systemClock } from '@ambit/core';
import type { FakeClock } from '@ambit/core/testing';
import type { Workload } from '@ambit/model';
import { workload } from '@ambit/model/testing';
import type { CompiledPolicy } from '@ambit/policy';
import { Deadlines, type Place, SocketConn } from '@ambit/proxy';
import { Recorder } from '@ambit/proxy/testing';
import { type IssueOptions, TestCa } from '@ambit/testkit';
import { WORKER_CONFIG, type WorkerLimits } from '../config.ts';
import type { FromWorker, ToWorker } from '../messages.ts';
import { connected, type PodSockets } from '../pod-sockets.ts';
import { ProxyWorker, type ProxyWorkerOptions } from '../proxy-worker.ts';

type Resources = Extract<ToWorker, { kind: 'resources' }>;

const LISTENERS = { outbound: 15001, inbound: 15006, hbone: 15008 } as const;

export interface LogLine {
  readonly level: string;
  readonly scope: string;
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface MetricValue {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Family {
  readonly name: string;
  readonly values: readonly MetricValue[];
}

export class WorkerRig {
  readonly clock: Clock;
  readonly ca = new TestCa();
  readonly worker: ProxyWorker;
  readonly messages: FromWorker[] = [];
  readonly lines: LogLine[] = [];
  /** Addresses that pods have dialled. */
  readonly dialled: string[] = [];
  readonly #subnet: string;
  readonly #deadlines: Deadlines;
  /** By listener, in the order of the connects, which is the order of the accepts. */
  readonly #destinations = new Map<string, Place[]>();
  readonly #servers: Server[] = [];
  readonly #open = new Set<Socket>();
  #wake = Promise.withResolvers<void>();
  #sequence = 0;

  constructor(
    options: { readonly limits?: Partial<WorkerLimits> } & Partial<
      Pick<ProxyWorkerOptions, 'clock' | 'lookup'>
    > = {},
  ) {
    this.clock = options.clock ?? systemClock;
    this.#deadlines = new Deadlines(this.clock, 10_000);
    // One /24 of loopback per rig, so that rigs in parallel processes do not share ports.
    const [second, third] = [1 + Math.floor(Math.random() * 254), Math.floor(Math.random() * 255)];
    this.#subnet = `127.${second}.${third}`;
    this.worker = new ProxyWorker({
      config: { ...WORKER_CONFIG, limits: { ...WORKER_CONFIG.limits, ...options.limits } },
      clock: this.clock,
      sink: { write: (line) => this.#note(() => this.lines.push(JSON.parse(line) as LogLine)) },
      openSockets: (path) => this.#sockets(path),
      post: (message) => this.#note(() => this.messages.push(message)),
      ...(options.lookup !== undefined && { lookup: options.lookup }),
    });
  }

  /** The address of the pod with that number. */
  address(pod: number): string {
    return `${this.#subnet}.${pod}`;
  }

  send(message: ToWorker): void {
    this.worker.receive(message);
  }

  resources(changes: {
    readonly addresses?: Resources['addresses']['changed'];
    readonly policies?: readonly CompiledPolicy[];
    readonly removedPolicies?: readonly string[];
  }): void {
    this.#sequence += 1;
    this.send({
      kind: 'resources',
      sequence: this.#sequence,
      addresses: { changed: changes.addresses ?? [], removed: [] },
      authorizations: { changed: changes.policies ?? [], removed: changes.removedPolicies ?? [] },
    });
  }

  workloads(...workloads: readonly Workload[]): void {
    this.resources({ addresses: workloads.map((w) => ({ kind: 'workload', workload: w })) });
  }

  /** Captures two pods with certificates: `client` is number 1 and `server` number 2. */
  async clientAndServer(): Promise<void> {
    const names = ['client', 'server'];
    this.workloads(
      ...names.map((name, index) => workload(name, { addresses: [this.address(index + 1)] })),
    );
    for (const name of names) {
      this.certify(name);
    }
    await Promise.all(names.map(async (name, index) => await this.addPod(index + 1, name)));
  }

  /** Captures a pod of that number, named and with the service account `name`. */
  async addPod(pod: number, name: string): Promise<void> {
    this.send({
      kind: 'pod-added',
      pod: {
        uid: `uid-${name}`,
        name,
        namespace: 'shop',
        serviceAccount: name,
        ips: [this.address(pod)],
        netnsPath: this.address(pod),
        listeners: LISTENERS,
      },
    });
    await this.until(() =>
      this.messages.some((m) => m.kind === 'pod-started' && m.uid === `uid-${name}`),
    );
  }

  certify(name: string, options: IssueOptions = {}): void {
    this.send({ kind: 'certificate', material: this.ca.workload('shop', name, options) });
  }

  /** An application of a pod; `loopback`: of all of them. */
  async serve(pod: number | 'loopback', onSocket: (socket: Socket) => void): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => undefined);
      this.#keep(socket);
      onSocket(socket);
    });
    this.#servers.push(server);
    server.listen(0, pod === 'loopback' ? '127.0.0.1' : this.address(pod));
    await once(server, 'listening');
    const address = server.address();
    return address !== null && typeof address === 'object' ? address.port : 0;
  }

  /** A captured connection of a pod's application, as redirected to `listener`. */
  async connect(
    pod: number,
    destination: Place,
    options: { readonly listener?: keyof typeof LISTENERS; readonly from?: string } = {},
  ): Promise<Recorder & { readonly conn: SocketConn }> {
    const { listener = 'outbound', from = this.address(pod) } = options;
    const host = this.address(pod);
    const port = LISTENERS[listener];
    const key = `${host}:${port}`;
    this.#destinations.set(key, [...(this.#destinations.get(key) ?? []), destination]);
    const socket = connect({ host, port, localAddress: from, allowHalfOpen: true });
    this.#keep(socket);
    await arrived(socket);
    const conn = new SocketConn(socket, { side: 'upstream' });
    return Object.assign(Recorder.on(conn), { conn });
  }

  /** Resolves when `isTrue`, asked again at each message and log line. */
  async until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) {
      await this.#wake.promise;
    }
  }

  /** The value of a metric without labels. */
  metric(name: string): number {
    return this.metricValues(name)[0]?.value ?? 0;
  }

  metricValues(name: string): readonly MetricValue[] {
    this.send({ kind: 'report', id: 0, what: 'metrics' });
    const report = this.messages.findLast((message) => message.kind === 'report');
    const families = report?.kind === 'report' ? (report.value as Family[]) : [];
    return families.find((family) => family.name === name)?.values ?? [];
  }

  /** Lets time pass on a fake clock while no dial is under way, until so many have reached nobody. */
  async passUntilFailed(clock: FakeClock, dials: number): Promise<void> {
    for (;;) {
      const failed = this.metric('ambit_tunnel_dial_failures_total');
      if (failed < dials && failed === this.dialled.length) {
        clock.advance(10);
      }
      await new Promise(setImmediate);
      if (failed >= dials) {
        return;
      }
    }
  }

  line(message: string): LogLine | undefined {
    return this.lines.find((line) => line.message === message);
  }

  /** Every socket of clients and applications. */
  endSockets(): void {
    for (const socket of this.#open) {
      socket.destroy();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.worker.destroy();
    this.endSockets();
    await Promise.all(
      this.#servers.map(async (server) => {
        const closed = once(server, 'close');
        server.close();
        await closed;
      }),
    );
  }

  /** Until it closes. */
  #keep(socket: Socket): void {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
  }

  #note(remember: () => void): void {
    remember();
    this.#wake.resolve();
    this.#wake = Promise.withResolvers<void>();
  }

  #sockets(address: string): PodSockets {
    return {
      listenAt: (port) => ({ host: address, port }),
      dial: async (dial) => {
        const { address: host, port } = dial;
        this.dialled.push(host);
        const socket = connect({ host, port, localAddress: address, allowHalfOpen: true });
        return await connected(socket, dial, this.#deadlines);
      },
      destinationOf: (socket) =>
        this.#destinations.get(`${socket.localAddress}:${socket.localPort}`)?.shift() ?? {
          address: socket.localAddress ?? '',
          port: socket.localPort ?? 0,
        },
      [Symbol.dispose]: () => undefined,
    };
  }
}

/** Connected, or accepted and reset at once, which the connection then reports. Rejects when refused. */
async function arrived(socket: Socket): Promise<void> {
  try {
    await once(socket, 'connect');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ECONNRESET')) {
      throw error;
    }
  }
}
