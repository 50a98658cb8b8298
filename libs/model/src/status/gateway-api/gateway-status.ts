/** Statuses of GatewayClass and Gateway. */
import type { Condition } from '../../types.ts';
import { attachmentOf, listenerConditions, listenerKinds } from './listeners.ts';
import {
  GATEWAY_GROUP,
  type GatewayApiWorld,
  type GatewayFacts,
  type GatewayState,
  gatewayCondition,
  isGateway,
  type RouteFacts,
} from './world.ts';

export interface GatewayClassStatus {
  readonly conditions: readonly Condition[];
  /** In order, as the API server wants them. */
  readonly supportedFeatures: readonly { readonly name: string }[];
}

/** Undefined for a class of another controller, which is not to be touched. */
export function gatewayClassStatus(
  object: {
    readonly generation: number;
    readonly controllerName: string;
    readonly hasParameters: boolean;
  },
  options: { readonly controllerName: string; readonly features: readonly string[] },
): GatewayClassStatus | undefined {
  if (object.controllerName !== options.controllerName) return undefined;
  const accepted = object.hasParameters
    ? gatewayCondition(
        'Accepted',
        false,
        'InvalidParameters',
        'a class takes no parameters',
        object,
      )
    : gatewayCondition('Accepted', true, 'Accepted', 'Gateways of this class are served', object);
  const supportedFeatures = [...new Set(options.features)].sort().map((name) => ({ name }));
  return { conditions: [accepted], supportedFeatures };
}

export interface ListenerStatus {
  readonly name: string;
  readonly attachedRoutes: number;
  readonly supportedKinds: readonly { readonly group: string; readonly kind: string }[];
  readonly conditions: readonly Condition[];
}

export interface GatewayStatus {
  readonly conditions: readonly Condition[];
  readonly addresses: GatewayState['addresses'];
  readonly listeners: readonly ListenerStatus[];
}

/** `routes` are all that name the Gateway as a parent; others do no harm. */
export function gatewayApiStatus(
  gateway: GatewayFacts,
  routes: readonly RouteFacts[],
  state: GatewayState,
  world: GatewayApiWorld,
): GatewayStatus {
  const counts = attachedCounts(gateway, routes, world);
  const listeners = gateway.listeners.map(
    (listener): ListenerStatus => ({
      name: listener.name,
      attachedRoutes: counts.get(listener.name) ?? 0,
      supportedKinds: listenerKinds(listener, world).supported.map((kind) => ({
        group: GATEWAY_GROUP,
        kind,
      })),
      conditions: listenerConditions(listener, gateway, world, state.isProgrammed),
    }),
  );
  const accepted = acceptedCondition(gateway, listeners);
  const conditions = [accepted, programmedCondition(gateway, state, accepted.status === 'True')];
  return { conditions, addresses: state.addresses, listeners };
}

function isValid({ conditions }: ListenerStatus): boolean {
  return conditions.every(({ type, status }) =>
    type === 'Conflicted' ? status === 'False' : type === 'Programmed' || status === 'True',
  );
}

function acceptedCondition(gateway: GatewayFacts, listeners: readonly ListenerStatus[]): Condition {
  const say = (isTrue: boolean, reason: string, message: string) =>
    gatewayCondition('Accepted', isTrue, reason, message, gateway);
  const odd = gateway.requestedAddresses.find(
    ({ type }) => type !== 'IPAddress' && type !== 'Hostname',
  );
  if (odd !== undefined)
    return say(false, 'UnsupportedAddress', `${odd.type} is no kind of address here`);
  const invalid = listeners.filter((listener) => !isValid(listener)).map(({ name }) => name);
  if (invalid.length === 0) return say(true, 'Accepted', 'valid');
  const message = `not valid: listener ${invalid.join(', ')}`;
  // One listener that works makes the Gateway work; the others say what is wrong with them.
  return say(invalid.length < listeners.length, 'ListenersNotValid', message);
}

function programmedCondition(
  gateway: GatewayFacts,
  { isProgrammed, addresses }: GatewayState,
  isAccepted: boolean,
): Condition {
  const say = (isTrue: boolean, reason: string, message: string) =>
    gatewayCondition('Programmed', isTrue, reason, message, gateway);
  if (!isAccepted) return say(false, 'Invalid', 'the Gateway is not accepted');
  const missing = gateway.requestedAddresses.find(
    ({ value }) => value !== '' && !addresses.some((address) => address.value === value),
  );
  if (isProgrammed && missing !== undefined) {
    return say(false, 'AddressNotUsable', `${missing.value} cannot be had`);
  }
  if (!isProgrammed) return say(false, 'Pending', 'it has no ready instance yet');
  if (addresses.length === 0) return say(false, 'AddressNotAssigned', 'it has no address yet');
  return say(true, 'Programmed', 'it has a ready instance');
}

/** Routes by listener; one that attaches by two parentRefs counts once. */
function attachedCounts(
  gateway: GatewayFacts,
  routes: readonly RouteFacts[],
  world: GatewayApiWorld,
): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const route of routes) {
    if (route.refusal !== undefined || gateway.isWaypoint) continue;
    const names = new Set<string>();
    for (const parent of route.parentRefs) {
      const isThis =
        isGateway(parent) &&
        parent.name === gateway.name &&
        (parent.namespace ?? route.namespace) === gateway.namespace;
      if (!isThis) continue;
      const attachment = attachmentOf(route, parent, gateway, world);
      if (attachment.kind === 'attached')
        for (const { name } of attachment.listeners) names.add(name);
    }
    for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
