/**
 * Waypoints: which exist, whom they admit, and which one an object is bound to.
 *
 * An object's own label beats its namespace's. Without a label, an object that needs HTTP is bound to the
 * waypoint of its namespace, which is made when it is missing. What is bound to nothing although policy
 * needs it is refused at the agent: the reason says why.
 */
import type {
  Gateway,
  GatewayClass,
  GatewayInfrastructure,
  Namespace,
  ObjectKey,
} from '@ambit/api';

import { keyOf, type Labels, type ModelOptions, selects } from '../objects/keys.ts';
import {
  HBONE_PORT,
  NAME_OVERRIDE,
  SERVICE_ACCOUNT,
  USE_WAYPOINT,
  USE_WAYPOINT_NAMESPACE,
  WAYPOINT_CLASSES,
  WAYPOINT_FOR,
} from '../objects/labels.ts';
import { parseAddress } from '../service/services.ts';
import type { GatewayAddress } from '../types.ts';
import { type BehindAgent, boundListener, inboundBindingOf } from './behind-agent.ts';
import { type WaypointFallback, writtenFallback } from './fallback.ts';

/** The name of the waypoint that is made on demand. */
export const ON_DEMAND_NAME = 'waypoint';
export const ON_DEMAND_CLASS = 'istio-waypoint';

export interface WaypointDefinition {
  /** `namespace/name` */
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly object?: ObjectKey;
  readonly className: string;
  readonly serviceAccount: string;
  readonly identity: string;
  readonly address: GatewayAddress;
  readonly takesServices: boolean;
  readonly takesWorkloads: boolean;
  /** Somebody else runs it: `spec.addresses` is set, or it is of another class. */
  readonly isUnmanaged: boolean;
  /** Somebody else's proxy, whose tunnels end in the agent of its pods. It decides nothing for this mesh. */
  readonly behindAgent?: BehindAgent;
  readonly allowed: Gateway['spec']['listeners'][number]['allowedRoutes']['namespaces'];
  readonly infrastructure?: GatewayInfrastructure;
  /** Of its Service and Deployment, where it is not the Gateway's. */
  readonly partName?: string;
  /** What its Gateway says of callers while it has no ready instance. */
  readonly fallback?: WaypointFallback;
}

export type BindingReason =
  | 'Bound'
  | 'NotNeeded'
  | 'NamespaceForeign'
  | 'OptedOut'
  | 'WaypointNotFound'
  | 'WaypointForeign'
  | 'AttachmentDenied'
  | 'UnsupportedTrafficType'
  | 'BehindAgent';

export interface Binding {
  readonly reason: BindingReason;
  /** Set when `reason` is `Bound`, and what was asked for where it could not be had. */
  readonly waypoint?: string;
  /** Somebody wrote a label, rather than an object that needs it. */
  readonly isLabelled: boolean;
  /** Where callers go for `WaypointForeign`: what is decided there is not gone round. For others where nobody is: they are refused. */
  readonly foreign?: GatewayAddress;
}

/** That a waypoint which asks for policies and routes runs as; undefined for a Gateway that is none. */
export function waypointAccount(
  gateway: Gateway,
  gatewayClass: GatewayClass | undefined,
): string | undefined {
  const isOfClass = WAYPOINT_CLASSES.has(gateway.spec.gatewayClassName);
  const isAsking = isOfClass && behindAgentOf(gateway, gatewayClass) === undefined;
  return isAsking ? accountOf(gateway.metadata) : undefined;
}

/** Of one that somebody else runs; those that are made here end their tunnels themselves. */
function behindAgentOf(
  gateway: Gateway,
  gatewayClass: GatewayClass | undefined,
): BehindAgent | undefined {
  return isRunElsewhere(gateway) ? inboundBindingOf(gateway, gatewayClass) : undefined;
}

