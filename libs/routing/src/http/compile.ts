/**
 * Compiles the routes of one service: VirtualServices, HTTPRoutes and GRPCRoutes into one table.
 *
 * GRPCRoutes beat HTTPRoutes, and both beat VirtualServices on every port that they attach to. A caller meets the routes of its
 * own namespace (consumer), else those of the service's (producer), never both.
 */
import type { GRPCRoute, HTTPRoute, VirtualService } from '@ambit/api';
import { grpcAsHttp, onlyOtherPorts } from './compile-grpc-route.ts';
import { compileHttpRouteGroup, type RouteObject } from './compile-http-route.ts';
import { compileVirtualServices } from './compile-virtual-service.ts';
import type { HttpRouteGroup, HttpRouteTable } from './route-table.ts';

/** The service as frontend. */
export interface RoutedService {
  readonly namespace: string;
  /** `metadata.name` of the Service or ServiceEntry. */
  readonly name: string;
  readonly hostname: string;
  readonly ports: readonly number[];
}

export interface RouteScope {
  readonly service: RoutedService;
  readonly clusterDomain: string;
  /** Service ports of a complete host; `undefined` when the mesh does not know it. */
  readonly portsOf: (hostname: string) => readonly number[] | undefined;
}

export interface HttpRouteInput extends RouteScope {
  readonly virtualServices: readonly VirtualService[];
  readonly httpRoutes: readonly HTTPRoute[];
  /** Default none. */
  readonly grpcRoutes?: readonly GRPCRoute[];
}

/** Objects that do not concern the service are passed over, so that callers may give all of a scope. */
export function compileHttpRoutes(input: HttpRouteInput): HttpRouteTable {
  const { service } = input;
  const httpRoutes = byNamespaceOf(input.httpRoutes);
  const grpcRoutes = byNamespaceOf((input.grpcRoutes ?? []).map(grpcAsHttp));
  const consumers = new Map<string, HttpRouteGroup>();
  let producer: HttpRouteGroup | undefined;
  for (const namespace of new Set([...httpRoutes.keys(), ...grpcRoutes.keys()])) {
    const group = onlyOtherPorts(
      compileHttpRouteGroup(grpcRoutes.get(namespace) ?? [], input),
      compileHttpRouteGroup(httpRoutes.get(namespace) ?? [], input),
      service.ports,
    );
    if (group === undefined) continue;
    if (namespace === service.namespace) producer = group;
    else consumers.set(namespace, group);
  }
  const virtualServices = compileVirtualServices(input.virtualServices, input);
  return {
    service: { namespace: service.namespace, hostname: service.hostname },
    consumers,
    ...(producer === undefined ? {} : { producer }),
    ...(virtualServices === undefined ? {} : { virtualServices }),
  };
}

function byNamespaceOf(
  routes: readonly RouteObject[],
): ReadonlyMap<string, readonly RouteObject[]> {
  const found = new Map<string, RouteObject[]>();
  for (const route of routes) {
    const { namespace } = route.metadata;
    const list = found.get(namespace) ?? [];
    list.push(route);
    found.set(namespace, list);
  }
  return found;
}
