/**
 * The waypoint's metrics, as plain numbers; prom-client's form is made when somebody asks.
 *
 * Labels come from the mesh's own names and closed sets, never from what a client sends, and the number of
 * series is bounded: beyond, everything counts under one series without names.
 */
import type { Caller, ConnectionRecord, Destination, RequestRecord } from '@ambit/http';
import type { Workload } from '@ambit/model';
import { type PhaseName, workloadIdentity } from '@ambit/routing';
import type { MetricsSnapshot } from '@ambit/telemetry';

const SERIES_MAX = 20_000;
const UNKNOWN = 'unknown';
/** Envoy's bounds. */
const BOUNDS = [
  0.5, 1, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 300000, 600000,
  1800000, 3600000,
] as const;

type Labels = Readonly<Record<string, string>>;

interface Histogram {
  readonly buckets: number[];
  sum: number;
  count: number;
}

interface RequestSeries {
  readonly labels: Labels;
  total: number;
  readonly duration: Histogram;
  readonly requestBytes: Histogram;
  readonly responseBytes: Histogram;
}

/** By endpoint, or the destination where none was reached; then by outcome. */
interface TunnelSeries {
  readonly destination: Destination;
  readonly endpoints: WeakMap<object, Map<string, RequestSeries>>;
}

interface TcpSeries {
  readonly labels: Labels;
  opened: number;
  closed: number;
  received: number;
  sent: number;
}

const or = (value: string | undefined): string =>
  value === undefined || value === '' ? UNKNOWN : value;

export class RequestMetrics {
  readonly #requests = new Map<string, RequestSeries>();
  readonly #tcp = new Map<string, TcpSeries>();
  readonly #tunnels = new WeakMap<Caller, TunnelSeries>();
  readonly #answered = new Map<PhaseName, number>();
  #overflow = 0;

  request(record: RequestRecord): void {
    const known = this.#ofEnds(record);
    const outcome = outcomeOf(record);
    let series = known.get(outcome);
    if (series === undefined) {
      series = this.#requestSeries({
        ...endLabels(record),
        request_protocol: record.isGrpc ? 'grpc' : 'http',
        response_code: String(record.status),
        grpc_response_status: record.grpcStatus === undefined ? '' : String(record.grpcStatus),
        response_flags: record.flags.join(','),
        connection_security_policy: 'mutual_tls',
      });
      known.set(outcome, series);
    }
    series.total += 1;
    observe(series.duration, record.durationMs);
    observe(series.requestBytes, record.bytesReceived);
    observe(series.responseBytes, record.bytesSent);
    // Of status 0: the client went before anybody answered.
    if (record.phase !== 'respond' && record.status !== 0) {
      this.answered(record.phase);
    }
  }

  /** A request, or bytes that are none, went no further than that phase. */
  answered(phase: PhaseName): void {
    this.#answered.set(phase, (this.#answered.get(phase) ?? 0) + 1);
  }

  opened(record: Pick<ConnectionRecord, 'caller' | 'destination' | 'endpoint'>): void {
    this.#tcpSeries(tcpLabels(record, '-')).opened += 1;
  }

  connection(record: ConnectionRecord): void {
    const series = this.#tcpSeries(tcpLabels(record, record.flags.join(',')));
    series.closed += 1;
    series.received += record.bytesReceived;
    series.sent += record.bytesSent;
  }

  /** `labelled`: families that are complete. */
  snapshot(
    extra: Readonly<Record<string, number>>,
    labelled: readonly object[] = [],
  ): MetricsSnapshot {
    const requests = [...this.#requests.values()];
    const tcp = [...this.#tcp.values()];
    const tcpFamily = (name: string, help: string, pick: (series: TcpSeries) => number): object =>
      counter(
        name,
        help,
        tcp.map((s) => ({ labels: s.labels, value: pick(s) })).filter((v) => v.value > 0),
      );
    const families = [
      counter(
        'istio_requests_total',
        'Requests',
        requests.map((s) => ({ labels: s.labels, value: s.total })),
      ),
      histogram(
        'istio_request_duration_milliseconds',
        'Duration of requests',
        requests,
        (s) => s.duration,
      ),
      histogram('istio_request_bytes', 'Size of request bodies', requests, (s) => s.requestBytes),
      histogram(
        'istio_response_bytes',
        'Size of response bodies',
        requests,
        (s) => s.responseBytes,
      ),
      tcpFamily('istio_tcp_connections_opened_total', 'TCP connections opened', (s) => s.opened),
      tcpFamily('istio_tcp_connections_closed_total', 'TCP connections closed', (s) => s.closed),
      tcpFamily('istio_tcp_received_bytes_total', 'Bytes from clients', (s) => s.received),
      tcpFamily('istio_tcp_sent_bytes_total', 'Bytes to clients', (s) => s.sent),
      counter(
        'ambit_waypoint_requests_answered_total',
        'Requests, and bytes that are none, which a phase answered, so that no upstream did',
        [...this.#answered].map(([phase, value]) => ({ labels: { phase }, value })),
      ),
      ...Object.entries({ ...extra, ambit_metric_series_overflow_total: this.#overflow }).map(
        ([name, value]) => ({
          name,
          help: `${name.replaceAll('_', ' ')} of this waypoint`,
          type: name.endsWith('_total') ? 'counter' : 'gauge',
          aggregator: 'sum',
          values: [{ labels: {}, value }],
        }),
      ),
      ...labelled,
    ];
    return families as unknown as MetricsSnapshot;
  }

  /** Labels are made once for each tunnel, endpoint and outcome. The ends are never changed, only replaced. */
  #ofEnds({ caller, destination, endpoint }: RequestRecord): Map<string, RequestSeries> {
    let tunnel = this.#tunnels.get(caller);
    if (tunnel === undefined || tunnel.destination !== destination) {
      tunnel = { destination, endpoints: new WeakMap() };
      this.#tunnels.set(caller, tunnel);
    }
    const end = endpoint ?? destination;
    let known = tunnel.endpoints.get(end);
    if (known === undefined) {
      known = new Map();
      tunnel.endpoints.set(end, known);
    }
    return known;
  }

  #requestSeries(labels: Labels): RequestSeries {
    return this.#find(this.#requests, labels, (own) => ({
      labels: own,
      total: 0,
      duration: emptyHistogram(),
      requestBytes: emptyHistogram(),
      responseBytes: emptyHistogram(),
    }));
  }

  #tcpSeries(labels: Labels): TcpSeries {
    return this.#find(this.#tcp, labels, (own) => ({
      labels: own,
      opened: 0,
      closed: 0,
      received: 0,
      sent: 0,
    }));
  }

  #find<T>(map: Map<string, T>, labels: Labels, make: (labels: Labels) => T): T {
    const key = Object.values(labels).join('\n');
    const known = map.get(key);
    if (known !== undefined) {
      return known;
    }
    if (map.size >= SERIES_MAX) {
      this.#overflow += 1;
      const anonymous = Object.fromEntries(Object.keys(labels).map((name) => [name, UNKNOWN]));
      const made = map.get('overflow') ?? make({ ...anonymous, reporter: 'waypoint' });
      map.set('overflow', made);
      return made;
    }
    const made = make(labels);
    map.set(key, made);
    return made;
  }
}

