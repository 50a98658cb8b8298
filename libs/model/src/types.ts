/**
 * The mesh model: what the controller derives from objects and what the proxies hold.
 *
 * Shapes follow `istio.workload` and `istio.security` field by field, as plain
 * TypeScript; `libs/xds` maps them to protobuf. Ambit's additions are in `extensions` there.
 */
import type { Finding, GatewayInfrastructure, MeshObject, ObjectKey } from '@ambit/api';
import type { CompiledPolicy } from '@ambit/policy';
import type { GatewayApiStanza } from './status/gateway-api/stanza.ts';

/** Address text in canonical form; `network` is '' in a mesh of one network. */
export interface NetworkAddress {
  readonly network: string;
  readonly address: string;
  /** Prefix length of a CIDR; absent for a host. */
  readonly length?: number;
}

export interface NamespacedHostname {
  readonly namespace: string;
  readonly hostname: string;
}

export interface GatewayAddress {
  readonly destination:
    | { readonly kind: 'hostname'; readonly hostname: NamespacedHostname }
    | { readonly kind: 'address'; readonly address: NetworkAddress };
  readonly hboneMtlsPort: number;
  /** Whose it is, where the controller says so; a foreign one does not. */
  readonly waypoint?: WaypointReference;
}

export interface WaypointReference {
  /** `namespace/name` of its Gateway. */
  readonly key: string;
  readonly className: string;
  /** SPIFFE id, with scheme: the only one that callers expect there. */
  readonly identity: string;
}

export type AppProtocol = 'UNKNOWN' | 'HTTP11' | 'HTTP2' | 'GRPC' | 'TCP' | 'TLS';

export interface PortMapping {
  readonly servicePort: number;
  /** 0: a named port that each endpoint resolves. */
  readonly targetPort: number;
  readonly appProtocol: AppProtocol;
}

export type WorkloadType = 'DEPLOYMENT' | 'CRONJOB' | 'POD' | 'JOB';

/**
 * A port of a workload that only its waypoint may reach: every policy of the workload, L4 and L7, is
 * decided there. The agent refuses everyone else.
 */
export interface Guard {
  /** SPIFFE ids (with scheme) of the waypoint that the workload is bound to now; empty: nobody gets in. */
  readonly waypointIdentities: readonly string[];
  /** Empty: every port. */
  readonly ports: readonly number[];
  /**
   * True: policy needs the waypoint, and the agent refuses everyone else on these ports. False: only
   * routing sends callers there; the agent skips its policies for the waypoint, which has evaluated
   * them against the real caller, and decides everyone else by its policies as usual.
   */
  readonly exclusive: boolean;
  /** What made it guarded, for the refusal's text: `AuthorizationPolicy/shop/reviews`. */
  readonly because: readonly ObjectKey[];
}

/** Of a waypoint that leaves the end of its tunnels to the agent: the agent hands it what was in them. */
export interface ApplicationTunnel {
  /** `PROXY`: behind a header of PROXY protocol version 2, over loopback. */
  readonly protocol: 'NONE' | 'PROXY';
  /** 0: the port that the tunnel names. */
  readonly port: number;
}

export interface Workload {
  readonly uid: string;
  readonly name: string;
  readonly namespace: string;
  readonly addresses: readonly string[];
  readonly network: string;
  readonly tunnelProtocol: 'NONE' | 'HBONE';
  readonly trustDomain: string;
  readonly serviceAccount: string;
  readonly waypoint?: GatewayAddress;
  readonly node: string;
  readonly canonicalName: string;
  readonly canonicalRevision: string;
  readonly workloadType: WorkloadType;
  readonly workloadName: string;
  readonly nativeTunnel: boolean;
  /** `namespace/name` of selector policies that apply; GLOBAL and NAMESPACE ones are implied. */
  readonly authorizationPolicies: readonly string[];
  readonly status: 'HEALTHY' | 'UNHEALTHY';
  readonly clusterId: string;
  readonly hostname: string;
  /** `namespace/hostname` → ports of that service on this workload. */
  readonly services: Readonly<Record<string, readonly PortMapping[]>>;
  readonly networkMode: 'STANDARD' | 'HOST_NETWORK';
  readonly locality?: { readonly region: string; readonly zone: string; readonly subzone: string };
  readonly capacity: number;
  readonly guard?: Guard;
  readonly applicationTunnel?: ApplicationTunnel;
  /** Labels; Ambit's own addition, sent to waypoints (subsets, sourceLabels). */
  readonly labels: Readonly<Record<string, string>>;
}

export interface LoadBalancing {
  readonly routingPreference: readonly (
    | 'REGION'
    | 'ZONE'
    | 'SUBZONE'
    | 'NODE'
    | 'CLUSTER'
    | 'NETWORK'
  )[];
  readonly mode: 'UNSPECIFIED' | 'STRICT' | 'FAILOVER' | 'PASSTHROUGH';
  readonly healthPolicy: 'ONLY_HEALTHY' | 'ALLOW_ALL';
}

