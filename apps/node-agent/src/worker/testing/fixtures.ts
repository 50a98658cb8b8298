/** Resources for tests: the least that the worker looks at, with what a test says instead. */
import type { MeshService, Workload } from '@ambit/model';
import { type CompiledPolicy, EMPTY_L4, type L4Match } from '@ambit/policy';

export function workload(name: string, changes: Partial<Workload> = {}): Workload {
  const namespace = changes.namespace ?? 'shop';
  return {
    uid: `Kubernetes//Pod/${namespace}/${name}`,
    name,
    namespace,
    addresses: [],
    network: '',
    tunnelProtocol: 'HBONE',
    trustDomain: 'cluster.local',
    serviceAccount: name,
    node: 'node-1',
    canonicalName: name,
    canonicalRevision: 'v1',
    workloadType: 'DEPLOYMENT',
    workloadName: name,
    nativeTunnel: false,
    authorizationPolicies: [],
    status: 'HEALTHY',
    clusterId: 'Kubernetes',
    hostname: '',
    services: {},
    networkMode: 'STANDARD',
    capacity: 1,
    labels: {},
    ...changes,
  };
}

export function service(name: string, changes: Partial<MeshService> = {}): MeshService {
  return {
    name,
    namespace: 'shop',
    hostname: `${name}.shop.svc.cluster.local`,
    addresses: [],
    ports: [],
    subjectAltNames: [],
    ipFamilies: 'AUTOMATIC',
    canonical: false,
    ingressUseWaypoint: false,
    ...changes,
  };
}

export function policy(
  name: string,
  action: CompiledPolicy['action'],
  match: Partial<L4Match>,
  changes: Partial<CompiledPolicy> = {},
): CompiledPolicy {
  return {
    name,
    namespace: 'shop',
    scope: 'NAMESPACE',
    action,
    dryRun: false,
    rules: [{ clauses: [{ matches: [{ l4: { ...EMPTY_L4, ...match } }], origin: 'from' }] }],
    ...changes,
  };
}
