/**
 * From a waypoint to one endpoint: the policies of the endpoint, the tunnel, and what policy's answer
 * looks like to the client.
 */
import type { MeshService, WaypointView, Workload } from '@ambit/model';
import type { PolicyInput } from '@ambit/policy';
import { type Endpoint, formatAuthority, pickAddress } from '@ambit/routing';
import {
  type AskedRequest,
  type Caller,
  connectionAttributes,
  requestAttributes,
} from './caller.ts';
import { plaintextArrives, tunnelArrives } from './destination-hop.ts';
import { ends, endsRefused, goesOn, type HopHead } from './hop-parts.ts';
import type { ExplainMesh } from './mesh.ts';
import { askPolicy, type PolicyAnswer } from './policy-steps.ts';
import type { Hop } from './types.ts';

export interface WaypointArrival {
  readonly waypoint: Workload;
  readonly authority: string;
  readonly caller: Caller;
  /** What is asked, should the port carry HTTP. */
  readonly asked: AskedRequest;
  /** The question was about a request. */
  readonly isRequest: boolean;
}

/** What the steps of a waypoint have in common. */
export interface WaypointContext extends WaypointArrival {
  readonly view: WaypointView;
  readonly mesh: ExplainMesh;
}

export interface RoutedTo {
  readonly service: MeshService;
  readonly port: number;
  /** Policy was decided before the route. */
  readonly isShared: boolean;
}

/** From the waypoint to one endpoint, with the endpoint's own policies where they were not decided. */
export function endpointHop(
  endpoint: Endpoint<Workload>,
  routed: RoutedTo,
  context: WaypointContext,
): Hop {
  if (routed.isShared) return dialEndpoint(endpoint, context);
  const { workload, targetPort } = endpoint;
  const { service } = routed;
  const set = context.view.policies({ workload, targetPort, service });
  const to = { ip: workload.addresses[0] ?? '', port: targetPort };
  const answer = askPolicy(set, policyInput(context, to));
  const head: HopHead = {
    place: 'waypoint',
    title: `for endpoint ${workload.namespace}/${workload.name}`,
    steps: answer.steps,
  };
  if (!answer.verdict.allowed) return deniedHop(head, answer, context.isRequest);
  return goesOn(head, [{ label: '', hop: dialEndpoint(endpoint, context) }]);
}

export function dialEndpoint(
  { workload, targetPort }: Pick<Endpoint<Workload>, 'workload' | 'targetPort'>,
  { waypoint, caller, mesh }: WaypointContext,
): Hop {
  const peer: Caller = { ip: waypoint.addresses[0] ?? '', workload: waypoint };
  const address = pickAddress(workload, {});
  if (address === undefined || address.kind === 'dns') {
    const head: HopHead = { place: 'outside', title: workload.hostname, steps: [] };
    const at = formatAuthority(workload.hostname, targetPort);
    return ends(head, { outcome: 'arrives', text: `leaves the mesh for ${at}` });
  }
  const ip = address.host;
  if (workload.tunnelProtocol === 'NONE') {
    return plaintextArrives({ local: workload, ip, port: targetPort, caller: peer }, mesh);
  }
  const authority = formatAuthority(ip, targetPort);
  return tunnelArrives({ local: workload, authority, ip, peer, behalfOf: caller }, mesh);
}

export function policyInput(
  { caller, asked, isRequest }: WaypointContext,
  to: { readonly ip: string; readonly port: number },
): PolicyInput {
  const connection = connectionAttributes(caller, to);
  return isRequest ? { connection, request: requestAttributes(asked) } : { connection };
}

/** A request is answered, a connection is closed. */
export function deniedHop(head: HopHead, answer: PolicyAnswer, isRequest: boolean): Hop {
  const status = answer.verdict.reason === 'policy-missing' ? 503 : 403;
  return endsRefused(head, { ...answer.refusal, ...(isRequest ? { status } : {}) });
}
