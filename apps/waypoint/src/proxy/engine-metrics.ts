/** What the engine of a worker counts on its connections, by the names of metrics. */
import type { HttpEngine } from '@ambit/http';

export function engineMetrics(engine: HttpEngine): Readonly<Record<string, number>> {
  return { ...ofClients(engine), ...ofEndpoints(engine) };
}

/** What of clients' bytes was no HTTP, or too much, or too slow. */
function ofClients({
  http1Refusals,
  http2Counters,
  probation,
}: HttpEngine): Record<string, number> {
  const { floods, boundsReached, protocolErrors, streamErrors } = http2Counters;
  let refused = 0;
  for (const [, count] of http1Refusals) {
    refused += count;
  }
  let flooded = boundsReached;
  for (const count of Object.values(floods)) {
    flooded += count;
  }
  return {
    ambit_waypoint_http1_refused_total: refused,
    ambit_waypoint_http2_protocol_errors_total: protocolErrors + streamErrors,
    ambit_waypoint_http2_floods_total: flooded,
    ambit_waypoint_http2_probations_total: probation.counters.begun,
    ambit_waypoint_http2_probation_waits_total: probation.counters.waits,
    ambit_waypoint_http2_probation_refused_total: probation.counters.refused,
    ambit_waypoint_http2_probation_forgotten_total: probation.counters.forgotten,
    ambit_waypoint_http2_headers_too_large_total: http2Counters.oversizeHeaders,
    ambit_waypoint_http2_stalls_total:
      http2Counters.connectionStalls + http2Counters.streamStalls + http2Counters.handshakeTimeouts,
  };
}

/** What servers did, and what was kept of their connections. */
function ofEndpoints({ upstream }: HttpEngine): Record<string, number> {
  return {
    ambit_waypoint_upstream_connections: upstream.connections,
    ambit_waypoint_upstream_idle_connections: upstream.idle,
    ambit_waypoint_upstream_sessions: upstream.sessions,
    ambit_waypoint_upstream_connections_opened_total: upstream.opened,
    ambit_waypoint_upstream_connections_reused_total: upstream.reused,
    ambit_waypoint_upstream_requests_repeated_total: upstream.repeated,
    ambit_waypoint_upstream_responses_refused_total: upstream.responsesRefused,
    ambit_waypoint_upstream_floods_total: upstream.floods,
    ambit_waypoint_upstream_sessions_refused_total: upstream.sessionsRefused,
    ambit_waypoint_upstream_sessions_yielded_total: upstream.sessionsYielded,
    ambit_waypoint_upstream_ping_timeouts_total: upstream.pingTimeouts,
  };
}
