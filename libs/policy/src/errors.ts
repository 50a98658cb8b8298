/** What this package refuses, and with which code. A refused policy is refused alone and by path. */
import { MeshError } from '@ambit/core';

export type PolicyErrorCode = 'POLICY_INVALID';

/** A policy that cannot be compiled. `path` is dotted from the object's root. */
export class PolicyError extends MeshError<PolicyErrorCode> {
  override readonly name = 'PolicyError';
  readonly path: string;

  constructor(path: string, message: string) {
    super('POLICY_INVALID', `${path}: ${message}`, { side: 'control-plane' });
    this.path = path;
  }
}
