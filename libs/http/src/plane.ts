/**
 * What the engine asks of the mesh. The waypoint answers from its current configuration, so that every
 * request meets the configuration of its moment, also on a connection that is a day old.
 */
import type { AppProtocol, MeshService, WaypointAuthorization, Workload } from '@ambit/model';
import type { RequestAttributes } from '@ambit/policy';
import type { ByteConn } from '@ambit/proxy';
import type {
  Cluster,
  ClusterRef,
  HttpRequestView,
  RouteDecision,
  TcpDecision,
} from '@ambit/routing';
import type { MeshEndpoint } from './upstream/cluster-state.ts';

/** Who opened the tunnel, as its certificate and its connection say. */
export interface Caller {
  /** `spiffe://…` */
  readonly identity: string;
  readonly trustDomain: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly ip: string;
  readonly port: number;
  /** What its agent says of it, for telemetry: the peer's word, which decides nothing. */
  readonly baggage?: string;
  /** The workload at that address, if it runs under that identity. Labels for routing and telemetry. */
  readonly workload?: Workload;
}

/** What the tunnel's authority names. */
export interface Destination {
  readonly kind: 'service' | 'workload';
  /** As sent by the client. */
  readonly authority: string;
  /** The service, or the one the workload belongs to. */
  readonly service?: MeshService;
  readonly workload?: Workload;
  /** Service port, or the workload's own. */
  readonly port: number;
  readonly protocol: AppProtocol;
}

export interface ResolvedCluster {
  readonly cluster: Cluster;
  /** The same array until something changes. */
  readonly endpoints: readonly MeshEndpoint[];
  readonly protocol: AppProtocol;
  readonly service?: MeshService;
}

/** An endpoint, as one of the cluster that it was picked from. */
export interface DialTarget {
  readonly endpoint: MeshEndpoint;
  readonly cluster: ClusterRef;
}

export interface MeshPlane {
  readonly caller: Caller;
  readonly destination: Destination;
  /** `request` absent: a TCP connection. Every policy of the destination, decided for the real caller. */
  authorize(request?: RequestAttributes): WaypointAuthorization;
  route(request: HttpRequestView): RouteDecision;
  routeTcp(): TcpDecision;
  /** Where a TCP connection goes when no rule says otherwise. */
  readonly defaultCluster: ClusterRef;
  /** Undefined: no such host or subset (flag NC). */
  cluster(ref: ClusterRef): ResolvedCluster | undefined;
  /** Nobody has the endpoint any more, or not at its address: no connection to it is kept. Absent: never. */
  hasLeft?(endpoint: MeshEndpoint): boolean;
  /** A connection to the endpoint, through a tunnel where it has one. Rejects with a MeshError. */
  dial(to: DialTarget, signal: AbortSignal): Promise<ByteConn>;
}
