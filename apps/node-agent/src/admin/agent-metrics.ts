/** Metrics of the main thread; those of the bytes come from the workers and are added up. */
import { readdirSync, readFileSync } from 'node:fs';
import { toolCounters } from '@ambit/netns';
import {
  createRegistry,
  type MetricsSnapshot,
  mergedText,
  registerProcessMetrics,
  snapshotOf,
} from '@ambit/telemetry';
import type { DeltaClient } from '@ambit/xds';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { PodRegistry } from '../pods/pod-registry.ts';
import type { WorkerPool } from '../workers/worker-pool.ts';

export interface MetricsSources {
  readonly registry: PodRegistry;
  readonly workers: WorkerPool;
  readonly client: () => DeltaClient | undefined;
}

export function createAgentRegistry(version: string): Registry {
  const registry = createRegistry();
  registerProcessMetrics(registry, { component: 'node-agent', version, openFds, maxFds });
  return registry;
}

export function registerAgentMetrics(registry: Registry, sources: MetricsSources): void {
  const { registry: pods, workers } = sources;
  const registers = [registry];
  new Gauge({
    name: 'workload_manager_active_proxy_count',
    help: 'The total count of pods that are captured',
    registers,
    collect() {
      this.set(pods.captured.length);
    },
  });
  new Gauge({
    name: 'workload_manager_pending_proxy_count',
    help: 'The total count of pods that should be captured and are not',
    registers,
    collect() {
      this.set(pods.pendingCount);
    },
  });
  const lifetimes = [
    ['workload_manager_proxies_started_total', 'Captures of pods that began', 'started'],
    ['workload_manager_proxies_stopped_total', 'Captures of pods that ended', 'stopped'],
  ] as const;
  for (const [name, help, counter] of lifetimes) {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset();
        this.inc(pods.counters[counter]);
      },
    });
  }
  new Counter({
    name: 'ambit_workers_replaced_total',
    help: 'Worker threads that ended and were replaced',
    registers,
    collect() {
      this.reset();
      this.inc(workers.replacements);
    },
  });
  new Gauge({
    name: 'ambit_workers_left_behind',
    help: 'Worker threads that did not end when they should have; restart the agent when it suits',
    registers,
    collect() {
      this.set(workers.leftBehind);
    },
  });
  registerCommandMetrics(registers);
  registerXdsMetrics(registers, sources.client);
}

function registerCommandMetrics(registers: Registry[]): void {
  new Gauge({
    name: 'ambit_capture_commands_waiting',
    help: 'nft and ip commands that wait for their turn',
    registers,
    collect() {
      this.set(toolCounters().waiting);
    },
  });
  new Counter({
    name: 'ambit_capture_commands_total',
    help: 'nft and ip commands that were started',
    registers,
    collect() {
      this.reset();
      this.inc(toolCounters().started);
    },
  });
}

function registerXdsMetrics(registers: Registry[], client: MetricsSources['client']): void {
  new Counter({
    name: 'istio_xds_connection_terminations_total',
    help: 'The total number of completed connections to the controller',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of Object.entries(client()?.counters.terminations ?? {})) {
        this.inc({ reason }, count);
      }
    },
  });
  const byType = (name: string, help: string, counter: 'messages' | 'messageBytes') =>
    new Counter({
      name,
      help,
      labelNames: ['url'],
      registers,
      collect() {
        this.reset();
        for (const [url, count] of client()?.counters[counter] ?? []) {
          this.inc({ url }, count);
        }
      },
    });
  byType('istio_xds_message_total', 'Total number of messages received', 'messages');
  byType('istio_xds_message_bytes_total', 'Total number of bytes received', 'messageBytes');
}

/** The text of all threads. A pod is served by every worker and is one pod, so it is counted here alone. */
export async function metricsText(registry: Registry, workers: WorkerPool): Promise<string> {
  const reports = ((await workers.report('metrics')) as readonly MetricsSnapshot[]).map((report) =>
    report.filter(({ name }) => !name.startsWith('workload_manager_')),
  );
  return await mergedText([await snapshotOf(registry), ...reports]);
}

function openFds(): number {
  return readdirSync('/proc/self/fd').length;
}

function maxFds(): number {
  const line = readFileSync('/proc/self/limits', 'utf8').match(/^Max open files\s+(\d+)/m);
  return Number(line?.[1] ?? 0);
}
