/** A small world for the tables of the statuses of Gateway API. */
import type { Condition } from '../../types.ts';
import type {
  GatewayApiWorld,
  GatewayFacts,
  ListenerFacts,
  RouteFacts,
  ServiceFacts,
} from './world.ts';
import { GATEWAY_GROUP } from './world.ts';

export const CONTROLLER = 'ambit.io/gateway-controller';

const SERVICES: Readonly<Record<string, ServiceFacts>> = {
  'shop/reviews': { ports: [80, 8080], isExternalName: false },
  'shop/outside': { ports: [80], isExternalName: true },
  'other/ratings': { ports: [80], isExternalName: false },
};

/** Services shop/reviews, shop/outside (ExternalName), other/ratings; Gateway shop/edge. */
export function worldOf(changes: Partial<GatewayApiWorld> = {}): GatewayApiWorld {
  const at = ({ namespace, name }: { readonly namespace: string; readonly name: string }) =>
    `${namespace}/${name}`;
  return {
    controllerName: CONTROLLER,
    servedRoutes: ['HTTPRoute', 'TCPRoute'],
    gateway: (of) => (at(of) === 'shop/edge' ? gatewayOf() : undefined),
    service: (of) => SERVICES[at(of)],
    serviceEntry: (of) =>
      at(of) === 'shop/api' ? { ports: [443], isExternalName: false } : undefined,
    hostname: (name) =>
      name === 'api.example' ? { ports: [443], isExternalName: false } : undefined,
    secret: (of) => (of.name === 'cert' ? 'tls' : of.name === 'opaque' ? 'other' : undefined),
    configMapHasCa: ({ name }) => name === 'ca',
    isGranted: () => false,
    beatenBy: () => undefined,
    ...changes,
  };
}

export function listenerOf(changes: Partial<ListenerFacts> = {}): ListenerFacts {
  return {
    name: 'http',
    port: 80,
    protocol: 'HTTP',
    admits: (namespace) => namespace === 'shop',
    certificateRefs: [],
    ...changes,
  };
}

export function gatewayOf(changes: Partial<GatewayFacts> = {}): GatewayFacts {
  return {
    namespace: 'shop',
    name: 'edge',
    generation: 3,
    className: 'ambit',
    listeners: [listenerOf()],
    isWaypoint: false,
    requestedAddresses: [],
    ...changes,
  };
}

export const SERVICE_PARENT = { group: '', kind: 'Service', name: 'reviews' };
export const GATEWAY_PARENT = { group: GATEWAY_GROUP, kind: 'Gateway', name: 'edge' };

export function routeOf(changes: Partial<RouteFacts> = {}): RouteFacts {
  return {
    kind: 'HTTPRoute',
    namespace: 'shop',
    name: 'r',
    generation: 7,
    parentRefs: [SERVICE_PARENT],
    hostnames: [],
    backendRefs: [{ group: '', kind: 'Service', name: 'reviews', port: 80 }],
    ...changes,
  };
}

/** `Accepted=True/Accepted ResolvedRefs=…` */
export function line(conditions: readonly Condition[]): string {
  return conditions.map(({ type, status, reason }) => `${type}=${status}/${reason}`).join(' ');
}
