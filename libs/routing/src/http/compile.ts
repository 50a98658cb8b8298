/**
 * Compiles the routes of one service: VirtualServices and HTTPRoutes into one table.
 *
 * HTTPRoutes beat VirtualServices on every port that they attach to. A caller meets the routes of its
 * own namespace (consumer), else those of the service's (producer), never both.
 */
import type { HTTPRoute, VirtualService } from '@ambit/api';
import { compileHttpRouteGroup } from './compile-http-route.ts';
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
}

/** Objects that do not concern the service are passed over, so that callers may give all of a scope. */
export function compileHttpRoutes(input: HttpRouteInput): HttpRouteTable {
  const { service } = input;
  const byNamespace = new Map<string, HTTPRoute[]>();
  for (const route of input.httpRoutes) {
    const { namespace } = route.metadata;
    const list = byNamespace.get(namespace) ?? [];
    list.push(route);
    byNamespace.set(namespace, list);
  }
  const consumers = new Map<string, HttpRouteGroup>();
  let producer: HttpRouteGroup | undefined;
  for (const [namespace, routes] of byNamespace) {
    const group = compileHttpRouteGroup(routes, input);
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
