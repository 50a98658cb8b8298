/**
 * A cluster: host, subset and port with its traffic policy, and the endpoints behind it.
 *
 * Limits and ejections belong to a cluster within one proxy process. Its name is the reference's,
 * `outbound|PORT|SUBSET|HOST`, so that dashboards keep working.
 */
import type {
  ClientTlsSettings,
  ConnectionPoolSettings,
  LoadBalancerSettings,
  ObjectKey,
  OutlierDetection,
  RequestDefaults,
} from '@ambit/api';
import { matchesLabels } from '@ambit/api';
import type { ClusterRef } from '../http/route-table.ts';
import type { ViewService, ViewWorkload } from '../mesh-view.ts';
import { serviceKey } from '../mesh-view.ts';
import type { DestinationRuleScope } from './traffic-policy.ts';
import { effectivePolicy, findHostPolicy } from './traffic-policy.ts';

export interface Cluster {
  readonly name: string;
  readonly ref: ClusterRef;
  readonly subsetLabels: Readonly<Record<string, string>>;
  readonly loadBalancer: LoadBalancerSettings;
  readonly connectionPool: ConnectionPoolSettings;
  readonly outlierDetection?: OutlierDetection;
  readonly tls?: ClientTlsSettings;
  /** For routes that say nothing of timeout and retries themselves (`requestSettings`). */
  readonly requestDefaults?: RequestDefaults;
  /** The DestinationRules in force. */
  readonly objects: readonly ObjectKey[];
}

export const CONNECT_TIMEOUT_MS = 10_000;

export function clusterName({ host, subset, port }: ClusterRef): string {
  return `outbound|${port}|${subset ?? ''}|${host}`;
}

/** `undefined`: the subset is not defined (503, flag NC). */
export function resolveCluster(
  ref: ClusterRef,
  service: { readonly namespace: string; readonly hostname: string },
  scope: DestinationRuleScope,
): Cluster | undefined {
  const policy = findHostPolicy(service, scope);
  const effective = effectivePolicy(policy, ref);
  if (effective === undefined) return undefined;
  const { blocks, labels, requestDefaults } = effective;
  return {
    name: clusterName(ref),
    ref,
    subsetLabels: labels,
    loadBalancer: blocks.loadBalancer ?? { simple: 'LEAST_REQUEST' },
    connectionPool: blocks.connectionPool ?? {},
    ...(blocks.outlierDetection === undefined ? {} : { outlierDetection: blocks.outlierDetection }),
    ...(blocks.tls === undefined ? {} : { tls: blocks.tls }),
    ...(requestDefaults === undefined ? {} : { requestDefaults }),
    objects: policy?.objects ?? [],
  };
}

/** One workload behind a cluster. */
export interface Endpoint<W extends ViewWorkload = ViewWorkload> {
  /** Unique within the cluster. */
  readonly key: string;
  readonly workload: W;
  readonly targetPort: number;
  readonly weight: number;
}

/** `workloads` are those that may serve (`MeshView.endpoints`). Labels must all be there. */
export function resolveEndpoints<W extends ViewWorkload>(options: {
  readonly service: ViewService;
  readonly port: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly workloads: readonly W[];
}): readonly Endpoint<W>[] {
  const { service, port, labels, workloads } = options;
  const key = serviceKey(service);
  const shared = service.ports.find(({ servicePort }) => servicePort === port)?.targetPort ?? 0;
  return workloads.flatMap((workload) => {
    const own = workload.services[key]?.find(({ servicePort }) => servicePort === port);
    const targetPort = own !== undefined && own.targetPort > 0 ? own.targetPort : shared;
    const isReachable = workload.addresses.length > 0 || workload.hostname !== '';
    if (targetPort === 0 || !isReachable || !matchesLabels(labels, workload.labels)) return [];
    const weight = workload.capacity || 1;
    return [{ key: `${workload.uid}:${targetPort}`, workload, targetPort, weight }];
  });
}
