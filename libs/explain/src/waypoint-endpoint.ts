/**
 * From a waypoint to one endpoint: the policies of the endpoint, the tunnel, and what policy's answer
 * looks like to the client.
 */
import {
  authorizeAtWaypoint,
  decideRewritten,
  foreignRewrite,
  type GatewayAddress,
  type MeshService,
  type PolicyDecision,
  type WaypointAuthorization,
  type WaypointQuestion,
  type WaypointView,
  type Workload,
} from '@ambit/model';
import { REFUSAL_ANSWER } from '@ambit/policy';
import { type Endpoint, formatAuthority, pickAddress } from '@ambit/routing';
import {
  type AskedRequest,
  type Caller,
  connectionAttributes,
  requestAttributes,
} from './caller.ts';
import { plaintextArrives, tunnelArrives } from './destination-hop.ts';
import { during, ends, endsRefused, goesOn, type HopHead, note } from './hop-parts.ts';
import type { ExplainMesh } from './mesh.ts';
import { describeDecision, isSameAnswer, type PolicyAnswer } from './policy-steps.ts';
import { type RuleShare, rewrittenRequest } from './rewritten.ts';
import type { Hop } from './types.ts';

export interface WaypointArrival {
  readonly waypoint: Workload;
  /** What led there. */
  readonly gateway: GatewayAddress | undefined;
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
  readonly authorization: WaypointAuthorization;
  /** Shown before the route already, because every endpoint of the service agrees. */
  readonly shown: PolicyDecision | undefined;
  /** Absent: a connection. */
  readonly by?: RuleShare;
}

/** From the waypoint to one endpoint, which policy is asked about again, with its own address and port. */
export function endpointHop(
  endpoint: Endpoint<Workload>,
  { authorization, shown, by }: RoutedTo,
  context: WaypointContext,
): Hop {
  const { workload } = endpoint;
  const head: HopHead = {
    place: 'waypoint',
    title: `for endpoint ${workload.namespace}/${workload.name}`,
    steps: [],
  };
  const asItCame = authorization.forEndpoint(endpoint);
  const route = by && foreignRewrite(by.decision, by.share, workload);
  if (by !== undefined && route !== undefined && asItCame.verdict.allowed) {
    const again = note(`policy: judged again, as ${route} sends it`, [{ key: route }]);
    const judged = during('forward', again);
    const request = rewrittenRequest(by, context);
    if (request === undefined) {
      const text = 'what the rewrite makes of the path is not clear';
      return endsRefused({ ...head, steps: judged }, { text, status: 400, phase: 'forward' });
    }
    const answer = describeDecision(decideRewritten(asItCame, { route, request }), 'forward');
    if (!answer.verdict.allowed) {
      return deniedHop({ ...head, steps: [...judged, ...answer.steps] }, answer, true);
    }
  }
  if (shown !== undefined && isSameAnswer(asItCame, shown)) return dialEndpoint(endpoint, context);
  const answer = describeDecision(asItCame, context.isRequest ? 'forward' : undefined);
  const decided = { ...head, steps: answer.steps };
  if (!answer.verdict.allowed) return deniedHop(decided, answer, context.isRequest);
  return goesOn(decided, [{ label: '', hop: dialEndpoint(endpoint, context) }]);
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
    if (workload.tunnelProtocol === 'HBONE') {
      const text = `goes through a tunnel to ${at}, whose name is looked up and whose agent decides`;
      return ends({ ...head, place: 'destination' }, { outcome: 'arrives', text });
    }
    return ends(head, { outcome: 'arrives', text: `leaves the mesh for ${at}` });
  }
  const ip = address.host;
  if (workload.tunnelProtocol === 'NONE') {
    return plaintextArrives({ local: workload, ip, port: targetPort, caller: peer }, mesh);
  }
  const authority = formatAuthority(ip, targetPort);
  return tunnelArrives({ local: workload, authority, ip, peer, behalfOf: caller }, mesh);
}

/** As the waypoint asks: for the caller's certificate, with the request where the port carries HTTP. */
export function authorize(
  destination: WaypointQuestion['destination'],
  { caller, asked, isRequest, view, mesh }: WaypointContext,
): WaypointAuthorization {
  const { source } = connectionAttributes(caller, { ip: '', port: destination.port });
  if (source === undefined) throw new TypeError('a caller of a waypoint has an identity');
  return authorizeAtWaypoint({
    view,
    index: mesh.index,
    caller: { ...source, ip: caller.ip },
    destination,
    ...(isRequest ? { request: requestAttributes(asked) } : {}),
  });
}

/** A request is answered, the same for every reason; a connection is closed. */
export function deniedHop(head: HopHead, answer: PolicyAnswer, isRequest: boolean): Hop {
  const { status } = REFUSAL_ANSWER;
  return endsRefused(head, { ...answer.refusal, ...(isRequest ? { status } : {}) });
}