function isRunElsewhere({ spec }: Gateway): boolean {
  return spec.addresses.length > 0 || !WAYPOINT_CLASSES.has(spec.gatewayClassName);
}

function accountOf({ annotations, name }: Gateway['metadata']): string {
  return annotations[SERVICE_ACCOUNT] ?? name;
}

/** That of a waypoint (`namespace/name`) that nobody wrote a Gateway for; undefined: none is made of that name. */
export function onDemandAccount(waypoint: string): string | undefined {
  return waypoint.endsWith(`/${ON_DEMAND_NAME}`) ? ON_DEMAND_NAME : undefined;
}

/** `undefined` for a Gateway that is no waypoint: one of another class is, where it or the class says how its pods take tunnels. */
export function waypointFromGateway(
  gateway: Gateway,
  gatewayClass: GatewayClass | undefined,
  options: ModelOptions,
): WaypointDefinition | undefined {
  const { metadata, spec } = gateway;
  const [external] = spec.addresses;
  const behindAgent = behindAgentOf(gateway, gatewayClass);
  const isWaypoint = WAYPOINT_CLASSES.has(spec.gatewayClassName) || behindAgent !== undefined;
  if (!isWaypoint) return undefined;
  const serviceAccount = accountOf(metadata);
  const traffic =
    metadata.labels[WAYPOINT_FOR] ?? gatewayClass?.metadata.labels[WAYPOINT_FOR] ?? 'service';
  const listener = boundListener(gateway, behindAgent);
  const partName = metadata.annotations[NAME_OVERRIDE] ?? metadata.name;
  const definition = definitionOf(metadata, { serviceAccount, partName }, options);
  const fallback = writtenFallback(metadata);
  const waypoint = {
    key: definition.key,
    className: spec.gatewayClassName,
    identity: definition.identity,
  };
  const address =
    external === undefined
      ? definition.address
      : addressOf(external.value, metadata.namespace, options);
  return {
    ...definition,
    address: { ...address, waypoint },
    object: keyOf(gateway),
    className: spec.gatewayClassName,
    takesServices: traffic === 'service' || traffic === 'all',
    takesWorkloads: traffic === 'workload' || traffic === 'all',
    isUnmanaged: isRunElsewhere(gateway),
    ...(behindAgent === undefined ? {} : { behindAgent }),
    allowed: listener?.allowedRoutes.namespaces ?? { from: 'Same' },
    ...(partName === metadata.name ? {} : { partName }),
    ...(spec.infrastructure === undefined ? {} : { infrastructure: spec.infrastructure }),
    ...(fallback === undefined ? {} : { fallback }),
  };
}

/** Where the Service of its name is. */
export function addressOfParts({ metadata }: Gateway, options: ModelOptions): GatewayAddress {
  const names = { serviceAccount: accountOf(metadata), partName: metadata.name };
  return definitionOf(metadata, names, options).address;
}

/** The waypoint of a namespace that nobody wrote a Gateway for. */
export function onDemandWaypoint(namespace: string, options: ModelOptions): WaypointDefinition {
  const name = ON_DEMAND_NAME;
  return definitionOf({ namespace, name }, { serviceAccount: name, partName: name }, options);
}

function definitionOf(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  { serviceAccount, partName }: { readonly serviceAccount: string; readonly partName: string },
  options: ModelOptions,
): WaypointDefinition {
  const hostname = `${partName}.${namespace}.svc.${options.clusterDomain}`;
  const key = `${namespace}/${name}`;
  const identity = `spiffe://${options.trustDomain}/ns/${namespace}/sa/${serviceAccount}`;
  return {
    key,
    namespace,
    name,
    className: ON_DEMAND_CLASS,
    serviceAccount,
    identity,
    address: {
      destination: { kind: 'hostname', hostname: { namespace, hostname } },
      hboneMtlsPort: HBONE_PORT,
      waypoint: { key, className: ON_DEMAND_CLASS, identity },
    },
    takesServices: true,
    takesWorkloads: true,
    isUnmanaged: false,
    allowed: { from: 'Same' },
  };
}

