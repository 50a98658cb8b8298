/**
 * Metrics: prom-client registries, declared once per package, added up over worker threads.
 *
 * A metric's labels come from closed unions or from the mesh's own names, never from what a peer
 * sends, so that nobody outside can grow a registry.
 */
import {
  AggregatorRegistry,
  Counter,
  Gauge,
  type MetricObjectWithValues,
  Registry,
} from 'prom-client';

/** prom-client's exchange form of one registry. */
export type MetricsSnapshot = readonly MetricObjectWithValues<never>[];

const MICROSECONDS = 1_000_000;

export function createRegistry(): Registry {
  return new Registry();
}

/** `istio_build`, `process_open_fds` and `process_max_fds` as the reference names them; memory and time as Prometheus does. */
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
  registerUsage([registry]);
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

/** Of the whole process, all threads. */
function registerUsage(registers: Registry[]): void {
  new Gauge({
    name: 'process_resident_memory_bytes',
    help: 'Resident memory size in bytes',
    registers,
    collect() {
      this.set(process.memoryUsage.rss());
    },
  });
  new Counter({
    name: 'process_cpu_seconds_total',
    help: 'Total user and system CPU time spent in seconds',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / MICROSECONDS);
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
