/** Counters of the worker that are not per connection, under the names they have in metrics. */
import { newFloodCounts, newPeerRefusalCounts, tunnelFamilies } from '@ambit/hbone';

import type { PodProxy } from './pod-proxy.ts';

type PodCounters = PodProxy['counters'];

const NAMES: Readonly<Record<string, (pod: PodCounters) => number>> = {
  ambit_connections_waiting: (pod) => pod.waiting,
  ambit_connections_reset_at_bound_total: (pod) => pod.resetAtBound,
  ambit_connections_refused_at_bound_total: (pod) => pod.refusedAtBound,
  ambit_connections_closed_by_policy_total: (pod) => pod.closedByPolicy,
  ambit_connections_without_address_total: (pod) => pod.withoutAddress + pod.server.withoutAddress,
  ambit_accept_errors_total: (pod) => pod.acceptErrors,
  ambit_tunnels_open: (pod) => pod.tunnels,
  ambit_tunnel_dials_total: (pod) => pod.pool.dials,
  ambit_tunnel_dials_again_total: (pod) => pod.pool.dialsAgain,
  ambit_tunnel_dial_failures_total: (pod) => pod.pool.dialFailures,
  ambit_tunnel_streams_total: (pod) => pod.pool.streams,
  ambit_tunnel_streams_abandoned: (pod) => pod.pool.abandonedOpen,
  ambit_tunnel_streams_abandoned_total: (pod) => pod.pool.abandoned,
  ambit_tunnel_streams_abandoned_at_bound_total: (pod) => pod.pool.abandonedAtBound,
  ambit_tunnels_released_total: (pod) => pod.pool.released,
  ambit_tunnel_handshake_failures_total: (pod) => pod.server.handshakeFailures,
  ambit_tunnel_identity_refusals_total: (pod) => pod.server.identityRefusals,
  ambit_tunnel_handshakes_resumed_total: ({ server, pool }) => server.resumed + pool.resumed,
  ambit_tunnel_sessions_revoked_total: ({ server, pool }) =>
    server.endedByRecheck + pool.endedByRecheck,
  ambit_tunnel_sessions_distrusted_total: (pod) => pod.server.distrusted,
  ambit_tunnel_sessions_displaced_total: (pod) => pod.server.displaced,
  ambit_tunnel_handshakes_displaced_total: (pod) => pod.server.handshakesDisplaced,
  ambit_tunnel_sessions_refused_at_bound_total: (pod) => pod.server.refusedAtBound,
  ambit_tunnel_probations_total: (pod) => pod.server.probation.begun,
  ambit_tunnel_probation_waits_total: (pod) => pod.server.probation.waits,
  ambit_tunnel_probation_refused_total: (pod) => pod.server.probation.refused,
  ambit_tunnel_probation_forgotten_total: (pod) => pod.server.probation.forgotten,
  ambit_tunnel_bad_requests_total: (pod) => pod.server.badRequests,
  ambit_tunnel_headers_too_large_total: (pod) => pod.server.h2.oversizeHeaders,
  ambit_tunnel_streams_refused_total: (pod) => pod.server.h2.refusedStreams,
  ambit_tunnel_preface_timeouts_total: (pod) => pod.server.prefaceTimeouts,
  ambit_tunnel_protocol_errors_total: (pod) => both(pod, 'protocolErrors'),
  ambit_tunnel_ping_timeouts_total: (pod) => both(pod, 'pingTimeouts'),
  ambit_tunnel_stalls_total: (pod) => both(pod, 'connectionStalls'),
};

/** Tunnels that it accepts, and those that it opens. */
function both(
  { server, pool }: PodCounters,
  name: 'protocolErrors' | 'pingTimeouts' | 'connectionStalls',
): number {
  return server.h2[name] + pool.h2[name];
}

/** Counts only ever grow, so what a pod counted stays when the pod goes; gauges go with it. */
export class WorkerCounters {
  readonly #gone = new Map<string, number>();
  /** Of clients and of servers. */
  readonly #goneClients = newPeerRefusalCounts();
  readonly #goneServers = newPeerRefusalCounts();
  readonly #goneFloods = newFloodCounts();
  started = 0;
  stopped = 0;

  /** Call once, when the pod's last connection has ended. */
  retire(pod: PodProxy): void {
    const { counters } = pod;
    for (const [name, read] of Object.entries(NAMES)) {
      if (name.endsWith('_total')) {
        this.#gone.set(name, (this.#gone.get(name) ?? 0) + read(counters));
      }
    }
    add(this.#goneClients, counters.server.refusedPeers);
    add(this.#goneServers, counters.pool.refusedPeers);
    add(this.#goneFloods, counters.server.floods);
  }

  /** Those with labels, in prom-client's JSON. */
  families(pods: readonly PodProxy[]): readonly object[] {
    const servers = pods.map(({ counters }) => counters.server);
    const pools = pods.map(({ counters }) => counters.pool);
    return tunnelFamilies({
      servers: [{ refusedPeers: this.#goneClients, floods: this.#goneFloods }, ...servers],
      pools: [{ refusedPeers: this.#goneServers }, ...pools],
    });
  }

  read(pods: readonly PodProxy[]): Readonly<Record<string, number>> {
    const counters = pods.map((pod) => pod.counters);
    const sums: Record<string, number> = {};
    for (const [name, read] of Object.entries(NAMES)) {
      const gone = this.#gone.get(name) ?? 0;
      sums[name] = counters.reduce((total, pod) => total + read(pod), gone);
    }
    return {
      ...sums,
      istio_tcp_sockets_open: counters.reduce((total, pod) => total + pod.socketsOpen, 0),
      workload_manager_active_proxy_count: pods.length,
      workload_manager_proxies_started_total: this.started,
      workload_manager_proxies_stopped_total: this.stopped,
    };
  }
}

function add<Reason extends string>(
  sums: Record<Reason, number>,
  counts: Readonly<Record<Reason, number>>,
): void {
  for (const reason in sums) {
    sums[reason] += counts[reason];
  }
}
