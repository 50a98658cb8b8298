/**
 * Metrics of this package. `resource` is one of the kinds a program watches, `queue` one of its queues.
 */
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

export interface KubeMetrics {
  readonly lists: Counter<'resource'>;
  readonly events: Counter<'resource'>;
  readonly failures: Counter<'resource' | 'code'>;
  readonly malformed: Counter<'resource'>;
  readonly queueDepth: Gauge<'queue'>;
  readonly queueWaitSeconds: Histogram<'queue'>;
  readonly queueWorkSeconds: Histogram<'queue'>;
  readonly queueRetries: Counter<'queue'>;
  readonly queueRefused: Counter<'queue'>;
  readonly statusWrites: Counter<'result'>;
}

const SECONDS = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30, 120];

/** Once per registry. */
export function createKubeMetrics(registry: Registry): KubeMetrics {
  const registers = [registry];
  const counter = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Counter({ name, help, labelNames, registers });
  const seconds = (name: string, help: string) =>
    new Histogram({ name, help, labelNames: ['queue'] as const, buckets: SECONDS, registers });
  return {
    lists: counter('ambit_kube_lists_total', 'Complete lists begun', ['resource']),
    events: counter('ambit_kube_watch_events_total', 'Events and bookmarks of watches', [
      'resource',
    ]),
    failures: counter('ambit_kube_failures_total', 'Lists and watches that failed', [
      'resource',
      'code',
    ]),
    malformed: counter('ambit_kube_malformed_total', 'Versions of objects that cannot be read', [
      'resource',
    ]),
    queueDepth: new Gauge({
      name: 'ambit_kube_queue_keys',
      help: 'Keys that wait in a work queue',
      labelNames: ['queue'],
      registers,
    }),
    queueWaitSeconds: seconds('ambit_kube_queue_wait_seconds', 'From due to begun, per key'),
    queueWorkSeconds: seconds('ambit_kube_queue_work_seconds', 'Time in reconcile, per key'),
    queueRetries: counter('ambit_kube_queue_retries_total', 'Reconciles that failed', ['queue']),
    queueRefused: counter('ambit_kube_queue_refused_total', 'Keys refused by a full queue', [
      'queue',
    ]),
    statusWrites: counter('ambit_kube_status_writes_total', 'Statuses by what became of them', [
      'result',
    ]),
  };
}
