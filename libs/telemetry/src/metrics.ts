/**
 * Metrics: prom-client registries, declared once per package, added up over worker threads.
 *
 * A metric's labels come from closed unions or from the mesh's own names, never from what a peer
 * sends, so that nobody outside can grow a registry.
 */
import { AggregatorRegistry, Gauge, type MetricObjectWithValues, Registry } from 'prom-client';

/** prom-client's exchange form of one registry. */
export type MetricsSnapshot = readonly MetricObjectWithValues<never>[];

export function createRegistry(): Registry {
  return new Registry();
}

/** `istio_build`, `process_open_fds` and `process_max_fds` as the reference names them. */
export function registerProcessMetrics(
  registry: Registry,
  options: {
    readonly component: string;
    readonly version: string;
    readonly openFds: () => number;
    readonly maxFds: () => number;
  },
): void {
  new Gauge({
    name: 'istio_build',
    help: 'Istio component build info',
    labelNames: ['component', 'tag'],
    registers: [registry],
  }).set({ component: options.component, tag: options.version }, 1);
  new Gauge({
    name: 'process_open_fds',
    help: 'Number of open file descriptors',
    registers: [registry],
    collect() {
      this.set(options.openFds());
    },
  });
  new Gauge({
    name: 'process_max_fds',
    help: 'Maximum number of file descriptors',
    registers: [registry],
    collect() {
      this.set(options.maxFds());
    },
  });
}

/** What a worker sends: plain data that survives structured clone. */
export async function snapshotOf(registry: Registry): Promise<MetricsSnapshot> {
  return (await registry.getMetricsAsJSON()) as unknown as MetricsSnapshot;
}

/** One text of several registries; counters, gauges and histogram buckets of the same labels are added. */
export async function mergedText(snapshots: readonly MetricsSnapshot[]): Promise<string> {
  const merged = AggregatorRegistry.aggregate(snapshots as unknown as Array<object>);
  return await merged.metrics();
}
