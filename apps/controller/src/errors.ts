/** Errors of the controller; codes are in logs and metrics. */
import { MeshError, type MeshErrorOptions } from '@ambit/core';

export type ControllerErrorCode =
  | 'CONTROLLER_CONFIG_INVALID'
  | 'CONTROLLER_CA_SECRET_INVALID'
  | 'CONTROLLER_ROTATION_REFUSED'
  | 'CONTROLLER_REPLICA_LIMIT'
  | 'CONTROLLER_SOURCE_UNREADABLE'
  | 'CONTROLLER_STATE_UNWRITABLE';

export class ControllerError extends MeshError<ControllerErrorCode> {
  override readonly name = 'ControllerError';

  constructor(code: ControllerErrorCode, message: string, options: Partial<MeshErrorOptions> = {}) {
    super(code, message, { side: 'local', ...options });
  }
}
