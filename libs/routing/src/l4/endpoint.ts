/**
 * Which endpoint of a service a connection goes to, as an agent chooses: ranked by the service's
 * preferences, then weighted at random by capacity. No stickiness; who is shunned comes last.
 */
import type { MeshView, RoutingScope, ViewService, ViewWorkload } from '../mesh-view.ts';
import { serviceKey } from '../mesh-view.ts';

/** Where the client is, for locality preferences. */
export type ClientPlace = Pick<ViewWorkload, 'network' | 'node' | 'clusterId' | 'locality'>;

export interface L4EndpointQuery {
  readonly client: ClientPlace;
  readonly servicePort: number;
  /** A waypoint listens on its HBONE port whether its service lists that port or not. */
  readonly anyPort?: boolean;
  /** Others are passed over. */
  readonly accepts?: (workload: ViewWorkload) => boolean;
  readonly isShunned?: Shun | undefined;
}

/** Endpoints that are asked only where there is no other one; never the reason of a refusal. */
export type Shun = (workload: ViewWorkload) => boolean;

export interface L4Endpoint<W extends ViewWorkload> {
  readonly workload: W;
  readonly targetPort: number;
}

export type L4EndpointChoice<W extends ViewWorkload> =
  | { readonly kind: 'chosen'; readonly endpoint: L4Endpoint<W> }
  | { readonly kind: 'none'; readonly why: 'unknown-port' | 'no-endpoint' };

/** `random` gives [0,1). */
export function selectL4Endpoint<W extends ViewWorkload, S extends ViewService>(
  service: S,
  query: L4EndpointQuery,
  view: MeshView<W, S>,
  random: () => number,
): L4EndpointChoice<W> {
  const mapping = service.ports.find((port) => port.servicePort === query.servicePort);
  if (mapping === undefined && query.anyPort !== true) {
    return { kind: 'none', why: 'unknown-port' };
  }
  const key = serviceKey(service);
  const usable: L4Endpoint<W>[] = [];
  for (const workload of view.endpoints(key)) {
    const targetPort = endpointPort(workload, key, query, mapping?.targetPort ?? 0);
    if (targetPort === 0 || !isReachable(workload, query.client)) continue;
    if (query.accepts?.(workload) === false) continue;
    usable.push({ workload, targetPort });
  }
  const others = keepBestRanked(withoutShunned(usable, query.isShunned), service, query.client);
  const best = others.length > 0 ? others : keepBestRanked(usable, service, query.client);
  const endpoint = drawByCapacity(best, random);
  return endpoint === undefined
    ? { kind: 'none', why: 'no-endpoint' }
    : { kind: 'chosen', endpoint };
}

function withoutShunned<W extends ViewWorkload>(
  endpoints: readonly L4Endpoint<W>[],
  isShunned: Shun | undefined,
): readonly L4Endpoint<W>[] {
  return isShunned === undefined
    ? endpoints
    : endpoints.filter(({ workload }) => !isShunned(workload));
}

/** 0: this endpoint does not serve the port. */
function endpointPort(
  workload: ViewWorkload,
  key: string,
  query: L4EndpointQuery,
  serviceTargetPort: number,
): number {
  const own = workload.services[key]?.find((port) => port.servicePort === query.servicePort);
  if (own !== undefined && own.targetPort > 0) return own.targetPort;
  if (serviceTargetPort > 0) return serviceTargetPort;
  return query.anyPort === true ? query.servicePort : 0;
}

function isReachable(workload: ViewWorkload, client: ClientPlace): boolean {
  if (workload.network !== client.network) return false;
  return workload.addresses.length > 0 || workload.hostname !== '';
}

function keepBestRanked<W extends ViewWorkload>(
  endpoints: readonly L4Endpoint<W>[],
  service: ViewService,
  client: ClientPlace,
): readonly L4Endpoint<W>[] {
  const balancing = service.loadBalancing;
  if (balancing === undefined || balancing.mode === 'UNSPECIFIED') return endpoints;
  const scopes = balancing.routingPreference;
  let bestRank = balancing.mode === 'STRICT' ? scopes.length : 0;
  let best: L4Endpoint<W>[] = [];
  for (const endpoint of endpoints) {
    const rank = preferenceRank(endpoint.workload, client, scopes);
    if (rank < bestRank) continue;
    if (rank > bestRank) {
      bestRank = rank;
      best = [];
    }
    best.push(endpoint);
  }
  return best;
}

/** Leading preferences matched. Another network is not reachable, so NETWORK always matches here. */
function preferenceRank(
  workload: ViewWorkload,
  client: ClientPlace,
  scopes: readonly RoutingScope[],
): number {
  let rank = 0;
  for (const scope of scopes) {
    if (!isSameScope(workload, client, scope)) break;
    rank += 1;
  }
  return rank;
}

function isSameScope(workload: ViewWorkload, client: ClientPlace, scope: RoutingScope): boolean {
  switch (scope) {
    case 'REGION':
      return workload.locality?.region === client.locality?.region;
    case 'ZONE':
      return workload.locality?.zone === client.locality?.zone;
    case 'SUBZONE':
      return workload.locality?.subzone === client.locality?.subzone;
    case 'NODE':
      return workload.node === client.node;
    case 'CLUSTER':
      return workload.clusterId === client.clusterId;
    case 'NETWORK':
      return workload.network === client.network;
  }
}

function drawByCapacity<W extends ViewWorkload>(
  endpoints: readonly L4Endpoint<W>[],
  random: () => number,
): L4Endpoint<W> | undefined {
  let total = 0;
  for (const { workload } of endpoints) total += workload.capacity || 1;
  let left = random() * total;
  for (const endpoint of endpoints) {
    left -= endpoint.workload.capacity || 1;
    if (left < 0) return endpoint;
  }
  return endpoints.at(-1);
}
