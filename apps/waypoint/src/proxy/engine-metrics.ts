/** What the engine of a worker counts on its connections, by the names of metrics. */
import type { HttpEngine } from '@ambit/http';

/** Families with labels, in prom-client's JSON. Series that stand at 0 are left out. */
export function engineFamilies({
  http1Refusals,
  http2Counters,
}: Pick<HttpEngine, 'http1Refusals' | 'http2Counters'>): readonly object[] {
  const { floods, boundsReached } = http2Counters;
  return [
    byReason(
      'ambit_waypoint_http1_refused_total',
      'Bytes of HTTP/1 clients that are no request, too many or too slow',
      http1Refusals,
    ),
    byReason(
      'ambit_waypoint_http2_floods_total',
      'Sessions of HTTP/2 clients that were ended at a rate, or at another bound',
      Object.entries({ ...floods, boundsReached }),
    ),
  ];
}

function byReason(
  name: string,
  help: string,
  counts: Iterable<readonly [reason: string, count: number]>,
): object {
  const values = [...counts]
    .filter(([, value]) => value > 0)
    .map(([reason, value]) => ({ labels: { reason }, value }));
  return { name, help, type: 'counter', aggregator: 'sum', values };
}

export function engineMetrics(engine: HttpEngine): Readonly<Record<string, number>> {
  return { ...ofClients(engine), ...ofEndpoints(engine) };
}

/** What of clients' bytes was no HTTP, or too much, or too slow. */
function ofClients({ http2Counters, probation }: HttpEngine): Record<string, number> {
  const { protocolErrors, streamErrors } = http2Counters;
  return {
    ambit_waypoint_http2_protocol_errors_total: protocolErrors + streamErrors,
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
