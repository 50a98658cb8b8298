/** The mesh as one tunnel's requests see it: one caller, one destination, the configuration of the moment. */
import { parseIp } from '@ambit/api';
import { endpointLeft } from '@ambit/hbone';
import type {
  Caller,
  Destination,
  DialTarget,
  MeshEndpoint,
  MeshPlane,
  ResolvedCluster,
} from '@ambit/http';
import { authorizeAtWaypoint, type WaypointAuthorization, type Workload } from '@ambit/model';
import type { RequestAttributes } from '@ambit/policy';
import type { ByteConn } from '@ambit/proxy';
import {
  type ClusterRef,
  type HttpRequestView,
  type HttpRouteTable,
  matchHttp,
  matchTcp,
  type RouteDecision,
  serviceKey,
  type TcpDecision,
} from '@ambit/routing';
import type { MeshContext } from './mesh-context.ts';

export class WaypointPlane implements MeshPlane {
  readonly caller: Caller;
  readonly destination: Destination;
  readonly #mesh: MeshContext;
  #workload: ResolvedCluster | undefined;
  #emptyTable: HttpRouteTable | undefined;
  /** What the destination is, as of that version of the mesh. */
  #current: Destination | undefined;
  #currentVersion = -1;
  /** Its routes, as of that version. */
  #table: HttpRouteTable | undefined;

  constructor(caller: Caller, destination: Destination, mesh: MeshContext) {
    this.caller = caller;
    this.destination = destination;
    this.#mesh = mesh;
  }

  get defaultCluster(): ClusterRef {
    const { service, workload, port } = this.destination;
    return { host: service?.hostname ?? workload?.uid ?? '', port };
  }

  authorize(request?: RequestAttributes): WaypointAuthorization {
    const { view, index, policyPlans: plans } = this.#mesh;
    const destination = this.#now();
    return authorizeAtWaypoint({ view, index, caller: this.caller, destination, request, plans });
  }

  route(request: HttpRequestView): RouteDecision {
    const { service } = this.#now();
    this.#table ??= service === undefined ? this.#noRoutes() : this.#mesh.view.routes(service).http;
    return matchHttp(this.#table, request);
  }

  routeTcp(): TcpDecision {
    const { service, port } = this.#now();
    if (service === undefined) {
      const target = { kind: 'cluster', cluster: this.defaultCluster } as const;
      return { kind: 'route', shares: [{ weight: 1, target }] };
    }
    const { caller } = this;
    return matchTcp(this.#mesh.view.routes(service).tcp, {
      destinationIp: parseIp(service.addresses[0]?.address ?? '') ?? new Uint8Array(4),
      port,
      source: {
        namespace: caller.namespace,
        ip: caller.ip,
        ...(caller.workload === undefined ? {} : { labels: caller.workload.labels }),
      },
    });
  }

  cluster(ref: ClusterRef): ResolvedCluster | undefined {
    const { workload } = this.#now();
    if (workload !== undefined && ref.host === workload.uid) {
      return this.#workloadCluster(ref, workload);
    }
    return this.#mesh.cluster(ref);
  }

  hasLeft({ workload }: MeshEndpoint): boolean {
    const now = this.#mesh.index.workloadByUid(workload.uid);
    return now === undefined || now.addresses[0] !== workload.addresses[0];
  }

  async dial({ endpoint, cluster }: DialTarget, signal: AbortSignal): Promise<ByteConn> {
    // Who waited for a place asks for an endpoint of then.
    if (this.hasLeft(endpoint)) {
      throw endpointLeft();
    }
    const host = this.cluster(cluster)?.service?.hostname;
    const { caller } = this;
    const endpoints = () => this.cluster(cluster)?.endpoints ?? [];
    const call = { endpoint, caller, endpoints, ...(host !== undefined && { host }) };
    return await this.#mesh.dial(call, signal);
  }

  /** A workload has no routes: they belong to the service's own address. */
  #noRoutes(): HttpRouteTable {
    const { host: hostname } = this.defaultCluster;
    this.#emptyTable ??= { service: { namespace: '', hostname }, consumers: new Map() };
    return this.#emptyTable;
  }

  /** The same object while the workload's own resource stays the same. */
  #workloadCluster(ref: ClusterRef, workload: Workload): ResolvedCluster {
    const { port, protocol } = this.destination;
    if (this.#workload?.endpoints[0]?.workload !== workload) {
      this.#workload = {
        cluster: {
          name: `inbound|${port}||${ref.host}`,
          ref,
          subsetLabels: {},
          loadBalancer: { simple: 'LEAST_REQUEST' },
          connectionPool: {},
          objects: [],
        },
        endpoints: [{ key: `${workload.uid}:${port}`, workload, targetPort: port, weight: 1 }],
        protocol,
      };
    }
    return this.#workload;
  }

  /** A tunnel outlives resources: each request looks at what the destination is now. */
  #now(): Destination {
    const { version } = this.#mesh;
    if (this.#current === undefined || this.#currentVersion !== version) {
      this.#current = this.#lookUp();
      this.#currentVersion = version;
      this.#table = undefined;
    }
    return this.#current;
  }

  #lookUp(): Destination {
    const { index } = this.#mesh;
    const { destination } = this;
    const service = destination.service && index.services.get(serviceKey(destination.service));
    const workload = destination.workload && index.workloadByUid(destination.workload.uid);
    return {
      ...destination,
      ...(service === undefined ? {} : { service }),
      ...(workload === undefined ? {} : { workload }),
    };
  }
}
