/**
 * GRPCRoutes in the words of HTTPRoute: a call is a request for `/package.Service/Method`.
 *
 * On a port where GRPCRoutes and HTTPRoutes of one namespace are bound, only the GRPCRoutes are there (GEP-1294).
 */
import { type GRPCRoute, grpcMethodPath } from '@ambit/api';

import type { RouteObject } from './compile-http-route.ts';
import type { HttpRouteGroup, HttpRouteRuleEntry } from './route-table.ts';

export function grpcAsHttp({ kind, metadata, spec }: GRPCRoute): RouteObject {
  const rules = spec.rules.map((rule) => ({
    ...rule,
    matches: rule.matches.map(({ method, headers }) => ({
      path: grpcMethodPath(method),
      headers,
      queryParams: [],
    })),
  }));
  return { kind, metadata, spec: { ...spec, rules } };
}

/** All of `first`, and of `second` what is at ports that `first` does not have. */
export function onlyOtherPorts(
  first: HttpRouteGroup | undefined,
  second: HttpRouteGroup | undefined,
  servicePorts: readonly number[],
): HttpRouteGroup | undefined {
  if (first === undefined || second === undefined) return first ?? second;
  const { ports } = first;
  if (ports === 'all') return first;
  const others = second.rules.flatMap((entry): readonly HttpRouteRuleEntry[] => {
    const own = entry.ports.length === 0 ? servicePorts : entry.ports;
    const left = own.filter((port) => !ports.has(port));
    return left.length === 0 ? [] : [{ ...entry, ports: left }];
  });
  const rules = [...first.rules, ...others];
  return { rules, ports: second.ports === 'all' ? 'all' : new Set([...ports, ...second.ports]) };
}
