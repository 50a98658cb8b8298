/**
 * Which resources of a cluster the controller follows: every kind that configures the mesh, whole, and of the
 * kinds that are known but not served the metadata, so that each object can be told what to use instead.
 */
import { supportedKinds, unsupportedKinds } from '@ambit/api';
import type { WantedResource } from '@ambit/kube';

export interface FollowedKind {
  readonly kind: string;
  readonly group: string;
  readonly resource: WantedResource;
  /** Only objects with these labels are read. */
  readonly labelSelector?: string;
  /** False: known and not served; only its metadata is read. */
  readonly isServed: boolean;
  /** What its keys begin with: the kind, where that belongs to one group only. */
  readonly keyPrefix: string;
}

/** The model reads none of them: accounts are named by pods, and Deployments are the cluster's own. */
const LEFT_ALONE: ReadonlySet<string> = new Set(['/ServiceAccount', 'apps/Deployment']);

const NETWORKING = 'networking.istio.io';
const SECURITY = 'security.istio.io';
const GATEWAY = 'gateway.networking.k8s.io';

/** Slices of Services with a selector are left alone: there the pods themselves say who is ready. */
const SELECTORS: Readonly<Record<string, string>> = {
  'discovery.k8s.io/EndpointSlice':
    'kubernetes.io/service-name,endpointslice.kubernetes.io/managed-by!=endpointslice-controller.k8s.io',
};

/** As they are called in paths, and the versions of those that are not served. */
const RESOURCES: Readonly<Record<string, readonly [plural: string, ...versions: string[]]>> = {
  '/Namespace': ['namespaces'],
  '/Node': ['nodes'],
  '/Service': ['services'],
  '/Pod': ['pods'],
  'discovery.k8s.io/EndpointSlice': ['endpointslices'],
  [`${NETWORKING}/VirtualService`]: ['virtualservices'],
  [`${NETWORKING}/DestinationRule`]: ['destinationrules'],
  [`${NETWORKING}/ServiceEntry`]: ['serviceentries'],
  [`${NETWORKING}/WorkloadEntry`]: ['workloadentries'],
  [`${NETWORKING}/EnvoyFilter`]: ['envoyfilters', 'v1alpha3'],
  [`${NETWORKING}/Sidecar`]: ['sidecars', 'v1', 'v1beta1', 'v1alpha3'],
  [`${NETWORKING}/Gateway`]: ['gateways', 'v1', 'v1beta1', 'v1alpha3'],
  [`${NETWORKING}/WorkloadGroup`]: ['workloadgroups', 'v1', 'v1beta1', 'v1alpha3'],
  [`${NETWORKING}/ProxyConfig`]: ['proxyconfigs', 'v1beta1'],
  [`${SECURITY}/AuthorizationPolicy`]: ['authorizationpolicies'],
  [`${SECURITY}/PeerAuthentication`]: ['peerauthentications'],
  [`${SECURITY}/RequestAuthentication`]: ['requestauthentications'],
  'telemetry.istio.io/Telemetry': ['telemetries', 'v1', 'v1alpha1'],
  'extensions.istio.io/WasmPlugin': ['wasmplugins', 'v1alpha1'],
  'extensions.istio.io/TrafficExtension': ['trafficextensions', 'v1alpha1'],
  [`${GATEWAY}/Gateway`]: ['gateways'],
  [`${GATEWAY}/GatewayClass`]: ['gatewayclasses'],
  [`${GATEWAY}/HTTPRoute`]: ['httproutes'],
  [`${GATEWAY}/TCPRoute`]: ['tcproutes'],
  [`${GATEWAY}/GRPCRoute`]: ['grpcroutes', 'v1', 'v1alpha2'],
  [`${GATEWAY}/TLSRoute`]: ['tlsroutes', 'v1', 'v1alpha3', 'v1alpha2'],
  [`${GATEWAY}/UDPRoute`]: ['udproutes', 'v1', 'v1alpha2'],
  [`${GATEWAY}/ReferenceGrant`]: ['referencegrants', 'v1', 'v1beta1'],
  [`${GATEWAY}/BackendTLSPolicy`]: ['backendtlspolicies', 'v1', 'v1alpha3'],
  [`${GATEWAY}/ListenerSet`]: ['listenersets', 'v1', 'v1alpha1'],
};

export const FOLLOWED_KINDS: readonly FollowedKind[] = [...servedKinds(), ...unservedKinds()];

function servedKinds(): readonly FollowedKind[] {
  return supportedKinds().flatMap(({ kind, group, versions }): readonly FollowedKind[] => {
    const name = `${group}/${kind}`;
    if (LEFT_ALONE.has(name)) return [];
    const [plural] = resourceOf(name);
    const resource = { group, resource: plural, versions };
    const labelSelector = SELECTORS[name];
    const selecting = labelSelector === undefined ? {} : { labelSelector };
    return [{ kind, group, resource, ...selecting, isServed: true, keyPrefix: kind }];
  });
}

function unservedKinds(): readonly FollowedKind[] {
  const served = new Set(supportedKinds().map(({ kind }) => kind));
  return unsupportedKinds().flatMap((name): readonly FollowedKind[] => {
    if (LEFT_ALONE.has(name)) return [];
    const [group = '', kind = ''] = name.split('/');
    const [plural, ...versions] = resourceOf(name);
    const resource = { group, resource: plural, versions };
    // Gateway is of two groups, and the going of one must not take the other away.
    const keyPrefix = served.has(kind) ? `${kind}.${group}` : kind;
    return [{ kind, group, resource, isServed: false, keyPrefix }];
  });
}

function resourceOf(name: string): readonly [plural: string, ...versions: string[]] {
  const found = RESOURCES[name];
  if (found === undefined) throw new TypeError(`no resource is known of ${name}`);
  return found;
}
