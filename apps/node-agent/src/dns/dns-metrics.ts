/** Metrics of the name proxy, as the reference names them, and our own counters of bounds. */
import { Counter, Histogram, type Registry } from 'prom-client';

const LABELS = [
  'request_query_type',
  'request_protocol',
  'source_canonical_service',
  'source_canonical_revision',
] as const;

export type DnsLabels = Readonly<Record<(typeof LABELS)[number], string>>;

export interface DnsMetrics {
  readonly requests: Counter<(typeof LABELS)[number]>;
  readonly upstreamRequests: Counter<(typeof LABELS)[number]>;
  readonly upstreamFailures: Counter<(typeof LABELS)[number]>;
  readonly upstreamSeconds: Histogram<(typeof LABELS)[number]>;
  readonly refused: Counter<'limit'>;
}

export function createDnsMetrics(registry: Registry): DnsMetrics {
  const common = { labelNames: LABELS, registers: [registry] };
  return {
    requests: new Counter({
      ...common,
      name: 'istio_dns_requests_total',
      help: 'Total number of DNS requests',
    }),
    upstreamRequests: new Counter({
      ...common,
      name: 'istio_dns_upstream_requests_total',
      help: 'Total number of DNS requests forwarded to upstream',
    }),
    upstreamFailures: new Counter({
      ...common,
      name: 'istio_dns_upstream_failures_total',
      help: 'Total number of DNS requests forwarded to upstream that failed',
    }),
    upstreamSeconds: new Histogram({
      ...common,
      name: 'istio_dns_upstream_request_duration_seconds',
      help: 'Total time in seconds for the upstream to answer',
      buckets: [0.0005, 0.001, 0.01, 0.1, 1, 5],
    }),
    refused: new Counter({
      name: 'ambit_dns_refused_total',
      help: 'DNS requests refused because a bound of this agent was reached',
      labelNames: ['limit'],
      registers: [registry],
    }),
  };
}
