/**
 * A waypoint: what the authority means, every policy for the real caller, the route, the endpoint.
 *
 * The order is the data plane's: policy sees the request as it came, before any rewrite; where endpoints
 * have policies of their own, each decides once it is chosen.
 */
import type { MeshService, WaypointTarget, Workload } from '@ambit/model';
import { serviceKey } from '@ambit/routing';
import { foldBranches } from './branches.ts';
import { callerIdentity } from './caller.ts';
import { tunnelArrives } from './destination-hop.ts';
import { during, endsRefused, goesOn, type HopHead, note } from './hop-parts.ts';
import type { ExplainMesh } from './mesh.ts';
import { describeDecision, isSameAnswer } from './policy-steps.ts';
import { unclearRequest } from './refused-requests.ts';
import type { Hop } from './types.ts';
import {
  authorize,
  deniedHop,
  dialEndpoint,
  type WaypointArrival,
  type WaypointContext,
} from './waypoint-endpoint.ts';
import { routeConnection, routeRequest } from './waypoint-route.ts';

/** What a first line of HTTP/1 is recognised by. */
const SNIFFED_METHOD = /^[A-Z_-]{1,24}$/;
const UNKNOWN = 'what its routes and policies decide is not known here';
const BEHIND_AGENT = 'its agent hands it over to a proxy that is not of this mesh';

export function waypointArrives(arrival: WaypointArrival, mesh: ExplainMesh): Hop {
  const { waypoint, authority, caller } = arrival;
  const reference = mesh.waypointOf(arrival.gateway, waypoint);
  const head: HopHead = {
    place: 'waypoint',
    title: `waypoint ${reference?.key ?? waypoint.name}`,
    steps: [note(`tunnel for ${authority} from ${callerIdentity(caller) ?? 'nobody'}`)],
  };
  if (reference === undefined) {
    return endsRefused(head, { text: 'the snapshot does not say which waypoint this is' });
  }
  const view = mesh.waypoint(reference);
  const context: WaypointContext = { ...arrival, view, mesh };
  const target = view.target(authority, caller.workload?.namespace ?? '');
  if (target.kind === 'unknown') return endsRefused(head, { text: target.text, status: 400 });
  const isOwn = mesh.isOwn(reference);
  // Not our program and captured: its agent ends the tunnel, whether it knows how to hand over or not.
  if (!isOwn && waypoint.tunnelProtocol === 'HBONE' && !waypoint.nativeTunnel) {
    return atAgent(head, target, context);
  }
  if (!isOwn) {
    const steps = [...head.steps, note(`it is of another mesh: ${UNKNOWN}`)];
    return throughForeign({ ...head, steps }, target, context);
  }
  const protocol = protocolOf(target, context);
  const known = { ...head, steps: [...head.steps, ...protocol.steps] };
  const to = { ...context, isRequest: protocol.isHttp };
  if (!protocol.isHttp) return toTarget(known, target, to);
  const accepted = { ...head, steps: during('accept', ...known.steps) };
  const refusal = context.isRequest ? unclearRequest(context.asked) : undefined;
  if (refusal !== undefined) return endsRefused(accepted, refusal);
  const who = note(
    `caller: ${callerIdentity(caller) ?? 'nobody'}, whatever the request says of it`,
  );
  const steps = [...accepted.steps, ...during('authenticate', who)];
  return toTarget({ ...head, steps }, target, to);
}

function toTarget(head: HopHead, target: KnownTarget, context: WaypointContext): Hop {
  return target.kind === 'workload'
    ? toWorkload(head, target, context)
    : toService(head, target, context);
}

type KnownTarget = Exclude<WaypointTarget, { kind: 'unknown' }>;

/** Of a proxy behind its agent. */
function atAgent(head: HopHead, target: KnownTarget, context: WaypointContext): Hop {
  const { waypoint, authority, caller, mesh } = context;
  const ip = waypoint.addresses[0] ?? '';
  const arrived = tunnelArrives({ local: waypoint, authority, ip, peer: caller }, mesh);
  if (arrived.end?.outcome !== 'arrives') {
    return { ...arrived, steps: [...arrived.steps, ...bindingSteps(waypoint)] };
  }
  const steps = [...head.steps, ...arrived.steps, note(`${BEHIND_AGENT}: ${UNKNOWN}`)];
  return throughForeign({ ...head, steps }, target, context);
}