export interface MeshService {
  readonly name: string;
  readonly namespace: string;
  readonly hostname: string;
  readonly addresses: readonly NetworkAddress[];
  readonly ports: readonly PortMapping[];
  readonly subjectAltNames: readonly string[];
  /**
   * Set: clients must go there, and refuse while it has no ready endpoint. The model leaves it out
   * while a waypoint that only routing needs is starting (policy refuses, routing lets pass).
   */
  readonly waypoint?: GatewayAddress;
  readonly loadBalancing?: LoadBalancing;
  readonly ipFamilies: 'AUTOMATIC' | 'IPV4_ONLY' | 'IPV6_ONLY' | 'DUAL';
  readonly canonical: boolean;
  readonly ingressUseWaypoint: boolean;
}

/** `uid` of a workload, or `namespace/hostname` of a service. */
export type AddressKey = string;

export type Address =
  | { readonly kind: 'workload'; readonly workload: Workload }
  | { readonly kind: 'service'; readonly service: MeshService };

/** Which pods of a namespace are captured; decided on the node. Key: the namespace. */
export interface Enrolment {
  readonly namespace: string;
  /** Mode of pods without a label of their own. */
  readonly mode: 'ambient' | 'none';
  /** Pods whose own label differs from the namespace's mode. */
  readonly exceptions: readonly {
    readonly pod: string;
    readonly mode: 'ambient' | 'none';
    /** Why it is left out, for people: agents are not told. */
    readonly because?: string;
  }[];
  /** From annotation or default: capture DNS in pods of this namespace. */
  readonly dnsCapture: boolean;
}

/**
 * What the agent of a node must know of a pod before the pod has an address, and so before it is a workload. Key:
 * `namespace/name`. Not of pods of the host's network, nor of those whose Namespace is not known yet.
 */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  /** As the container runtime says it: of a static pod, the hash of its file. */
  readonly uid: string;
  readonly node: string;
  readonly serviceAccount: string;
  /** What is decided for this pod alone; absent: its namespace decides. */
  readonly mode?: 'ambient' | 'none';
  /** Those that say how it is captured (`CAPTURE_ANNOTATIONS`). */
  readonly annotations: Readonly<Record<string, string>>;
}

/** A waypoint that should run: the controller provisions it, proxies find it by its service. */
export interface WaypointSpec {
  readonly namespace: string;
  readonly name: string;
  /** Of its Service, Deployment and what goes with them, where its Gateway says another. */
  readonly partName?: string;
  readonly serviceAccount: string;
  /** Of its Gateway: policies may target the class. */
  readonly className: string;
  /** Made because an object needs it, rather than by a Gateway. */
  readonly onDemand: boolean;
  /** Objects that need it. */
  readonly because: readonly ObjectKey[];
  /** What its Gateway wants on everything that is made for it. */
  readonly infrastructure?: GatewayInfrastructure;
}

export type ConditionStatus = 'True' | 'False' | 'Unknown';

export interface Condition {
  readonly type: string;
  readonly status: ConditionStatus;
  /** CamelCase, from a closed list. */
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
}

/** What the model says about one object; `Enforced` is added by whoever counts acknowledgements. */
export interface ObjectStatus {
  readonly key: ObjectKey;
  readonly conditions: readonly Condition[];
  readonly findings: readonly Finding[];
  /** The same in the shapes of Gateway API; absent for other kinds, and where others are responsible. */
  readonly gatewayApi?: GatewayApiStanza;
}

/** Everything that proxies hold, by resource name. Maps are replaced, never changed in place. */
export interface MeshOutputs {
  readonly addresses: ReadonlyMap<AddressKey, Address>;
  /** `namespace/name` → policy that agents enforce (L4 only). */
  readonly authorizations: ReadonlyMap<string, CompiledPolicy>;
  readonly enrolments: ReadonlyMap<string, Enrolment>;
  readonly pods: ReadonlyMap<string, PodFacts>;
  readonly waypoints: ReadonlyMap<string, WaypointSpec>;
  /** Waypoint `namespace/name` → keys of the objects in its scope. */
  readonly scopes: ReadonlyMap<string, ReadonlySet<ObjectKey>>;
  /** Accepted objects that waypoints compile, by key. */
  readonly objects: ReadonlyMap<ObjectKey, MeshObject>;
  readonly statuses: ReadonlyMap<ObjectKey, ObjectStatus>;
}

/** What one batch changed. A key whose value is equal to the one before is not in it. */
export interface MeshDelta {
  readonly addresses: {
    readonly changed: ReadonlySet<AddressKey>;
    readonly removed: ReadonlySet<AddressKey>;
  };
  readonly authorizations: {
    readonly changed: ReadonlySet<string>;
    readonly removed: ReadonlySet<string>;
  };
  readonly enrolments: {
    readonly changed: ReadonlySet<string>;
    readonly removed: ReadonlySet<string>;
  };
  readonly pods: { readonly changed: ReadonlySet<string>; readonly removed: ReadonlySet<string> };
  readonly waypoints: {
    readonly changed: ReadonlySet<string>;
    readonly removed: ReadonlySet<string>;
  };
  readonly scopes: { readonly changed: ReadonlySet<string>; readonly removed: ReadonlySet<string> };
  readonly objects: {
    readonly changed: ReadonlySet<ObjectKey>;
    readonly removed: ReadonlySet<ObjectKey>;
  };
  readonly statuses: {
    readonly changed: ReadonlySet<ObjectKey>;
    readonly removed: ReadonlySet<ObjectKey>;
  };
}
