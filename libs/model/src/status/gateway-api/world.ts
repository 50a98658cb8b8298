/**
 * What the statuses of Gateway API are computed from: the objects in the few fields that count, and the
 * questions about everything around them. Plain data and functions, so that any source can answer.
 */
import type { Condition } from '../../types.ts';

export interface Named {
  readonly namespace: string;
  readonly name: string;
}

export interface ObjectFacts extends Named {
  readonly generation: number;
}

/** As written, with Gateway API's defaults filled in. */
export interface ParentRefFacts {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
  readonly sectionName?: string;
}

export interface BackendRefFacts {
  readonly group: string;
  readonly kind: string;
  readonly name: string;
  readonly namespace?: string;
  readonly port?: number;
}

export type RouteKind = 'GRPCRoute' | 'HTTPRoute' | 'TCPRoute' | 'TLSRoute';

export interface RouteFacts extends ObjectFacts {
  readonly kind: RouteKind;
  readonly parentRefs: readonly ParentRefFacts[];
  readonly hostnames: readonly string[];
  /** Of all rules, those of mirrors too. */
  readonly backendRefs: readonly BackendRefFacts[];
  /** Why the object as a whole is refused; absent if it is not. */
  readonly refusal?: {
    readonly reason: 'UnsupportedValue' | 'IncompatibleFilters';
    readonly message: string;
  };
}

export interface ListenerFacts {
  readonly name: string;
  readonly port: number;
  readonly protocol: string;
  readonly hostname?: string;
  /** True for a namespace whose routes may attach. */
  readonly admits: (namespace: string) => boolean;
  /** Kinds that `allowedRoutes.kinds` lists; absent: all that the protocol has. */
  readonly kinds?: readonly { readonly group: string; readonly kind: string }[];
  readonly certificateRefs: readonly BackendRefFacts[];
}

export interface GatewayFacts extends ObjectFacts {
  readonly className: string;
  readonly listeners: readonly ListenerFacts[];
  /** A waypoint serves what is bound to Services; routes do not attach to itself. */
  readonly isWaypoint: boolean;
  readonly requestedAddresses: readonly { readonly type: string; readonly value: string }[];
}

/** What runs for a Gateway. */
export interface GatewayState {
  /** An instance is ready and holds the configuration. */
  readonly isProgrammed: boolean;
  readonly addresses: readonly {
    readonly type: 'Hostname' | 'IPAddress';
    readonly value: string;
  }[];
}

export interface ServiceFacts {
  readonly ports: readonly number[];
  readonly isExternalName: boolean;
}

export interface GrantQuestion {
  readonly from: { readonly group: string; readonly kind: string; readonly namespace: string };
  readonly to: { readonly group: string; readonly kind: string } & Named;
}

export interface GatewayApiWorld {
  /** In entries of `parents` and `ancestors`; whatever has another is not ours. */
  readonly controllerName: string;
  /** Kinds that the data plane serves. */
  readonly servedRoutes: readonly RouteKind[];
  /** A Gateway of one of our classes; undefined for others and for none. */
  readonly gateway: (of: Named) => GatewayFacts | undefined;
  readonly service: (of: Named) => ServiceFacts | undefined;
  readonly serviceEntry: (of: Named) => ServiceFacts | undefined;
  /** Whatever has this name, as backends of kind Hostname mean it. */
  readonly hostname: (name: string) => ServiceFacts | undefined;
  readonly secret: (of: Named) => 'other' | 'tls' | undefined;
  readonly configMapHasCa: (of: Named) => boolean;
  /** By a ReferenceGrant of the target's namespace. */
  readonly isGranted: (question: GrantQuestion) => boolean;
  /** Another route that goes before this one at a parent of the mesh; undefined if none does. */
  readonly beatenBy: (route: RouteFacts, parent: ParentRefFacts) => string | undefined;
}

export interface RouteParentStatus {
  readonly parentRef: ParentRefFacts;
  readonly controllerName: string;
  readonly conditions: readonly Condition[];
}

export const GATEWAY_GROUP = 'gateway.networking.k8s.io';
const ISTIO_GROUP = 'networking.istio.io';

export function isService({
  group,
  kind,
}: {
  readonly group: string;
  readonly kind: string;
}): boolean {
  return kind === 'Service' && (group === '' || group === 'core');
}

export function isServiceEntry({ group, kind }: { readonly group: string; readonly kind: string }) {
  return kind === 'ServiceEntry' && group === ISTIO_GROUP;
}

/** Of backends only. */
export function isHostname({ group, kind }: { readonly group: string; readonly kind: string }) {
  return kind === 'Hostname' && group === ISTIO_GROUP;
}

export function isGateway({
  group,
  kind,
}: {
  readonly group: string;
  readonly kind: string;
}): boolean {
  return kind === 'Gateway' && group === GATEWAY_GROUP;
}

/** A condition whose type and reason are Gateway API's own words. */
export function gatewayCondition(
  type: string,
  isTrue: boolean,
  reason: string,
  message: string,
  { generation }: { readonly generation: number },
): Condition {
  return {
    type,
    status: isTrue ? 'True' : 'False',
    reason,
    message,
    observedGeneration: generation,
  };
}
