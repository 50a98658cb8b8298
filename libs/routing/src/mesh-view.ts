/**
 * What routing needs to know of the mesh: the lookups that an index over the model answers.
 *
 * The shapes are the minimum of `libs/model`'s Workload and MeshService (which fit without a change):
 * routing stands before the model. An index never returns a workload of the host's network by address.
 */

export interface ViewPortMapping {
  readonly servicePort: number;
  /** 0: a named port that each endpoint resolves for itself. */
  readonly targetPort: number;
}

export interface ViewGatewayAddress {
  readonly destination:
    | {
        readonly kind: 'hostname';
        readonly hostname: { readonly namespace: string; readonly hostname: string };
      }
    | {
        readonly kind: 'address';
        readonly address: { readonly network: string; readonly address: string };
      };
  readonly hboneMtlsPort: number;
  /** Absent under a foreign controller: then whoever serves there is the waypoint. */
  readonly waypoint?: {
    /** SPIFFE id, with scheme: nobody else is the waypoint. */
    readonly identity: string;
  };
}

export interface ViewGuard {
  /** SPIFFE ids with scheme; empty: nobody gets in. */
  readonly waypointIdentities: readonly string[];
  /** Target ports; empty: every port. */
  readonly ports: readonly number[];
  /** True: nobody else gets in. False: others are decided by policy as usual. */
  readonly exclusive: boolean;
  readonly because: readonly string[];
}

export interface ViewApplicationTunnel {
  readonly protocol: 'NONE' | 'PROXY';
  /** 0: the port that the tunnel names. */
  readonly port: number;
}

export interface ViewLocality {
  readonly region: string;
  readonly zone: string;
  readonly subzone: string;
}

export interface ViewWorkload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  /** Canonical text. */
  readonly addresses: readonly string[];
  readonly network: string;
  readonly tunnelProtocol: 'NONE' | 'HBONE';
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly waypoint?: ViewGatewayAddress;
  readonly status: 'HEALTHY' | 'UNHEALTHY';
  readonly node: string;
  readonly clusterId: string;
  readonly hostname: string;
  /** `namespace/hostname` → ports of that service on this workload. */
  readonly services: Readonly<Record<string, readonly ViewPortMapping[]>>;
  readonly locality?: ViewLocality;
  /** Relative weight; 0 counts as 1. */
  readonly capacity: number;
  readonly guard?: ViewGuard;
  readonly applicationTunnel?: ViewApplicationTunnel;
  readonly labels: Readonly<Record<string, string>>;
}

export type RoutingScope = 'REGION' | 'ZONE' | 'SUBZONE' | 'NODE' | 'CLUSTER' | 'NETWORK';

export interface ViewService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  /** With a `length` it is a range. */
  readonly addresses: readonly {
    readonly network: string;
    readonly address: string;
    readonly length?: number;
  }[];
  readonly ports: readonly ViewPortMapping[];
  readonly subjectAltNames: readonly string[];
  readonly waypoint?: ViewGatewayAddress;
  readonly loadBalancing?: {
    readonly routingPreference: readonly RoutingScope[];
    readonly mode: 'UNSPECIFIED' | 'STRICT' | 'FAILOVER' | 'PASSTHROUGH';
    readonly healthPolicy: 'ONLY_HEALTHY' | 'ALLOW_ALL';
  };
  readonly ipFamilies: 'AUTOMATIC' | 'IPV4_ONLY' | 'IPV6_ONLY' | 'DUAL';
}

/** Lookups, each in constant time but for CIDR services. `W` and `S` let callers get their own types back. */
export interface MeshView<
  W extends ViewWorkload = ViewWorkload,
  S extends ViewService = ViewService,
> {
  /** The network that this proxy is in; '' in a mesh of one network. */
  readonly network: string;
  workloadByUid(uid: string): W | undefined;
  /** `ip` canonical. Several owners: pod with HBONE before pod before others. Never a host-network workload. */
  workloadByAddress(network: string, ip: string): W | undefined;
  /** A workload known by name only (VM, ServiceEntry endpoint, gateway). */
  workloadByHostname(namespace: string, hostname: string): W | undefined;
  /** Exact VIP first, then the longest CIDR. Ties: `clientNamespace`, then canonical, then first by key. */
  serviceByAddress(network: string, ip: string, clientNamespace: string): S | undefined;
  service(namespace: string, hostname: string): S | undefined;
  /** Ties as `serviceByAddress`. */
  serviceByHostname(hostname: string, clientNamespace: string): S | undefined;
  /**
   * Workloads of the service that may serve now: the healthy ones, or all where its health policy is
   * ALLOW_ALL. Order is stable between changes.
   */
  endpoints(serviceKey: string): readonly W[];
}

/** `namespace/hostname`. */
export function serviceKey(service: {
  readonly namespace: string;
  readonly hostname: string;
}): string {
  return `${service.namespace}/${service.hostname}`;
}

/** A pod has its addresses from the cluster; what anything else has, somebody wrote. */
export function isPod({ uid }: Pick<ViewWorkload, 'uid'>): boolean {
  return uid.includes('//Pod/');
}

/** The SPIFFE id, with scheme, that a workload's certificate carries. */
export function workloadIdentity(
  workload: Pick<ViewWorkload, 'trustDomain' | 'namespace' | 'serviceAccount'>,
): string {
  return `spiffe://${workload.trustDomain}/ns/${workload.namespace}/sa/${workload.serviceAccount}`;
}
