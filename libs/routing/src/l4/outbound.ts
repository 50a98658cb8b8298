/**
 * Where a captured connection goes: the decision of the node agent on the client's side.
 *
 * The rules that must hold: a destination with a waypoint never goes around it, and the authority
 * towards a waypoint is the destination as dialled. A mesh destination without a way is refused with
 * a reason; only a destination that the mesh does not know is passed through.
 */

import { canonicalIp, cidrContains, parseCidr, parseIp } from '@ambit/api';
import { formatAuthority } from '../authority.ts';
import type { MeshView, ViewService, ViewWorkload } from '../mesh-view.ts';
import { workloadIdentity } from '../mesh-view.ts';
import { isServiceMeant, isWaypointHeard } from './address-owner.ts';
import {
  expectedIdentities,
  HBONE_PORT,
  ILLEGAL_PORTS,
  isGuarded,
  pickAddress,
} from './dial-target.ts';
import { type Shun, selectL4Endpoint } from './endpoint.ts';
import type { OutboundDecision, OutboundRefusalCode } from './outbound-decision.ts';
import { resolveWaypoint } from './waypoint.ts';

export interface OutboundQuery<W extends ViewWorkload = ViewWorkload> {
  /** The captured pod. */
  readonly source: W;
  /** The original destination, canonical text. */
  readonly destinationIp: string;
  readonly port: number;
  /** Endpoints of services and instances of waypoints that gave no answer. */
  readonly isShunned?: Shun | undefined;
}

/** Pure. `random` gives [0,1) and is asked once for each choice among endpoints. */
export function resolveOutbound<W extends ViewWorkload, S extends ViewService>(
  query: OutboundQuery<W>,
  view: MeshView<W, S>,
  random: () => number,
): OutboundDecision<W, S> {
  const { source, port, isShunned } = query;
  const ip = canonicalIp(query.destinationIp) ?? query.destinationIp;
  if (ILLEGAL_PORTS.has(port) && (isLoopback(ip) || source.addresses.includes(ip))) {
    const text = `port ${port} is one of the mesh's own and cannot be dialled here`;
    return { kind: 'refuse', code: 'ROUTING_ILLEGAL_PORT', text };
  }
  const dialled = { network: source.network, ip, clientNamespace: source.namespace };
  const addressed = view.workloadByAddress(source.network, ip);
  const known = view.serviceByAddress(source.network, ip, source.namespace);
  const service =
    known !== undefined && isServiceMeant(known, addressed, dialled) ? known : undefined;
  // An address can be a workload's and a service's at once: whichever has a waypoint is not bypassed.
  if (addressed?.waypoint !== undefined && isWaypointHeard(addressed, service, dialled)) {
    return toWorkload({ source, ip, port, workload: addressed, isShunned }, view, random);
  }
  if (service?.waypoint !== undefined) {
    const { waypoint: gateway } = service;
    return toWaypoint({ source, ip, port, gateway, service, isShunned }, view, random);
  }
  // A passthrough service is an address range, and what is in it may be of the mesh: never in clear then.
  if (service !== undefined && !(isPassthrough(service) && addressed !== undefined)) {
    return toService({ source, ip, port, service, isShunned }, view, random);
  }
  // It has no waypoint, or none that is heard.
  if (addressed !== undefined) return direct({ ip, targetPort: port, workload: addressed });
  return { kind: 'passthrough', dial: { kind: 'ip', host: ip, port } };
}

interface ServiceDestination<W, S> {
  readonly source: W;
  readonly ip: string;
  readonly port: number;
  readonly service: S;
  readonly isShunned: Shun | undefined;
}

function toService<W extends ViewWorkload, S extends ViewService>(
  { source, ip, port, service, isShunned }: ServiceDestination<W, S>,
  view: MeshView<W, S>,
  random: () => number,
): OutboundDecision<W, S> {
  if (isPassthrough(service)) {
    return { kind: 'passthrough', dial: { kind: 'ip', host: ip, port }, service };
  }
  const query = { client: source, servicePort: port, isShunned };
  const choice = selectL4Endpoint(service, query, view, random);
  const name = `${service.namespace}/${service.hostname}`;
  if (choice.kind === 'none') {
    return choice.why === 'unknown-port'
      ? refuse('ROUTING_PORT_UNKNOWN', `service "${name}" has no port ${port}`, { service })
      : refuse(
          'ROUTING_NO_ENDPOINT',
          `no healthy upstream: service "${name}" has no ready endpoint for port ${port}`,
          {
            service,
          },
        );
  }
  const { workload, targetPort } = choice.endpoint;
  // Straight to a guarded port would be refused there; its waypoint is the way, as for a pod address.
  if (isGuarded(workload, targetPort) && workload.waypoint !== undefined) {
    const host = pickAddress(workload, { originalIp: ip, service });
    if (host?.kind === 'ip') {
      const destination = { source, ip: host.host, port: targetPort, workload, isShunned };
      return toWorkload(destination, view, random);
    }
  }
  return direct({ ip, targetPort, workload, service });
}

