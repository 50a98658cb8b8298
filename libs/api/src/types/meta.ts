/**
 * What every object has, and the Kubernetes core objects that the mesh reads.
 *
 * Field names are those of the Kubernetes API; only fields that the mesh reads are typed. After
 * `parseObject` every object is in its one official form: defaults written out, dialects rewritten.
 */

/** `metadata` after parsing. Namespaced objects always carry a namespace (`default` if it was left out). */
export interface ObjectMeta {
  readonly name: string;
  /** Empty for cluster-scoped objects (Namespace, GatewayClass). */
  readonly namespace: string;
  readonly uid?: string;
  /** Bumped by the source when the spec changes; 0 if the source does not know. */
  readonly generation: number;
  /** Milliseconds since the epoch; decides ties (older wins). 0 if unknown. */
  readonly creationTimestampMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly ownerReferences?: readonly OwnerReference[];
}

export interface OwnerReference {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  readonly uid?: string;
  readonly controller?: boolean;
}

export interface ObjectBase<Kind extends string> {
  readonly kind: Kind;
  /** The served version as written, e.g. `networking.istio.io/v1beta1`; all versions have one shape. */
  readonly apiVersion: string;
  readonly metadata: ObjectMeta;
}

export interface Namespace extends ObjectBase<'Namespace'> {}
export interface ServiceAccount extends ObjectBase<'ServiceAccount'> {}

export interface ServicePort {
  readonly name: string;
  readonly port: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  /** A number, or the name of a container port that each pod resolves for itself. */
  readonly targetPort: number | string;
  readonly appProtocol?: string;
}

export interface Service extends ObjectBase<'Service'> {
  readonly spec: {
    readonly type: 'ClusterIP' | 'NodePort' | 'LoadBalancer' | 'ExternalName';
    readonly selector: Readonly<Record<string, string>>;
    readonly ports: readonly ServicePort[];
    /** `['None']` for headless; empty while no address is assigned. */
    readonly clusterIPs: readonly string[];
    readonly ipFamilies: readonly ('IPv4' | 'IPv6')[];
    readonly ipFamilyPolicy?: 'SingleStack' | 'PreferDualStack' | 'RequireDualStack';
    readonly publishNotReadyAddresses: boolean;
    readonly internalTrafficPolicy: 'Cluster' | 'Local';
    readonly trafficDistribution?: string;
    readonly externalName?: string;
  };
}

export interface ContainerPort {
  readonly name?: string;
  readonly containerPort: number;
  readonly protocol: 'TCP' | 'UDP' | 'SCTP';
}

/** A readiness probe as the lab runs it. One of the three actions is set. */
export interface Probe {
  readonly httpGet?: { readonly path: string; readonly port: number | string };
  readonly tcpSocket?: { readonly port: number | string };
  readonly exec?: { readonly command: readonly string[] };
  readonly initialDelaySeconds: number;
  readonly periodSeconds: number;
  readonly timeoutSeconds: number;
  readonly successThreshold: number;
  readonly failureThreshold: number;
}

export interface Container {
  readonly name: string;
  readonly image?: string;
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly ports: readonly ContainerPort[];
  readonly readinessProbe?: Probe;
}

export interface PodSpec {
  readonly serviceAccountName: string;
  readonly nodeName: string;
  readonly hostNetwork: boolean;
  readonly containers: readonly Container[];
}

export interface PodStatus {
  readonly phase: 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Unknown';
  readonly podIPs: readonly string[];
  readonly ready: boolean;
  /** metadata.deletionTimestamp is set. */
  readonly terminating: boolean;
}

export interface Pod extends ObjectBase<'Pod'> {
  readonly spec: PodSpec;
  readonly status: PodStatus;
}

export interface Deployment extends ObjectBase<'Deployment'> {
  readonly spec: {
    readonly replicas: number;
    readonly selector: { readonly matchLabels: Readonly<Record<string, string>> };
    readonly template: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>;
        readonly annotations: Readonly<Record<string, string>>;
      };
      readonly spec: PodSpec;
    };
  };
}

export interface Node extends ObjectBase<'Node'> {}

/** One backend of a Service without selector: an address, and the pod behind it where the writer says so. */
export interface SliceEndpoint {
  /** Addresses of one and the same backend, or names (`addressType: FQDN`). */
  readonly addresses: readonly string[];
  /** Absent in the slice means yes. */
  readonly ready: boolean;
  /** Without a namespace that of the slice. */
  readonly pod?: { readonly name: string; readonly namespace?: string };
  readonly nodeName: string;
}

/** Which Service it is of is in its label `kubernetes.io/service-name`. */
export interface EndpointSlice extends ObjectBase<'EndpointSlice'> {
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN';
  readonly endpoints: readonly SliceEndpoint[];
  /** Of all endpoints; the names are those of the Service's ports. */
  readonly ports: readonly {
    readonly name: string;
    readonly port: number;
    readonly protocol: 'TCP' | 'UDP' | 'SCTP';
  }[];
}

/** `group` may be '' (core). Namespace defaults to the referring object's. */
export interface LocalTargetRef {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
}

export interface LabelSelector {
  readonly matchLabels: Readonly<Record<string, string>>;
}
