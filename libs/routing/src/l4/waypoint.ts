/**
 * Which waypoint instance a reference means, and which identities it may present.
 *
 * A waypoint that is unknown or not ready is a refusal; the caller never goes around it. Where the controller says
 * which identity the waypoint has, an instance of another one is none: who serves there does not decide who may.
 */

import type { MeshView, ViewGatewayAddress, ViewService, ViewWorkload } from '../mesh-view.ts';
import { serviceKey, workloadIdentity } from '../mesh-view.ts';
import type { DialTarget } from './dial-target.ts';
import { expectedIdentities, pickAddress } from './dial-target.ts';
import type { ClientPlace, Shun } from './endpoint.ts';
import { selectL4Endpoint } from './endpoint.ts';

export interface WaypointQuery {
  readonly gateway: ViewGatewayAddress;
  readonly client: ClientPlace & Pick<ViewWorkload, 'namespace'>;
  /** The destination of the client; its address family is preferred. */
  readonly originalIp?: string;
  readonly isShunned?: Shun | undefined;
}

export type WaypointChoice<W extends ViewWorkload> =
  | {
      readonly kind: 'found';
      readonly workload: W;
      readonly dial: DialTarget;
      readonly expectedIdentities: readonly string[];
    }
  | {
      readonly kind: 'refuse';
      readonly code: 'ROUTING_WAYPOINT_UNKNOWN' | 'ROUTING_WAYPOINT_NOT_READY';
      readonly text: string;
    };

export function resolveWaypoint<W extends ViewWorkload, S extends ViewService>(
  query: WaypointQuery,
  view: MeshView<W, S>,
  random: () => number,
): WaypointChoice<W> {
  const { gateway, client } = query;
  const target = findGateway(gateway, client.namespace, view);
  const name = describeGateway(gateway);
  if (target === undefined) {
    const text = `waypoint "${name}" is not known: it may have been deleted, or not be created yet`;
    return { kind: 'refuse', code: 'ROUTING_WAYPOINT_UNKNOWN', text };
  }
  const service = target.kind === 'service' ? target.service : undefined;
  const chosen = chooseInstance(target, query, view, random);
  const address =
    chosen === undefined
      ? undefined
      : pickAddress(chosen.workload, {
          ...(query.originalIp === undefined ? {} : { originalIp: query.originalIp }),
          ...(service === undefined ? {} : { service }),
        });
  if (chosen === undefined || address === undefined) {
    const identity = gateway.waypoint === undefined ? '' : ` as ${gateway.waypoint.identity}`;
    const text = `waypoint "${name}" has no ready instance${identity}, and traffic never goes around it`;
    return { kind: 'refuse', code: 'ROUTING_WAYPOINT_NOT_READY', text };
  }
  return {
    kind: 'found',
    workload: chosen.workload,
    dial: { ...address, port: chosen.port },
    expectedIdentities:
      gateway.waypoint === undefined
        ? expectedIdentities(chosen.workload, service)
        : [gateway.waypoint.identity],
  };
}

/** The waypoint's own identity, or those of all instances that serve behind the reference now where it is not known. */
export function waypointIdentities<W extends ViewWorkload, S extends ViewService>(
  gateway: ViewGatewayAddress,
  view: MeshView<W, S>,
): readonly string[] {
  if (gateway.waypoint !== undefined) return [gateway.waypoint.identity];
  const target = findGateway(gateway, '', view);
  if (target === undefined) return [];
  const workloads =
    target.kind === 'workload' ? [target.workload] : view.endpoints(serviceKey(target.service));
  return [...new Set(workloads.map((workload) => workloadIdentity(workload)))];
}

type GatewayTarget<W, S> =
  | { readonly kind: 'service'; readonly service: S }
  | { readonly kind: 'workload'; readonly workload: W };

function findGateway<W extends ViewWorkload, S extends ViewService>(
  gateway: ViewGatewayAddress,
  clientNamespace: string,
  view: MeshView<W, S>,
): GatewayTarget<W, S> | undefined {
  const { destination } = gateway;
  if (destination.kind === 'hostname') {
    const { namespace, hostname } = destination.hostname;
    const service = view.service(namespace, hostname);
    if (service !== undefined) return { kind: 'service', service };
    const workload = view.workloadByHostname(namespace, hostname);
    return workload === undefined ? undefined : { kind: 'workload', workload };
  }
  const { network, address } = destination.address;
  const service = view.serviceByAddress(network, address, clientNamespace);
  if (service !== undefined) return { kind: 'service', service };
  const workload = view.workloadByAddress(network, address);
  return workload === undefined ? undefined : { kind: 'workload', workload };
}

function chooseInstance<W extends ViewWorkload, S extends ViewService>(
  target: GatewayTarget<W, S>,
  { gateway, client, isShunned }: WaypointQuery,
  view: MeshView<W, S>,
  random: () => number,
): { readonly workload: W; readonly port: number } | undefined {
  const servicePort = gateway.hboneMtlsPort;
  const isItself = (workload: ViewWorkload): boolean =>
    gateway.waypoint === undefined || workloadIdentity(workload) === gateway.waypoint.identity;
  if (target.kind === 'workload') {
    const { workload } = target;
    const isUsable = workload.status === 'HEALTHY' && isItself(workload);
    return isUsable ? { workload, port: servicePort } : undefined;
  }
  const query = { client, servicePort, anyPort: true, accepts: isItself, isShunned };
  const choice = selectL4Endpoint(target.service, query, view, random);
  if (choice.kind === 'none') return undefined;
  return { workload: choice.endpoint.workload, port: choice.endpoint.targetPort };
}

function describeGateway({ destination }: ViewGatewayAddress): string {
  return destination.kind === 'hostname'
    ? `${destination.hostname.namespace}/${destination.hostname.hostname}`
    : destination.address.address;
}
