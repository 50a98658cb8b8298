/** Questions that cannot be asked: the caller's mistakes, to be shown as they are. */
import { MeshError } from '@ambit/core';

export type ExplainErrorCode =
  | 'EXPLAIN_NOT_FOUND'
  | 'EXPLAIN_PORT_NEEDED'
  | 'EXPLAIN_BAD_HOST'
  | 'EXPLAIN_BAD_PATH';

export class ExplainError extends MeshError<ExplainErrorCode> {}
