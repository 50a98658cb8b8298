/**
 * Pods that say by their label that they are a Gateway's proxy, and what becomes of those that an agent stands before.
 *
 * Rule: the label alone takes nothing away. A proxy behind its agent believes whoever reaches its port for headers; where nobody can read
 * which port that is, nobody reaches the pod at all.
 */
import type { ObjectKey } from '@ambit/api';
import { objectKey } from '../objects/keys.ts';
import type { Guard } from '../types.ts';
import { foreignWaypoint, type KnownWaypoints } from '../waypoint/foreign.ts';
import type { WaypointDefinition } from '../waypoint/waypoints.ts';
import { isInMesh } from '../workload/enrolment.ts';
import type { WorkloadSpec } from '../workload/workloads.ts';
import type { AddressInputs } from './address-inputs.ts';

/** How the proxy of a pod with the label takes tunnels that its agent ends, whoever's Gateway it is. */
export function behindAgentOf(
  { gateway }: WorkloadSpec,
  known: KnownWaypoints,
): WaypointDefinition['behindAgent'] {
  if (gateway === undefined) return undefined;
  return (known.waypoints.get(gateway) ?? foreignWaypoint(gateway, known))?.behindAgent;
}

/** By its account too, which its callers expect: anybody can write a label on a pod. */
export function runsWaypoint(
  { gateway, serviceAccount }: WorkloadSpec,
  { waypoints }: KnownWaypoints,
): boolean {
  return gateway !== undefined && waypoints.get(gateway)?.serviceAccount === serviceAccount;
}

/** Before what is not captured nobody stands, so that its label takes nothing away. */
export function isGatewayProxy(
  workload: WorkloadSpec,
  inputs: KnownWaypoints & Pick<AddressInputs, 'podModes'>,
): boolean {
  if (workload.gateway === undefined) return false;
  return !isInMesh(workload, inputs) || runsWaypoint(workload, inputs);
}

/**
 * Of a captured pod that nobody may reach: its binding says nothing known, or its Gateway is gone or was never accepted, so that nothing
 * says which of its ports believe headers of PROXY protocol.
 */
export function closedGuard(workload: WorkloadSpec, known: KnownWaypoints): Guard | undefined {
  const because = closedBecause(workload, known);
  if (because === undefined) return undefined;
  return { waypointIdentities: [], ports: [], exclusive: true, because: [because] };
}

function closedBecause(workload: WorkloadSpec, known: KnownWaypoints): ObjectKey | undefined {
  const { gateway } = workload;
  if (gateway === undefined) return undefined;
  const [namespace = '', name = ''] = gateway.split('/');
  const key = objectKey('Gateway', namespace, name);
  if (known.sources.gateways.get(key) === undefined) return key;
  const behindAgent = behindAgentOf(workload, known);
  return behindAgent === undefined || behindAgent.tunnel !== undefined
    ? undefined
    : behindAgent.object;
}
