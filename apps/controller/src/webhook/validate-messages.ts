/** Between the pool and its validating threads. */
import type { ValidationOutcome } from './validator.ts';

export interface ToValidator {
  readonly id: number;
  readonly body: Uint8Array;
}

/** Ends a thread that has nothing to do by itself, which always works; ending it from outside may not. */
export const FINISH = 'finish';

export type FromValidator =
  | { readonly kind: 'ready' }
  | { readonly kind: 'outcome'; readonly id: number; readonly outcome: ValidationOutcome };
