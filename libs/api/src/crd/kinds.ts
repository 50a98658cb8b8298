/**
 * The CRDs that Ambit brings where nobody else did: names, versions and columns as users of Istio know
 * them (istio.io/api, customresourcedefinitions.gen.yaml). Gateway API's come from the cluster.
 *
 * Kinds that are not served have one too, open inside, so that YAML which contains them can be applied
 * and its condition says what to use instead.
 */
export interface PrinterColumn {
  readonly name: string;
  readonly type: 'date' | 'string';
  readonly description: string;
  readonly jsonPath: string;
}

export interface CrdKind {
  readonly kind: string;
  readonly group: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  /** As served; the first is shown first by clients. */
  readonly versions: readonly string[];
  /** Istio's: objects stay readable when its CRDs replace ours, and the other way round. */
  readonly storage: string;
  readonly columns: readonly PrinterColumn[];
  readonly description: string;
}

const AGE: PrinterColumn = {
  name: 'Age',
  type: 'date',
  description: 'Time since the object was made',
  jsonPath: '.metadata.creationTimestamp',
};

function column(name: string, jsonPath: string, description: string): PrinterColumn {
  return { name, type: 'string', description, jsonPath };
}

const NETWORKING = {
  group: 'networking.istio.io',
  versions: ['v1', 'v1beta1', 'v1alpha3'],
  storage: 'v1',
};
const SECURITY = { group: 'security.istio.io', versions: ['v1', 'v1beta1'], storage: 'v1' };
const EXTENSIONS = {
  group: 'extensions.istio.io',
  versions: ['v1alpha1'],
  storage: 'v1alpha1',
  shortNames: [],
  columns: [AGE],
};

export const CRD_KINDS: readonly CrdKind[] = [
  {
    ...NETWORKING,
    kind: 'VirtualService',
    plural: 'virtualservices',
    shortNames: ['vs'],
    columns: [
      column('Gateways', '.spec.gateways', 'Gateways and mesh that the rules hold for'),
      column('Hosts', '.spec.hosts', 'Hosts that the rules are about'),
      AGE,
    ],
    description: 'Rules for the traffic to hosts.',
  },
  {
    ...NETWORKING,
    kind: 'DestinationRule',
    plural: 'destinationrules',
    shortNames: ['dr'],
    columns: [column('Host', '.spec.host', 'Host that the policies are about'), AGE],
    description: 'Subsets of a host, and the policies for traffic to it after routing.',
  },
  {
    ...NETWORKING,
    kind: 'ServiceEntry',
    plural: 'serviceentries',
    shortNames: ['se'],
    columns: [
      column('Hosts', '.spec.hosts', 'Hosts of the service'),
      column('Location', '.spec.location', 'Inside or outside of the mesh'),
      column('Resolution', '.spec.resolution', 'How its endpoints are found'),
      AGE,
    ],
    description: 'A service that Kubernetes does not know.',
  },
  {
    ...NETWORKING,
    kind: 'WorkloadEntry',
    plural: 'workloadentries',
    shortNames: ['we'],
    columns: [column('Address', '.spec.address', 'Address of the workload'), AGE],
    description: 'A workload that is no pod.',
  },
  {
    ...NETWORKING,
    kind: 'WorkloadGroup',
    plural: 'workloadgroups',
    shortNames: ['wg'],
    columns: [AGE],
    description: 'A template of WorkloadEntries.',
  },
  {
    ...NETWORKING,
    kind: 'Gateway',
    plural: 'gateways',
    shortNames: ['gw'],
    columns: [AGE],
    description: 'A proxy at the edge of the mesh.',
  },
  {
    ...NETWORKING,
    kind: 'Sidecar',
    plural: 'sidecars',
    shortNames: [],
    columns: [AGE],
    description: 'What a sidecar knows of the mesh.',
  },
  {
    ...NETWORKING,
    kind: 'EnvoyFilter',
    plural: 'envoyfilters',
    versions: ['v1alpha3'],
    storage: 'v1alpha3',
    shortNames: [],
    columns: [AGE],
    description: 'Changes to the configuration of Envoy.',
  },
  {
    ...NETWORKING,
    kind: 'ProxyConfig',
    plural: 'proxyconfigs',
    versions: ['v1beta1'],
    storage: 'v1beta1',
    shortNames: [],
    columns: [AGE],
    description: 'Settings of sidecars.',
  },
  {
    ...SECURITY,
    kind: 'AuthorizationPolicy',
    plural: 'authorizationpolicies',
    shortNames: ['ap'],
    columns: [column('Action', '.spec.action', 'What happens to what it matches'), AGE],
    description: 'Who may do what to workloads.',
  },
  {
    ...SECURITY,
    kind: 'PeerAuthentication',
    plural: 'peerauthentications',
    shortNames: ['pa'],
    columns: [column('Mode', '.spec.mtls.mode', 'Whether callers need an identity'), AGE],
    description: 'Whether workloads take connections without mTLS.',
  },
  {
    ...SECURITY,
    kind: 'RequestAuthentication',
    plural: 'requestauthentications',
    shortNames: ['ra'],
    columns: [AGE],
    description: 'Whose tokens count.',
  },
  {
    group: 'telemetry.istio.io',
    kind: 'Telemetry',
    plural: 'telemetries',
    shortNames: ['telemetry'],
    versions: ['v1', 'v1alpha1'],
    storage: 'v1alpha1',
    columns: [AGE],
    description: 'What is measured, logged and traced.',
  },
  {
    ...EXTENSIONS,
    kind: 'WasmPlugin',
    plural: 'wasmplugins',
    description: 'A WebAssembly program inside of proxies.',
  },
  {
    ...EXTENSIONS,
    kind: 'TrafficExtension',
    plural: 'trafficextensions',
    description: 'A program inside of proxies.',
  },
];
