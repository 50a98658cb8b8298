import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { MeshService, Workload } from '@ambit/model';
import type { CompiledPolicy, L4Match } from '@ambit/policy';
import { configDump } from './config-dump.ts';

const WORKLOAD: Workload = {
  uid: 'Kubernetes//Pod/bookshop/client',
  name: 'client',
  namespace: 'bookshop',
  addresses: ['10.244.1.3'],
  network: '',
  tunnelProtocol: 'HBONE',
  trustDomain: 'cluster.local',
  serviceAccount: 'client',
  waypoint: {
    destination: { kind: 'hostname', hostname: { namespace: 'bookshop', hostname: 'w.bookshop' } },
    hboneMtlsPort: 15008,
  },
  node: 'node1',
  canonicalName: 'client',
  canonicalRevision: 'latest',
  workloadName: 'client',
  workloadType: 'POD',
  nativeTunnel: false,
  authorizationPolicies: ['bookshop/deny'],
  status: 'HEALTHY',
  clusterId: 'Kubernetes',
  hostname: '',
  services: {
    'bookshop/s.example': [{ servicePort: 80, targetPort: 8080, appProtocol: 'HTTP11' }],
  },
  networkMode: 'STANDARD',
  locality: { region: 'region-a', zone: 'zone-1', subzone: '' },
  capacity: 1,
  labels: {},
};
const SERVICE: MeshService = {
  name: 's',
  namespace: 'bookshop',
  hostname: 's.example',
  addresses: [
    { network: 'n', address: '10.96.0.1' },
    { network: '', address: '198.51.100.0', length: 24 },
  ],
  ports: [{ servicePort: 80, targetPort: 8080, appProtocol: 'HTTP11' }],
  subjectAltNames: [],
  loadBalancing: {
    routingPreference: ['NETWORK', 'ZONE'],
    mode: 'FAILOVER',
    healthPolicy: 'ALLOW_ALL',
  },
  ipFamilies: 'AUTOMATIC',
  canonical: true,
  ingressUseWaypoint: false,
};
const EMPTY: L4Match = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  serviceAccounts: [],
  notServiceAccounts: [],
  trustDomains: [],
  notTrustDomains: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
};
const POLICY: CompiledPolicy = {
  name: 'deny',
  namespace: 'bookshop',
  scope: 'WORKLOAD_SELECTOR',
  action: 'DENY',
  dryRun: false,
  rules: [
    {
      clauses: [
        {
          origin: 'from',
          matches: [
            {
              l4: {
                ...EMPTY,
                principals: [
                  { kind: 'exact', value: 'a' },
                  { kind: 'suffix', value: '/b' },
                  { kind: 'presence' },
                ],
                sourceIps: [
                  { address: Uint8Array.of(10, 244, 1, 0), length: 24 },
                  {
                    address: Uint8Array.of(0x20, 1, 0xd, 0xb8, ...Array<number>(12).fill(0)),
                    length: 64,
                  },
                ],
                serviceAccounts: [{ namespace: 'bookshop', name: 'client' }],
                destinationPorts: [8080],
              },
            },
          ],
        },
      ],
    },
  ],
};

describe('configDump', () => {
  const dump = JSON.parse(
    JSON.stringify(
      configDump({
        workloads: [WORKLOAD],
        services: [SERVICE],
        endpoints: () => [WORKLOAD],
        policies: [POLICY],
        certificates: [],
        config: { localNode: 'node1' },
        version: '1',
        workloadState: {},
      }),
    ),
  );

  it('has the keys that tools look for', () => {
    assert.deepEqual(Object.keys(dump).sort(), [
      'certificates',
      'config',
      'policies',
      'services',
      'stagedServices',
      'staticConfig',
      'version',
      'workloadState',
      'workloads',
    ]);
  });

  it('shows a workload as the reference does', () => {
    const { nativeTunnel, network, ...workload } = dump.workloads[0];
    assert.deepEqual([nativeTunnel, network], [false, '']);
    assert.deepEqual(workload, {
      authorizationPolicies: ['bookshop/deny'],
      canonicalName: 'client',
      canonicalRevision: 'latest',
      capacity: 1,
      clusterId: 'Kubernetes',
      locality: { region: 'region-a', subzone: '', zone: 'zone-1' },
      name: 'client',
      namespace: 'bookshop',
      networkMode: 'Standard',
      node: 'node1',
      protocol: 'HBONE',
      serviceAccount: 'client',
      services: ['bookshop/s.example'],
      status: 'Healthy',
      trustDomain: 'cluster.local',
      uid: 'Kubernetes//Pod/bookshop/client',
      waypoint: { destination: 'bookshop/w.bookshop', hboneMtlsPort: 15008 },
      workloadIps: ['10.244.1.3'],
      workloadName: 'client',
      workloadType: 'pod',
    });
  });

  it('shows a service as the reference does', () => {
    assert.deepEqual(dump.services[0], {
      canonical: true,
      cidrVips: [{ cidr: '198.51.100.0/24', network: '' }],
      endpoints: {
        'Kubernetes//Pod/bookshop/client': {
          port: { 80: 8080 },
          status: 'Healthy',
          workloadUid: 'Kubernetes//Pod/bookshop/client',
        },
      },
      hostname: 's.example',
      ipFamilies: null,
      loadBalancer: {
        healthPolicy: 'AllowAll',
        mode: 'Failover',
        routingPreferences: ['Network', 'Zone'],
      },
      name: 's',
      namespace: 'bookshop',
      ports: { 80: 8080 },
      subjectAltNames: [],
      vips: ['n/10.96.0.1'],
      visibility: 'Public',
    });
  });

  it('shows a policy as the reference does', () => {
    assert.deepEqual(dump.policies[0], {
      action: 'Deny',
      dryRun: false,
      name: 'deny',
      namespace: 'bookshop',
      rules: [
        [
          [
            {
              destinationPorts: [8080],
              principals: [{ Exact: 'a' }, { Suffix: '/b' }, { Presence: [] }],
              serviceAccounts: [{ namespace: 'bookshop', serviceAccount: 'client' }],
              sourceIps: ['10.244.1.0/24', '2001:db8::/64'],
            },
          ],
        ],
      ],
      scope: 'WorkloadSelector',
    });
  });
});
