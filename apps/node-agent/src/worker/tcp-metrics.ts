/**
 * The connection metrics under the reference's names, as plain numbers that a connection adds to.
 *
 * Rule: nothing is hashed per chunk. A connection finds its series once; prom-client's form is made when
 * somebody asks.
 */
import type { MetricsSnapshot } from '@ambit/telemetry';

import type { ResponseFlag } from './errors.ts';

/** One end of a connection, as labels; absent values are `unknown`. */
export interface MetricEnd {
  readonly workload?: string;
  readonly canonicalService?: string;
  readonly canonicalRevision?: string;
  readonly namespace?: string;
  /** `spiffe://…` */
  readonly principal?: string;
  readonly cluster?: string;
  readonly region?: string;
  readonly zone?: string;
}

export interface MetricLabels {
  readonly reporter: 'source' | 'destination';
  readonly source: MetricEnd;
  readonly destination: MetricEnd;
  readonly service?: {
    readonly hostname: string;
    readonly namespace: string;
    readonly name: string;
  };
  readonly isMutualTls: boolean;
}

export interface Series {
  opened: number;
  closed: number;
  failed: number;
  received: number;
  sent: number;
}

interface LabelledSeries extends Series {
  readonly labels: Readonly<Record<string, string>>;
}

const UNKNOWN = 'unknown';
const or = (value: string | undefined): string =>
  value === undefined || value === '' ? UNKNOWN : value;

const COUNTERS = [
  ['istio_tcp_connections_opened_total', 'The total number of TCP connections opened', 'opened'],
  ['istio_tcp_connections_closed_total', 'The total number of TCP connections closed', 'closed'],
  [
    'istio_tcp_connections_failed_total',
    'The total number of TCP connections that failed',
    'failed',
  ],
  [
    'istio_tcp_received_bytes_total',
    'The size of total bytes received during request in case of a TCP connection',
    'received',
  ],
  [
    'istio_tcp_sent_bytes_total',
    'The size of total bytes sent during response in case of a TCP connection',
    'sent',
  ],
] as const;

export class TcpMetrics {
  readonly #seriesMax: number;
  readonly #series = new Map<string, LabelledSeries>();
  #overflow = 0;

  constructor(options: { readonly seriesMax: number }) {
    this.#seriesMax = options.seriesMax;
  }

  /** The counters of these labels; the same object for the same labels. */
  series(labels: MetricLabels, flag: ResponseFlag): Series {
    const flat = flatten(labels, flag);
    const key = Object.values(flat).join('\n');
    const known = this.#series.get(key);
    if (known !== undefined) {
      return known;
    }
    if (this.#series.size >= this.#seriesMax) {
      this.#overflow += 1;
      return this.#make('overflow', flatten({ ...labels, source: {}, destination: {} }, flag));
    }
    return this.#make(key, flat);
  }

  /** `extra`: counters that are not per connection, with the worker's own names; `labelled`: families that are complete. */
  snapshot(
    extra: Readonly<Record<string, number>>,
    labelled: readonly object[] = [],
  ): MetricsSnapshot {
    const all = [...this.#series.values()];
    const families = COUNTERS.map(([name, help, field]) => ({
      name,
      help,
      type: 'counter',
      aggregator: 'sum',
      values: all
        .filter((series) => series[field] > 0)
        .map((series) => ({ labels: series.labels, value: series[field] })),
    })).filter(({ values }) => values.length > 0);
    const own = Object.entries({
      ...extra,
      ambit_metric_series_overflow_total: this.#overflow,
    }).map(([name, value]) => ({
      name,
      help: `${name.replaceAll('_', ' ')} of this agent`,
      type: name.endsWith('_total') ? 'counter' : 'gauge',
      aggregator: 'sum',
      values: [{ labels: {}, value }],
    }));
    return [...families, ...own, ...labelled] as unknown as MetricsSnapshot;
  }

  #make(key: string, labels: Readonly<Record<string, string>>): LabelledSeries {
    const known = this.#series.get(key);
    if (known !== undefined) {
      return known;
    }
    const made = { labels, opened: 0, closed: 0, failed: 0, received: 0, sent: 0 };
    this.#series.set(key, made);
    return made;
  }
}

/** In the order in which the reference writes them. */
function flatten(labels: MetricLabels, flag: ResponseFlag): Readonly<Record<string, string>> {
  const { reporter, source, destination, service } = labels;
  return {
    reporter,
    source_workload: or(source.workload),
    source_canonical_service: or(source.canonicalService),
    source_canonical_revision: or(source.canonicalRevision),
    source_workload_namespace: or(source.namespace),
    source_principal: or(source.principal),
    source_app: or(source.canonicalService),
    source_version: or(source.canonicalRevision),
    source_cluster: or(source.cluster),
    destination_service: or(service?.hostname),
    destination_service_namespace: or(service?.namespace),
    destination_service_name: or(service?.name),
    destination_workload: or(destination.workload),
    destination_canonical_service: or(destination.canonicalService),
    destination_canonical_revision: or(destination.canonicalRevision),
    destination_workload_namespace: or(destination.namespace),
    destination_principal: or(destination.principal),
    destination_app: or(destination.canonicalService),
    destination_version: or(destination.canonicalRevision),
    destination_cluster: or(destination.cluster),
    request_protocol: 'tcp',
    response_flags: flag,
    connection_security_policy: labels.isMutualTls ? 'mutual_tls' : UNKNOWN,
    source_region: or(source.region),
    source_zone: or(source.zone),
    destination_region: or(destination.region),
    destination_zone: or(destination.zone),
  };
}
