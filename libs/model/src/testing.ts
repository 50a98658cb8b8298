/** Resources for tests of other packages: the least that a proxy looks at, with what a test says instead. */
import type { MeshService, Workload } from './types.ts';

/** In `shop`, of an account of its own name, healthy, reached through tunnels, without an address. */
export function workload(name: string, parts: Partial<Workload> = {}): Workload {
  const namespace = parts.namespace ?? 'shop';
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
    ...parts,
  };
}

/** In `shop`, without addresses and ports. */
export function service(name: string, parts: Partial<MeshService> = {}): MeshService {
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
    ...parts,
  };
}
