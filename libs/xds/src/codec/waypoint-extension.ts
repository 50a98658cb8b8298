/**
 * Whose waypoint a gateway address leads to, which the reference has no field for: an extension beside it, on the
 * workload or service. One that can not be read refuses the resource: callers would expect another identity.
 */
import type { GatewayAddress } from '@ambit/model';
import { create } from '@bufbuild/protobuf';

import { invalidResource } from '../errors.ts';
import { WaypointSchema } from '../gen/ambit/mesh/v1/mesh_pb.ts';
import type { GatewayAddress as GatewayAddressMessage } from '../gen/istio/workload/workload_pb.ts';
import { EXTENSION_NAME, EXTENSION_TYPE_URL } from '../type-urls.ts';
import { decodeGatewayAddress } from './gateway-address.ts';
import { type ExtensionFields, encodeExtension, findExtension } from './primitives.ts';

const WAYPOINT = {
  name: EXTENSION_NAME.waypoint,
  typeUrl: EXTENSION_TYPE_URL.waypoint,
  schema: WaypointSchema,
} as const;

export function waypointExtensions(gateway: GatewayAddress | undefined): ExtensionFields[] {
  if (gateway?.waypoint === undefined) {
    return [];
  }
  const message = create(WaypointSchema, { ...gateway.waypoint });
  return [encodeExtension({ ...WAYPOINT, message })];
}

/** The gateway with what the extension says of it; that of a foreign controller has none. */
export function decodeWaypoint(message: {
  readonly waypoint?: GatewayAddressMessage | undefined;
  readonly extensions: Parameters<typeof findExtension>[0];
}): GatewayAddress | undefined {
  const found = findExtension(message.extensions, WAYPOINT);
  if (message.waypoint === undefined) {
    return undefined;
  }
  const gateway = decodeGatewayAddress(message.waypoint);
  if (found === undefined) {
    return gateway;
  }
  const { key, className, identity } = found;
  if (key === '' || !identity.startsWith('spiffe://')) {
    throw invalidResource('a waypoint without name or identity');
  }
  return { ...gateway, waypoint: { key, className, identity } };
}
