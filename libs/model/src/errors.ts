/** Errors of the model. */
import { MeshError } from '@ambit/core';

/** MODEL_UNUSABLE: something of a batch cannot be derived from; nothing of the batch was taken. */
export type ModelErrorCode = 'MODEL_UNUSABLE';

export class ModelError extends MeshError<ModelErrorCode> {
  override readonly name = 'ModelError';
}
