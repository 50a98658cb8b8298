/** The errors of the lab. All are local: nothing but this machine and the person's files is involved. */
import { MeshError } from '@ambit/core';

export type LabErrorCode =
  /** A name, an option or a path that cannot be used. */
  | 'LAB_INVALID_OPTION'
  | 'LAB_ALREADY_RUNNING'
  | 'LAB_NOT_RUNNING'
  | 'LAB_NO_PRIVILEGES'
  /** The kernel, `ip` or `nft` refused. */
  | 'LAB_NETWORK_FAILED'
  | 'LAB_POD_NOT_FOUND'
  | 'LAB_COMPONENT_NOT_FOUND'
  | 'LAB_OBJECT_INVALID'
  | 'LAB_OBJECT_NOT_FOUND'
  | 'LAB_ADDRESSES_EXHAUSTED'
  | 'LAB_TIMEOUT';

export class LabError extends MeshError<LabErrorCode> {
  override readonly name = 'LabError';

  constructor(code: LabErrorCode, message: string, cause?: unknown) {
    super(code, message, { side: 'local', cause });
  }
}
