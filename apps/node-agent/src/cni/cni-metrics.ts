/** Metrics of what the CNI plugin asks and of its place on the host. */
import { Counter, Gauge, type Registry } from 'prom-client';
import type { CniPods } from './cni-pods.ts';
import type { CniInstaller } from './install/cni-installer.ts';

export interface CniMetricsSources {
  readonly pods: CniPods;
  /** Absent where nothing is installed. */
  readonly installer: CniInstaller | undefined;
}

export function registerCniMetrics(
  registry: Registry,
  { pods, installer }: CniMetricsSources,
): void {
  const registers = [registry];
  new Counter({
    name: 'ambit_cni_pods_total',
    help: 'Answers to the CNI plugin: pods that may start, pods that wait, pods that went',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset();
      for (const [outcome, count] of Object.entries(pods.counters)) {
        this.inc({ outcome }, count);
      }
    },
  });
  if (installer === undefined) {
    return;
  }
  new Counter({
    name: 'ambit_cni_config_rewritten_total',
    help: 'How often others wrote the network configuration over without the plugin',
    registers,
    collect() {
      this.reset();
      this.inc(installer.counters.reinserted);
    },
  });
  new Gauge({
    name: 'ambit_cni_installed',
    help: '1 while new pods of this node come to the agent',
    registers,
    collect() {
      this.set(installer.problem === undefined ? 1 : 0);
    },
  });
}
