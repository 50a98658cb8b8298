/** What the record of a captured connection says of both its ends. */
import type { Workload } from '@ambit/model';
import type { Place } from '@ambit/proxy';

import { type ConnectionDescription, identityOf } from './connection-record.ts';
import type { Way } from './outbound-choice.ts';

/** `client`: where it is. */
export function describeOutbound(
  client: Place,
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
      place: client,
      workload: source,
      ...(isTunnel && { identity: identityOf(source) }),
    },
    destination: {
      place: { address: decision.dial.host, port: decision.dial.port },
      workload: destination,
      ...(isTunnel && destination && { identity: identityOf(destination) }),
    },
    ...(isTunnel && { hboneAddress: decision.authority }),
    service: decision.service,
  };
}
