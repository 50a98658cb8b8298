/**
 * One complete waypoint proxy: the 15008 listener, tunnels, the HTTP engine and its upstreams, fed by messages.
 *
 * Rule: it serves nothing before it was told that its configuration is complete, and serves no destination
 * that is not bound to this waypoint.
 */
import { abortSignalOf, type Clock, Drain } from '@ambit/core';
import {
  type ConnectAnswer,
  type ConnectRequest,
  HboneServer,
  threadBoundMetrics,
  tunnelFamilies,
} from '@ambit/hbone';
import { HttpEngine, HttpError } from '@ambit/http';
import { RevocationLists, type RevocationState, revocationsOf } from '@ambit/identity';
import { MeshIndex, WaypointView } from '@ambit/model';
import { Acceptor, formatAddress } from '@ambit/proxy';
import {
  createLogger,
  describeError,
  type Logger,
  LogLevels,
  type LogSink,
} from '@ambit/telemetry';
import { AccessLog } from './access-log.ts';
import { callerOf } from './caller.ts';
import { CertificateSlot } from './certificate-slot.ts';
import { destinationOf } from './destination.ts';
import { engineFamilies, engineMetrics } from './engine-metrics.ts';
import { MeshContext } from './mesh-context.ts';
import type { FromWorker, ListenAt, ToWorker, WorkerConfig } from './messages.ts';
import { RequestMetrics } from './request-metrics.ts';
import { UpstreamDialer } from './upstream-dialer.ts';
import { WaypointPlane } from './waypoint-plane.ts';

/** Behind the server's own bounds (4096 sessions, 1024 handshakes, 256 that are leaving), which are shared among peers. */
const CONNECTIONS_MAX = 6_000;
const CONNECTIONS_WAITING_MAX = 1_024;

export interface ProxyWorkerOptions {
  readonly config: WorkerConfig;
  readonly clock: Clock;
  readonly sink: LogSink;
  readonly post: (message: FromWorker) => void;
  readonly random?: () => number;
  /** Tests only: agents listen elsewhere. */
  readonly hbonePort?: number;
}

export class ProxyWorker {
  readonly #options: ProxyWorkerOptions;
  readonly #index: MeshIndex;
  readonly #view: WaypointView;
  readonly #certificate: CertificateSlot;
  readonly #mesh: MeshContext;
  readonly #dialer: UpstreamDialer;
  readonly #engine: HttpEngine;
  readonly #server: HboneServer;
  readonly #acceptor: Acceptor;
  readonly #log: Logger;
  readonly #access: AccessLog;
  readonly #metrics = new RequestMetrics();
  #isServing = false;

