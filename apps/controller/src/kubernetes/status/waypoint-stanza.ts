/**
 * What is known of a waypoint's parts in the cluster, in the status of its Gateway: why it does not run yet, that its parameters are
 * not in force, and where it is reached from outside.
 */
import type { Condition, GatewayStatus } from '@ambit/model';

/** As whoever makes waypoints knows it. */
export interface WaypointParts {
  readonly addresses: GatewayStatus['addresses'];
  readonly programmed: boolean;
  readonly reason: string;
  readonly message: string;
  /** Why its parameters are not in force. */
  readonly invalidParameters?: string;
}

export function withParts(gateway: GatewayStatus, parts: WaypointParts | undefined): GatewayStatus {
  if (parts === undefined) return gateway;
  return {
    ...gateway,
    conditions: gateway.conditions.map((condition) => withPart(condition, parts)),
    addresses: addressesOf(gateway, parts),
  };
}

function withPart(condition: Condition, parts: WaypointParts): Condition {
  const { type, status, reason } = condition;
  if (type === 'Accepted' && status === 'True' && parts.invalidParameters !== undefined) {
    const message = parts.invalidParameters;
    return { ...condition, status: 'False', reason: 'InvalidParameters', message };
  }
  // Whether an instance is ready is the mesh's word; why none is, the cluster's.
  const isWaiting = type === 'Programmed' && status !== 'True' && reason !== 'Invalid';
  return isWaiting && !parts.programmed
    ? { ...condition, reason: parts.reason, message: parts.message }
    : condition;
}

function addressesOf(gateway: GatewayStatus, parts: WaypointParts): GatewayStatus['addresses'] {
  if (parts.addresses.length === 0) return gateway.addresses;
  const values = new Set(parts.addresses.map(({ value }) => value));
  const names = gateway.addresses.filter(
    ({ type, value }) => type === 'Hostname' && !values.has(value),
  );
  return [...parts.addresses, ...names];
}
