/** What can go wrong with a waypoint as a program, apart from requests. */
import { MeshError } from '@ambit/core';

export type WaypointErrorCode =
  | 'WAYPOINT_CONFIG_INVALID'
  | 'WAYPOINT_WORKER_FAILED'
  | 'WAYPOINT_STOPPED'
  | 'WAYPOINT_LISTEN';

export class WaypointError extends MeshError<WaypointErrorCode> {
  override readonly name = 'WaypointError';

  constructor(code: WaypointErrorCode, message: string, cause?: unknown) {
    super(code, message, { side: 'local', cause });
  }
}