  constructor(options: ProxyWorkerOptions) {
    this.#options = options;
    const { config, clock, sink } = options;
    const log = createLogger({
      scope: 'worker',
      levels: new LogLevels(config.logSpec),
      sink,
      wallNow: () => clock.wallNow(),
    });
    this.#log = log;
    this.#access = new AccessLog(log.scoped('access'));
    this.#index = new MeshIndex({ network: config.network });
    this.#view = new WaypointView(this.#index, config);
    this.#certificate = new CertificateSlot(clock);
    this.#dialer = new UpstreamDialer({
      clock,
      index: this.#index,
      identity: config.identity,
      certificate: () => this.#certificate.require(),
      revocations: () => this.#certificate.revocations,
      ...(options.hbonePort === undefined ? {} : { hbonePort: options.hbonePort }),
    });
    this.#mesh = new MeshContext({
      index: this.#index,
      view: this.#view,
      dial: async (call, signal) => await this.#dialer.dial(call, signal),
    });
    const onProbation = (peer: string): void =>
      log.warn('a peer was ended for a flood, and begins with less for a minute', { peer });
    this.#engine = new HttpEngine({
      clock,
      onProbation,
      onSweepError: (cause) =>
        log.error('housekeeping of connections failed', { error: describeError(cause) }),
      identity: () => config.identity,
      ...(options.random === undefined ? {} : { random: options.random }),
      observer: {
        onRequest: (record) => {
          this.#metrics.request(record);
          this.#access.request(record);
        },
        onConnectionOpened: (record) => this.#metrics.opened(record),
        onConnection: (record) => {
          this.#metrics.connection(record);
          this.#access.connection(record);
        },
        onRefused: ({ caller, destination, phase, error }) => {
          this.#metrics.answered(phase);
          this.#access.refused({
            source: formatAddress(caller.ip, caller.port),
            authority: destination.authority,
            phase,
            error: describeError(error),
          });
        },
      },
    });
    this.#server = new HboneServer({
      clock,
      identity: () => this.#certificate.require(),
      revocations: () => this.#certificate.revocations,
      onConnect: async (request) => await this.#connect(request),
      onProbation,
      onRejected: ({ error, remoteAddress, remotePort }) =>
        this.#access.refused({
          source: formatAddress(remoteAddress, remotePort),
          authority: '',
          error: describeError(error),
        }),
    });
    this.#acceptor = new Acceptor({
      liveMax: CONNECTIONS_MAX,
      waitingMax: CONNECTIONS_WAITING_MAX,
      onSocket: (socket) => this.#server.accept(socket),
      onError: (error) => log.error('the listener failed', { error: describeError(error) }),
    });
  }

  receive(message: ToWorker): void {
    switch (message.kind) {
      case 'addresses':
        this.#index.apply(message);
        this.#dialer.retireGone();
        this.#applied(message.sequence, []);
        return;
      case 'objects':
        this.#applied(message.sequence, this.#view.apply(message));
        return;
      case 'certificate':
        this.#certificate.set(message.material);
        this.#recheckRoots();
        return;
      case 'certificate-unavailable':
        this.#certificate.setUnavailable(message.reason);
        // For nobody's sake but the key's: the server lets go of it.
        this.#recheckRoots();
        return;
      case 'revocations':
        this.#revoked(message.state);
        return;
      case 'serve':
        this.#background(this.#serve(message.at));
        return;
      case 'leave':
        this.#engine.leave();
        return;
      case 'drain':
        this.#background(this.#drain(message.deadlineMs));
        return;
      case 'report': {
        const value = message.what === 'metrics' ? this.#snapshot() : this.#clusterRows();
        this.#options.post({ kind: 'report', id: message.id, value });
      }
    }
  }

  /** Now. Idempotent. */
  destroy(): void {
    this.#acceptor.destroy();
    this.#server.destroy();
    this.#engine.destroy();
    this.#dialer.pool.destroy();
  }

  /** With the certificate its bundle came, which may have lost a root. */
  #recheckRoots(): void {
    const sessions = this.#server.recheckRoots();
    if (sessions > 0) {
      const what = 'sessions take nothing new: their root is trusted no longer';
      this.#log.warn(what, { sessions });
    }
  }

  /** What fails here stops neither the thread nor the next step, and nobody new is taken. */
  #revoked(state: RevocationState): void {
    for (const step of [
      () => {
        this.#certificate.revocations = revocationsOf(state);
      },
      () => this.#server.recheck(),
      () => this.#dialer.pool.recheck(),
    ]) {
      try {
        step();
      } catch (cause) {
        const error = describeError(cause);
        this.#certificate.revocations = RevocationLists.unusable(error);
        this.#log.error('the revocation lists cannot be applied', { error });
      }
    }
  }

  /** Everything that was open under the configuration before is looked at again. */
  #applied(sequence: number, rejected: Extract<FromWorker, { kind: 'applied' }>['rejected']): void {
    this.#mesh.changed();
    this.#engine.recheck();
    this.#options.post({ kind: 'applied', sequence, rejected });
  }

  async #serve(at: ListenAt): Promise<void> {
    if (this.#isServing) {
      return;
    }
    this.#isServing = true;
    this.#engine.start();
    try {
      await this.#acceptor.listen(at);
      this.#options.post({ kind: 'serving', port: this.#acceptor.port });
    } catch (error) {
      this.#isServing = false;
      this.#options.post({ kind: 'serving', port: 0, error: describeError(error) });
    }
  }

  async #drain(deadlineMs: number): Promise<void> {
    this.#acceptor.close();
    const drain = new Drain(this.#options.clock);
    const hold = drain.hold('connections');
    const gone = Promise.all([this.#server.drain(), this.#engine.drain()]);
    gone.then(
      () => hold[Symbol.dispose](),
      () => undefined,
    );
    await drain.start({ mode: 'graceful', deadlineMs });
    const cutOff = this.#engine.live;
    this.destroy();
    this.#options.post({ kind: 'drained', cutOff });
  }

  async #connect(request: ConnectRequest): Promise<ConnectAnswer> {
    const { config } = this.#options;
    const { authority, peer } = request;
    if (peer.uri === config.identity) {
      return this.#refuse(request, 400, 'the caller is this waypoint itself: a loop');
    }
    const caller = callerOf(request, this.#index);
    const found = destinationOf(authority, caller.namespace, {
      view: this.#view,
      index: this.#index,
      config,
    });
    if (found.kind === 'refused') {
      return this.#refuse(request, 400, found.text);
    }
    const { destination } = found;
    const plane = new WaypointPlane(caller, destination, this.#mesh);
    if (destination.protocol !== 'TCP' && destination.protocol !== 'TLS') {
      return {
        status: 200,
        serve: (conn) => this.#background(this.#engine.serve(conn, plane)),
      };
    }
    try {
      const serve = await this.#engine.openTcp(plane, abortSignalOf(request.signal));
      return { status: 200, serve: (conn) => this.#background(serve(conn)) };
    } catch (error) {
      // The engine has written the line; the client's agent only needs the class of the refusal.
      const isDenied = error instanceof HttpError && error.answer.status === 403;
      return { status: isDenied ? 401 : 503, reason: describeError(error) };
    }
  }

  #refuse(request: ConnectRequest, status: 400, reason: string): ConnectAnswer {
    this.#access.refused({
      source: formatAddress(request.remoteAddress, request.remotePort),
      authority: request.authority,
      error: reason,
    });
    return { status, reason };
  }

  #snapshot(): unknown {
    const { counters, live } = this.#engine;
    const server = this.#server.counters;
    const pool = this.#dialer.pool.counters;
    const plain = {
      ...engineMetrics(this.#engine),
      ambit_log_lines_dropped_total: this.#options.sink.dropped ?? 0,
      ambit_waypoint_requests_active: counters.active,
      ambit_waypoint_requests_overloaded_total: counters.overloaded,
      ambit_waypoint_mirrors_dropped_total: counters.mirrorsDropped,
      ambit_waypoint_sweep_errors_total: counters.sweepErrors,
      ambit_waypoint_connections: live,
      ambit_hbone_sessions: this.#server.live,
      ambit_hbone_upstream_tunnels: this.#dialer.pool.size,
      ambit_hbone_upstream_dials_total: pool.dials,
      ambit_hbone_upstream_dials_again_total: pool.dialsAgain,
      ambit_hbone_upstream_dial_failures_total: pool.dialFailures,
      ambit_hbone_upstream_abandoned: pool.abandonedOpen,
      ambit_hbone_upstream_abandoned_total: pool.abandoned,
      ambit_hbone_upstream_abandoned_at_bound_total: pool.abandonedAtBound,
      ambit_hbone_handshake_failures_total: server.handshakeFailures,
      ambit_hbone_refusals_total: server.refusals,
      ambit_tunnel_probations_total: server.probation.begun,
      ambit_tunnel_probation_waits_total: server.probation.waits,
      ambit_tunnel_probation_refused_total: server.probation.refused,
      ambit_tunnel_probation_forgotten_total: server.probation.forgotten,
      ambit_tunnel_handshakes_resumed_total: server.resumed + pool.resumed,
      ambit_tunnel_sessions_displaced_total: server.displaced,
      ambit_tunnel_handshakes_displaced_total: server.handshakesDisplaced,
      ambit_tunnel_sessions_refused_at_bound_total: server.refusedAtBound,
      ...threadBoundMetrics(),
      ambit_tunnel_sessions_revoked_total: server.endedByRecheck + pool.endedByRecheck,
      ambit_tunnel_sessions_distrusted_total: server.distrusted,
      ambit_connections_reset_at_bound_total: this.#acceptor.counters.resetAtBound,
      ambit_connections_without_address_total:
        this.#acceptor.counters.withoutAddress + server.withoutAddress,
    };
    const tunnels = tunnelFamilies({ servers: [server], pools: [pool] });
    return this.#metrics.snapshot(plain, [...tunnels, ...engineFamilies(this.#engine)]);
  }

  #clusterRows(): unknown {
    return this.#engine.clusters.values().map((state) => ({
      name: state.cluster.name,
      active: state.active,
      ejected: state.ejected,
      objects: state.cluster.objects,
    }));
  }

  /** What fails in the background has answered for itself; the thread goes on. */
  #background(work: Promise<unknown>): void {
    work.catch((error: unknown) => {
      this.#access.refused({ source: '', authority: '', error: describeError(error) });
    });
  }
}
