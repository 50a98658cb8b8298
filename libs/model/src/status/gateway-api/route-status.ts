/** Statuses of routes, one entry for each parent that is ours. */
import type { Condition } from '../../types.ts';
import { attachmentOf } from './listeners.ts';
import {
  type BackendRefFacts,
  GATEWAY_GROUP,
  type GatewayApiWorld,
  gatewayCondition,
  isGateway,
  isHostname,
  isService,
  isServiceEntry,
  type ParentRefFacts,
  type RouteFacts,
  type RouteParentStatus,
  type ServiceFacts,
} from './world.ts';

/** Entries of parents that are not ours (another class, unknown kinds) are not made. */
export function routeParentStatuses(
  route: RouteFacts,
  world: GatewayApiWorld,
): readonly RouteParentStatus[] {
  return route.parentRefs.flatMap((parentRef) => {
    const accepted = acceptedBy(route, parentRef, world);
    if (accepted === undefined) return [];
    const conditions = [accepted, resolvedRefs(route, parentRef, world)];
    return [{ parentRef, controllerName: world.controllerName, conditions }];
  });
}

function acceptedBy(
  route: RouteFacts,
  parent: ParentRefFacts,
  world: GatewayApiWorld,
): Condition | undefined {
  const target = { namespace: parent.namespace ?? route.namespace, name: parent.name };
  const say = (isTrue: boolean, reason: string, message: string) =>
    gatewayCondition('Accepted', isTrue, reason, message, route);
  if (isGateway(parent)) {
    const gateway = world.gateway(target);
    if (gateway === undefined) return undefined;
    if (route.refusal !== undefined) return say(false, route.refusal.reason, route.refusal.message);
    if (gateway.isWaypoint) {
      return say(
        false,
        'UnsupportedValue',
        'a waypoint is no parent; attach the route to a Service',
      );
    }
    const attachment = attachmentOf(route, parent, gateway, world);
    return attachment.kind === 'attached'
      ? say(true, 'Accepted', `bound to ${attachment.listeners.map(({ name }) => name).join(', ')}`)
      : say(false, attachment.reason, attachment.message);
  }
  if (!isService(parent) && !isServiceEntry(parent)) return undefined;
  if (route.refusal !== undefined) return say(false, route.refusal.reason, route.refusal.message);
  const service = isService(parent) ? world.service(target) : world.serviceEntry(target);
  const problem = meshProblem(route, parent, service, world);
  return problem ?? say(true, 'Accepted', 'bound to the service');
}

function meshProblem(
  route: RouteFacts,
  parent: ParentRefFacts,
  service: ServiceFacts | undefined,
  world: GatewayApiWorld,
): Condition | undefined {
  const say = (reason: string, message: string) =>
    gatewayCondition('Accepted', false, reason, message, route);
  const named = `${parent.kind} ${parent.namespace ?? route.namespace}/${parent.name}`;
  if (!world.servedRoutes.includes(route.kind)) {
    return say('UnsupportedValue', `${route.kind} is not served yet`);
  }
  if (service === undefined) return say('NoMatchingParent', `there is no ${named}`);
  if (service.isExternalName) {
    return say('UnsupportedValue', `${named} is an ExternalName, which nobody connects to`);
  }
  if (parent.port !== undefined && !service.ports.includes(parent.port)) {
    return say('NoMatchingParent', `${named} has no port ${parent.port}`);
  }
  const winner = world.beatenBy(route, parent);
  return winner === undefined
    ? undefined
    : say('Conflicted', `${winner} is bound to the same service and goes before it`);
}

/** The first backend that cannot be had; its share of the requests fails, the others are served. */
function resolvedRefs(
  route: RouteFacts,
  parent: ParentRefFacts,
  world: GatewayApiWorld,
): Condition {
  const needsGrant = isGateway(parent);
  for (const ref of route.backendRefs) {
    const problem = backendProblem(route, ref, needsGrant, world);
    if (problem !== undefined) {
      return gatewayCondition('ResolvedRefs', false, problem.reason, problem.message, route);
    }
  }
  return gatewayCondition('ResolvedRefs', true, 'ResolvedRefs', 'every backend is there', route);
}

function backendProblem(
  route: RouteFacts,
  ref: BackendRefFacts,
  needsGrant: boolean,
  world: GatewayApiWorld,
): { readonly reason: string; readonly message: string } | undefined {
  const target = { namespace: ref.namespace ?? route.namespace, name: ref.name };
  const named = `${ref.kind} ${target.namespace}/${target.name}`;
  if (isHostname(ref)) return portProblem(ref, ref.name, world.hostname(ref.name));
  if (!isService(ref)) {
    return { reason: 'InvalidKind', message: `${named} is neither a Service nor a Hostname` };
  }
  const from = { group: GATEWAY_GROUP, kind: route.kind, namespace: route.namespace };
  const to = { group: '', kind: ref.kind, ...target };
  // Before whether it exists: who may not refer to it may not learn that either.
  if (needsGrant && target.namespace !== route.namespace && !world.isGranted({ from, to })) {
    return { reason: 'RefNotPermitted', message: `no ReferenceGrant admits ${named}` };
  }
  return portProblem(ref, named, world.service(target));
}

function portProblem(
  ref: BackendRefFacts,
  named: string,
  service: ServiceFacts | undefined,
): { readonly reason: string; readonly message: string } | undefined {
  if (service === undefined) return { reason: 'BackendNotFound', message: `there is no ${named}` };
  if (service.isExternalName) {
    return { reason: 'UnsupportedValue', message: `${named} is an ExternalName` };
  }
  if (ref.port === undefined)
    return { reason: 'UnsupportedValue', message: `${named} needs a port` };
  if (!service.ports.includes(ref.port)) {
    return { reason: 'BackendNotFound', message: `${named} has no port ${ref.port}` };
  }
  return undefined;
}
