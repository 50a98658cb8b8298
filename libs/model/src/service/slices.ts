/**
 * The endpoints of Services without selector: who stands behind each address of their EndpointSlices.
 *
 * An address of a workload that is known anyway makes that workload a member, with its own identity and tunnel. Any
 * other address becomes a workload without identity, reached in the clear. Slices of Services with a selector say
 * nothing here: the pods themselves do.
 */
import { canonicalIp, type EndpointSlice, type Node, type SliceEndpoint } from '@ambit/api';

import type { Collection } from '../graph/collection.ts';
import { compareText, keyOf, type ModelOptions, objectKey } from '../objects/keys.ts';
import type { Sources } from '../objects/sources.ts';
import { localityOfNode, podUid, type WorkloadSpec } from '../workload/workloads.ts';
import type { ServiceSpec } from './services.ts';

const SERVICE_NAME = 'kubernetes.io/service-name';

/** Index of members by the uid of their workload. */
export const BY_WORKLOAD = 'workload';

export interface SliceMember {
  readonly workload: string;
  /** `namespace/hostname` */
  readonly service: string;
  readonly ports: EndpointSlice['ports'];
  /** The workload itself, where nothing else makes it one. */
  readonly own?: WorkloadSpec;
}

export interface SliceContext {
  readonly services: Collection<ServiceSpec>;
  readonly sources: Sources;
  /** Indexed by address. */
  readonly known: readonly Collection<WorkloadSpec>[];
  readonly byAddress: string;
  readonly options: ModelOptions;
}

/** By a name that is unique among members. */
export function sliceMembers(
  slice: EndpointSlice,
  context: SliceContext,
): readonly (readonly [string, SliceMember])[] {
  const { metadata, addressType, endpoints, ports } = slice;
  const name = metadata.labels[SERVICE_NAME];
  if (name === undefined || addressType === 'FQDN') return [];
  const { namespace } = metadata;
  const key = `${namespace}/${name}.${namespace}.svc.${context.options.clusterDomain}`;
  const service = context.services.get(key);
  if (service?.kind !== 'Service' || service.selector !== undefined) return [];
  const takesAll = service.loadBalancing?.healthPolicy === 'ALLOW_ALL';
  return endpoints.flatMap((endpoint): readonly (readonly [string, SliceMember])[] => {
    const addresses = endpoint.addresses.flatMap((address) => canonicalIp(address) ?? []);
    const [address] = addresses;
    if (address === undefined) return [];
    const known = knownAt(address, endpoint, namespace, context);
    const common = { service: key, ports };
    const memberName = `${keyOf(slice)}#${address}`;
    if (known !== undefined) {
      // The workload's own readiness is in its status; what the slice says is about this service only.
      return endpoint.ready || takesAll ? [[memberName, { ...common, workload: known.uid }]] : [];
    }
    const node = context.sources.nodes.get(objectKey('Node', '', endpoint.nodeName));
    const own = outsideWorkload(slice, { endpoint, addresses, address, node }, context.options);
    return [[memberName, { ...common, workload: own.uid, own }]];
  });
}

/** The pod that the slice names, if it has the address; else whoever has it. */
function knownAt(
  address: string,
  { pod }: SliceEndpoint,
  namespace: string,
  { known, byAddress, options }: SliceContext,
): WorkloadSpec | undefined {
  const uid = pod === undefined ? '' : podUid(pod.namespace ?? namespace, pod.name, options);
  const found = known
    .flatMap((collection) => collection.lookup(byAddress, address))
    .filter((workload) => workload.network === options.network);
  // Of several pods of one host nobody can tell which is meant.
  return (
    found.find((workload) => workload.uid === uid) ??
    found
      .filter(({ isHostNetwork }) => !isHostNetwork)
      .toSorted((a, b) => compareText(a.kind, b.kind) || compareText(a.uid, b.uid))[0]
  );
}

function outsideWorkload(
  slice: EndpointSlice,
  found: {
    readonly endpoint: SliceEndpoint;
    readonly addresses: readonly string[];
    readonly address: string;
    readonly node: Node | undefined;
  },
  options: ModelOptions,
): WorkloadSpec {
  const { name, namespace } = slice.metadata;
  const { endpoint, addresses, address, node } = found;
  const locality = node === undefined ? undefined : localityOfNode(node);
  const place = `${namespace}/${name}/${address}`;
  return {
    uid: `${options.clusterId}/discovery.k8s.io/EndpointSlice/${place}`,
    object: keyOf(slice),
    kind: 'EndpointSlice',
    name,
    namespace,
    addresses,
    network: options.network,
    hostname: '',
    serviceAccount: '',
    node: endpoint.nodeName,
    labels: {},
    isHealthy: endpoint.ready,
    // As the reference says it: nobody finds it by its address, which may be that of a machine.
    isHostNetwork: true,
    isTunnelled: false,
    nativeTunnel: false,
    capacity: 1,
    canonicalName: '',
    canonicalRevision: '',
    workloadName: '',
    ...(locality === undefined ? {} : { locality }),
    namedPorts: {},
    hasSidecar: false,
  };
}
