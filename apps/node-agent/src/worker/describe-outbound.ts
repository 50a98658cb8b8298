/** What the record of a captured connection says of both its ends. */
import type { Workload } from '@ambit/model';
import { type ByteConn, formatAddress } from '@ambit/proxy';

import { type ConnectionDescription, identityOf } from './connection-record.ts';
import type { Way } from './outbound.ts';

export function describeOutbound(
  conn: ByteConn,
  source: Workload,
  decision: Way,
): ConnectionDescription {
  const isTunnel = decision.kind === 'hbone' || decision.kind === 'waypoint';
  const destination =
    decision.kind === 'waypoint'
      ? decision.waypoint
      : decision.kind === 'passthrough'
        ? undefined
        : decision.workload;
  return {
    direction: 'outbound',
    source: {
      address: formatAddress(conn.remoteAddress, conn.remotePort),
      workload: source,
      ...(isTunnel && { identity: identityOf(source) }),
    },
    destination: {
      address: formatAddress(decision.dial.host, decision.dial.port),
      workload: destination,
      ...(isTunnel && destination && { identity: identityOf(destination) }),
    },
    ...(isTunnel && { hboneAddress: decision.authority }),
    service: decision.service,
  };
}