function isPassthrough(service: ViewService): boolean {
  return service.loadBalancing?.mode === 'PASSTHROUGH';
}

interface WorkloadDestination<W> {
  readonly source: W;
  readonly ip: string;
  readonly port: number;
  readonly workload: W;
  readonly isShunned: Shun | undefined;
}

function toWorkload<W extends ViewWorkload, S extends ViewService>(
  { source, ip, port, workload, isShunned }: WorkloadDestination<W>,
  view: MeshView<W, S>,
  random: () => number,
): OutboundDecision<W, S> {
  if (workload.network !== source.network) {
    const text = `workload "${workload.uid}" is on network "${workload.network}", which is not connected`;
    return refuse('ROUTING_OTHER_NETWORK', text, { workload });
  }
  if (workload.waypoint !== undefined) {
    const decision = toWaypoint(
      { source, ip, port, gateway: workload.waypoint, workload, isShunned },
      view,
      random,
    );
    // The waypoint itself goes on to the workload; everyone else goes through it.
    const isFromWaypoint =
      decision.kind === 'waypoint' &&
      decision.waypoint.uid !== workload.uid &&
      workloadIdentity(decision.waypoint) === workloadIdentity(source) &&
      decision.waypoint.addresses.some((address) => source.addresses.includes(address));
    if (!isFromWaypoint) return decision;
  }
  return direct({ ip, targetPort: port, workload });
}

interface WaypointDestination<W, S> {
  readonly source: W;
  readonly ip: string;
  readonly port: number;
  readonly gateway: NonNullable<ViewService['waypoint']>;
  readonly isShunned: Shun | undefined;
  readonly service?: S;
  readonly workload?: W;
}

function toWaypoint<W extends ViewWorkload, S extends ViewService>(
  destination: WaypointDestination<W, S>,
  view: MeshView<W, S>,
  random: () => number,
): OutboundDecision<W, S> {
  const { source, ip, port, gateway, service, workload, isShunned } = destination;
  const subject = {
    ...(service === undefined ? {} : { service }),
    ...(workload === undefined ? {} : { workload }),
  };
  const query = { gateway, client: source, originalIp: ip, isShunned };
  const found = resolveWaypoint(query, view, random);
  if (found.kind === 'refuse') return refuse(found.code, found.text, subject);
  return {
    kind: 'waypoint',
    dial: found.dial,
    authority: formatAuthority(ip, port),
    expectedIdentities: found.expectedIdentities,
    waypoint: found.workload,
    ...subject,
  };
}

interface DirectDestination<W, S> {
  readonly ip: string;
  readonly targetPort: number;
  readonly workload: W;
  readonly service?: S;
}

function direct<W extends ViewWorkload, S extends ViewService>({
  ip,
  targetPort,
  workload,
  service,
}: DirectDestination<W, S>): OutboundDecision<W, S> {
  const subject = { workload, ...(service === undefined ? {} : { service }) };
  const address = pickAddress(workload, {
    originalIp: ip,
    ...(service === undefined ? {} : { service }),
  });
  if (address === undefined) {
    const text = `workload "${workload.uid}" has no address of a family that its service allows`;
    return refuse('ROUTING_NO_ADDRESS', text, subject);
  }
  if (workload.tunnelProtocol === 'NONE') {
    return { kind: 'plain', dial: { ...address, port: targetPort }, ...subject };
  }
  return {
    kind: 'hbone',
    dial: { ...address, port: HBONE_PORT },
    authority: formatAuthority(address.host, targetPort),
    expectedIdentities: expectedIdentities(workload, service),
    ...subject,
  };
}

const LOOPBACK_V4 = parseCidr('127.0.0.0/8');

function isLoopback(ip: string): boolean {
  if (ip === '::1') return true;
  const bytes = parseIp(ip);
  return bytes !== undefined && LOOPBACK_V4 !== undefined && cidrContains(LOOPBACK_V4, bytes);
}

function refuse<W extends ViewWorkload, S extends ViewService>(
  code: OutboundRefusalCode,
  text: string,
  subject: { readonly service?: S; readonly workload?: W },
): OutboundDecision<W, S> {
  return { kind: 'refuse', code, text, ...subject };
}