function outcomeOf({ status, grpcStatus, flags, isGrpc }: RequestRecord): string {
  const [only] = flags;
  const text = flags.length === 1 ? only : flags.join(',');
  return `${status} ${text}${isGrpc ? ' grpc' : ''} ${grpcStatus ?? ''}`;
}

function tcpLabels(
  record: Pick<ConnectionRecord, 'caller' | 'destination' | 'endpoint'>,
  flags: string,
): Labels {
  return {
    ...endLabels(record),
    request_protocol: 'tcp',
    response_flags: flags,
    connection_security_policy: 'mutual_tls',
  };
}

/** In the order in which the reference writes them. */
function endLabels({
  caller,
  destination,
  endpoint,
}: Pick<ConnectionRecord, 'caller' | 'destination' | 'endpoint'>): Labels {
  const target = endpoint?.workload ?? destination.workload;
  const { service } = destination;
  return {
    reporter: 'waypoint',
    ...workloadLabels('source', caller.workload, caller.identity, caller.namespace),
    destination_service: or(service?.hostname),
    destination_service_namespace: or(service?.namespace ?? target?.namespace),
    destination_service_name: or(service?.name),
    ...workloadLabels(
      'destination',
      target,
      target?.tunnelProtocol === 'HBONE' ? workloadIdentity(target) : undefined,
      target?.namespace,
    ),
  };
}

function workloadLabels(
  end: 'source' | 'destination',
  workload: Workload | undefined,
  principal: string | undefined,
  namespace: string | undefined,
): Labels {
  return {
    [`${end}_workload`]: or(workload?.workloadName),
    [`${end}_canonical_service`]: or(workload?.canonicalName),
    [`${end}_canonical_revision`]: or(workload?.canonicalRevision),
    [`${end}_workload_namespace`]: or(namespace),
    [`${end}_principal`]: or(principal),
    [`${end}_app`]: or(workload?.canonicalName),
    [`${end}_version`]: or(workload?.canonicalRevision),
    [`${end}_cluster`]: or(workload?.clusterId),
  };
}

function emptyHistogram(): Histogram {
  return { buckets: new Array<number>(BOUNDS.length).fill(0), sum: 0, count: 0 };
}

function observe(into: Histogram, value: number): void {
  into.sum += value;
  into.count += 1;
  const at = BOUNDS.findIndex((bound) => value <= bound);
  if (at >= 0) {
    into.buckets[at] = (into.buckets[at] ?? 0) + 1;
  }
}

function counter(
  name: string,
  help: string,
  values: readonly { readonly labels: Labels; readonly value: number }[],
): object {
  return { name, help, type: 'counter', aggregator: 'sum', values };
}

function histogram(
  name: string,
  help: string,
  all: readonly RequestSeries[],
  pick: (series: RequestSeries) => Histogram,
): object {
  const values = all.flatMap((series) => {
    const { buckets, sum, count } = pick(series);
    const { labels } = series;
    let below = 0;
    const rows: object[] = buckets.map((value, index) => {
      below += value;
      return {
        labels: { ...labels, le: BOUNDS[index] },
        value: below,
        metricName: `${name}_bucket`,
      };
    });
    rows.push(
      { labels: { ...labels, le: '+Inf' }, value: count, metricName: `${name}_bucket` },
      { labels, value: sum, metricName: `${name}_sum` },
      { labels, value: count, metricName: `${name}_count` },
    );
    return rows;
  });
  return { name, help, type: 'histogram', aggregator: 'sum', values };
}