function addressOf(value: string, namespace: string, options: ModelOptions): GatewayAddress {
  const [address] = parseAddress(value, options.network);
  return {
    destination:
      address === undefined
        ? { kind: 'hostname', hostname: { namespace, hostname: value.toLowerCase() } }
        : { kind: 'address', address },
    hboneMtlsPort: HBONE_PORT,
  };
}

export interface BindingRequest {
  readonly namespace: string;
  readonly labels: Labels;
  readonly traffic: 'service' | 'workload';
  /** Some object needs HTTP here, and a waypoint may be made for it. */
  readonly isNeeded: boolean;
  /** Some object needs HTTP here, and the namespace is one of another mesh in which nothing is made. */
  readonly isElsewhere?: boolean;
}

export interface BindingContext {
  readonly namespaceObject: Namespace | undefined;
  readonly definition: (key: string) => WaypointDefinition | undefined;
  /** Another mesh's waypoint of that name: its parts are not ours to make, nor its state to tell. */
  readonly foreign: (key: string) => WaypointDefinition | undefined;
}

export function bindWaypoint(request: BindingRequest, context: BindingContext): Binding {
  const wanted = wantedWaypoint(request, context.namespaceObject);
  if (wanted === 'none') return { reason: 'OptedOut', isLabelled: true };
  const onDemand = `${request.namespace}/${ON_DEMAND_NAME}`;
  const key = wanted ?? onDemand;
  const isLabelled = wanted !== undefined;
  if (!isLabelled && !request.isNeeded) {
    return { reason: request.isElsewhere === true ? 'NamespaceForeign' : 'NotNeeded', isLabelled };
  }
  const definition = context.definition(key);
  if (definition === undefined) {
    const foreign = context.foreign(key);
    if (foreign !== undefined) {
      const isTaken =
        isLabelled && refusalOf(foreign, request, context.namespaceObject) === undefined;
      const found = { reason: 'WaypointForeign', waypoint: key, isLabelled } as const;
      return isTaken ? { ...found, foreign: foreign.address } : found;
    }
    const isMade = key === onDemand && request.isNeeded;
    return { reason: isMade ? 'Bound' : 'WaypointNotFound', waypoint: key, isLabelled };
  }
  const reason = refusalOf(definition, request, context.namespaceObject);
  return { reason: reason ?? 'Bound', waypoint: key, isLabelled };
}

function refusalOf(
  definition: WaypointDefinition,
  request: BindingRequest,
  namespaceObject: Namespace | undefined,
): BindingReason | undefined {
  if (!admits(definition, request.namespace, namespaceObject)) return 'AttachmentDenied';
  const takes =
    request.traffic === 'service' ? definition.takesServices : definition.takesWorkloads;
  return takes ? undefined : 'UnsupportedTrafficType';
}

/** `none`, `namespace/name`, or nothing where no label was written. */
function wantedWaypoint(
  { labels, namespace }: BindingRequest,
  namespaceObject: Namespace | undefined,
): string | undefined {
  const from = labels[USE_WAYPOINT] === undefined ? namespaceObject?.metadata.labels : labels;
  const name = from?.[USE_WAYPOINT];
  if (name === undefined || name === '') return undefined;
  return name === 'none' ? 'none' : `${from?.[USE_WAYPOINT_NAMESPACE] ?? namespace}/${name}`;
}

function admits(
  definition: WaypointDefinition,
  namespace: string,
  namespaceObject: Namespace | undefined,
): boolean {
  const { allowed } = definition;
  switch (allowed.from) {
    case 'All':
      return true;
    case 'Same':
      return definition.namespace === namespace;
    case 'Selector':
      return selects(allowed.selector?.matchLabels ?? {}, namespaceObject?.metadata.labels ?? {});
  }
}
