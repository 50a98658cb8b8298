/** What every part that talks to the cluster is given. */
import type { Clock } from '@ambit/core';
import type { Discovery, KubeClient, KubeHttp, KubeMetrics } from '@ambit/kube';
import type { Logger } from '@ambit/telemetry';

export interface KubernetesContext {
  readonly http: KubeHttp;
  readonly client: KubeClient;
  /** Started by its owner. */
  readonly discovery: Discovery;
  readonly metrics: KubeMetrics;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where this controller runs, and where what it keeps in the cluster is. */
  readonly namespace: string;
  readonly podName: string;
}

/** Of everything that the controller makes in a cluster, and of nothing else. */
export const MANAGED_BY: Readonly<Record<string, string>> = {
  'app.kubernetes.io/managed-by': 'ambit-controller',
};