/** Why its agent hands nothing over, in the word of `Programmed` of its Gateway. */
function bindingSteps({ guard, applicationTunnel }: Workload): HopHead['steps'] {
  const unread = (guard?.because ?? []).find((key) => /^Gateway(?:Class)?\//.test(key));
  return applicationTunnel !== undefined || unread === undefined
    ? []
    : [
        note(
          `InvalidBinding: ${unread} does not say how the proxy takes what its agent hands over`,
        ),
      ];
}

/** What it decides is not in the snapshot; what the destination makes of it is. */
function throughForeign(
  head: HopHead,
  target: Exclude<WaypointTarget, { kind: 'unknown' }>,
  context: WaypointContext,
): Hop {
  const endpoints =
    target.kind === 'workload'
      ? [{ workload: target.workload, targetPort: target.port }]
      : endpointsOf(target.service, target.port, context.mesh);
  if (endpoints.length === 0) return endsRefused(head, { text: 'there is no ready endpoint' });
  return goesOn(
    head,
    foldBranches(endpoints, (endpoint) => dialEndpoint(endpoint, context)),
  );
}

function endpointsOf(
  service: MeshService,
  port: number,
  mesh: ExplainMesh,
): readonly { readonly workload: Workload; readonly targetPort: number }[] {
  const key = serviceKey(service);
  return mesh.index.endpoints(key).flatMap((workload) => {
    const mapping = workload.services[key]?.find(({ servicePort }) => servicePort === port);
    const isReady = workload.status === 'HEALTHY';
    return mapping === undefined || !isReady ? [] : [{ workload, targetPort: mapping.targetPort }];
  });
}

function protocolOf(
  target: Exclude<WaypointTarget, { kind: 'unknown' }>,
  { isRequest, asked }: WaypointContext,
): { readonly isHttp: boolean; readonly steps: HopHead['steps'] } {
  const ports =
    target.kind === 'service'
      ? target.service.ports
      : Object.values(target.workload.services).flat();
  const mapping = ports.find(({ servicePort, targetPort }) =>
    target.kind === 'service' ? servicePort === target.port : targetPort === target.port,
  );
  const protocol = mapping?.appProtocol ?? 'UNKNOWN';
  if (protocol === 'TCP' || protocol === 'TLS') {
    const steps = isRequest
      ? [note(`the port is declared ${protocol}: HTTP rules do not apply`)]
      : [];
    return { isHttp: false, steps };
  }
  const isSniffed = protocol === 'UNKNOWN';
  if (isSniffed && !SNIFFED_METHOD.test(asked.method)) {
    const text = `protocol: HTTP/1 is not recognised by the method "${asked.method.slice(0, 40)}", so TCP (by HTTP/2: 405)`;
    return { isHttp: false, steps: [note(text)] };
  }
  return {
    isHttp: true,
    steps: isSniffed ? [note('protocol: recognised by its first bytes')] : [],
  };
}

function toService(
  head: HopHead,
  { service, port }: { readonly service: MeshService; readonly port: number },
  context: WaypointContext,
): Hop {
  const { mesh, isRequest } = context;
  const mapping = service.ports.find(({ servicePort }) => servicePort === port);
  if (mapping === undefined) {
    return endsRefused(head, { text: `service ${service.hostname} has no port ${port}` });
  }
  const authorization = authorize({ service, port }, context);
  const { beforeRoute } = authorization;
  const phase = isRequest ? 'authorise' : undefined;
  const answer = describeDecision(beforeRoute, phase);
  if (!answer.verdict.allowed) {
    return deniedHop({ ...head, steps: [...head.steps, ...answer.steps] }, answer, isRequest);
  }
  const endpoints = mesh.index.endpoints(serviceKey(service));
  const agrees = endpoints.every((workload) => {
    const own = workload.services[serviceKey(service)]?.find((to) => to.servicePort === port);
    const targetPort = own?.targetPort || port;
    return isSameAnswer(authorization.forEndpoint({ workload, targetPort }), beforeRoute);
  });
  const steps = agrees
    ? answer.steps
    : during(phase, note('policy: endpoints differ, so each decides once it is chosen'));
  const shown = agrees ? beforeRoute : undefined;
  const next = { ...head, steps: [...head.steps, ...steps] };
  const to = { service, port, authorization, shown };
  return isRequest ? routeRequest(next, to, context) : routeConnection(next, to, context);
}

function toWorkload(
  head: HopHead,
  { workload, port }: { readonly workload: Workload; readonly port: number },
  context: WaypointContext,
): Hop {
  const phase = context.isRequest ? 'authorise' : undefined;
  const answer = describeDecision(authorize({ workload, port }, context).beforeRoute, phase);
  const decided = { ...head, steps: [...head.steps, ...answer.steps] };
  if (!answer.verdict.allowed) return deniedHop(decided, answer, context.isRequest);
  return goesOn(decided, [
    { label: '', hop: dialEndpoint({ workload, targetPort: port }, context) },
  ]);
}
