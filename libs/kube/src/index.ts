/** Access to a Kubernetes API server: objects, reflectors, queues, leases. The only package that imports @kubernetes/client-node. */
export {
  type ApplyOptions,
  type CallOptions,
  type CreatedObject,
  type DeleteOptions,
  KubeClient,
  type KubeClientOptions,
  type ListOptions,
  type LogOptions,
  type PatchOptions,
  type WriteOptions,
} from './client.ts';
export {
  type Condition,
  mergeConditions,
  type WantedCondition,
} from './conditions.ts';
export type { AppliedCredentials, KubeCredentials } from './credentials.ts';
export {
  Discovery,
  type DiscoveryOptions,
  type ServedResource,
  type WantedResource,
} from './discovery.ts';
export {
  isKubeError,
  KubeError,
  type KubeErrorCause,
  type KubeErrorCode,
} from './errors.ts';
export { KubeHttp, type KubeHttpOptions, type KubeRequest } from './http.ts';
export { Kubeconfig, type KubeconfigOptions, loadKubeconfig } from './kubeconfig.ts';
export { LeaderElection, type LeaderElectionOptions } from './lease.ts';
export { createKubeMetrics, type KubeMetrics } from './metrics.ts';
export { RateLimiter } from './rate-limiter.ts';
export { Reflector } from './reflector.ts';
export type { ReflectorHealth, ReflectorOptions, ReflectorState } from './reflector-options.ts';
export type { ReflectorEvent } from './reflector-store.ts';
export {
  type GroupVersionResource,
  type KubeObject,
  keyOf,
  type ObjectMeta,
  type ObjectRef,
  type OwnerReference,
  parseKey,
  pathOf,
} from './resources.ts';
export {
  type Status,
  type StatusChange,
  StatusWriter,
  type StatusWriterOptions,
} from './status-writer.ts';
export { TextPool } from './text-pool.ts';
export { type DefinitionWatchOptions, watchDefinitions } from './watch-definitions.ts';
export { WorkQueue, type WorkQueueOptions } from './work-queue.ts';
