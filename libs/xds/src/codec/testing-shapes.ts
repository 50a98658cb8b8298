/** One of each, with every field set, for the tests of the codecs. */
import type { MeshService, Workload } from '@ambit/model';
import { type CompiledPolicy, EMPTY_L4, type Match } from '@ambit/policy';

export const WORKLOAD: Workload = {
  uid: 'Kubernetes//Pod/shop/reviews-1',
  name: 'reviews-1',
  namespace: 'shop',
  addresses: ['10.1.2.3', 'fd00::3'],
  network: 'net-1',
  tunnelProtocol: 'HBONE',
  trustDomain: 'example.org',
  serviceAccount: 'reviews',
  waypoint: {
    destination: { kind: 'hostname', hostname: { namespace: 'shop', hostname: 'waypoint.shop' } },
    hboneMtlsPort: 15008,
    waypoint: {
      key: 'shop/waypoint',
      className: 'ambit-waypoint',
      identity: 'spiffe://example.org/ns/shop/sa/waypoint',
    },
  },
  node: 'node1',
  canonicalName: 'reviews',
  canonicalRevision: 'v1',
  workloadType: 'CRONJOB',
  workloadName: 'reviews',
  nativeTunnel: true,
  authorizationPolicies: ['shop/a', 'shop/b'],
  status: 'UNHEALTHY',
  clusterId: 'c1',
  hostname: 'reviews-1.example',
  services: {
    'shop/a.shop.svc': [{ servicePort: 53, targetPort: 0, appProtocol: 'TCP' }],
    'shop/b.shop.svc': [
      { servicePort: 53, targetPort: 5353, appProtocol: 'UNKNOWN' },
      { servicePort: 53, targetPort: 5353, appProtocol: 'GRPC' },
    ],
  },
  networkMode: 'HOST_NETWORK',
  locality: { region: 'r', zone: 'z', subzone: '' },
  capacity: 3,
  applicationTunnel: { protocol: 'PROXY', port: 15_088 },
  guard: {
    waypointIdentities: ['spiffe://example.org/ns/shop/sa/waypoint'],
    ports: [8080],
    exclusive: true,
    because: ['AuthorizationPolicy/shop/reviews'],
  },
  labels: { app: 'reviews', version: 'v1' },
};

export const SERVICE: MeshService = {
  name: 'reviews',
  namespace: 'shop',
  hostname: 'reviews.shop.svc.cluster.local',
  addresses: [
    { network: '', address: '10.96.0.1' },
    { network: 'n', address: '192.0.2.0', length: 24 },
  ],
  ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'HTTP2' }],
  subjectAltNames: ['spiffe://example.org/ns/shop/sa/x'],
  waypoint: {
    destination: { kind: 'address', address: { network: '', address: '10.96.0.9' } },
    hboneMtlsPort: 15008,
    waypoint: {
      key: 'shop/waypoint',
      className: 'ambit-waypoint',
      identity: 'spiffe://example.org/ns/shop/sa/waypoint',
    },
  },
  loadBalancing: {
    routingPreference: ['NETWORK', 'REGION'],
    mode: 'FAILOVER',
    healthPolicy: 'ALLOW_ALL',
  },
  ipFamilies: 'DUAL',
  canonical: true,
  ingressUseWaypoint: true,
};

export function policy(
  matches: readonly Match[],
  extra: Partial<CompiledPolicy> = {},
): CompiledPolicy {
  return {
    name: 'p',
    namespace: 'shop',
    scope: 'NAMESPACE',
    action: 'ALLOW',
    dryRun: false,
    rules: [{ clauses: [{ matches, origin: 'from' }] }],
    ...extra,
  };
}

export const L4_FULL: Match = {
  l4: {
    ...EMPTY_L4,
    namespaces: [{ kind: 'exact', value: 'a' }],
    notNamespaces: [{ kind: 'prefix', value: 'b' }],
    principals: [{ kind: 'suffix', value: '/sa/c' }, { kind: 'presence' }],
    notPrincipals: [{ kind: 'exact', value: 'd' }],
    serviceAccounts: [{ namespace: 'n', name: 's' }],
    notServiceAccounts: [{ namespace: 'n', name: 't' }],
    sourceIps: [{ address: Uint8Array.of(10, 0, 0, 0), length: 8 }],
    notSourceIps: [{ address: Uint8Array.of(10, 1, 0, 0), length: 16 }],
    destinationIps: [{ address: Uint8Array.from({ length: 16 }, () => 1), length: 64 }],
    notDestinationIps: [{ address: Uint8Array.of(1, 2, 3, 4), length: 32 }],
    destinationPorts: [80],
    notDestinationPorts: [81],
  },
};
