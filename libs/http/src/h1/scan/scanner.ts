/** What the parts of the one scan share. */
import type { H1Error, H1ErrorCode } from '../errors.ts';

/** Gives the error to throw. */
export type Refuse = (code: H1ErrorCode, detail?: string) => H1Error;

/**
 * A part of a section, resumable at any byte. Positions that it remembers are offsets from `base`, the section's
 * first byte, which lies elsewhere when the scan goes on in another buffer.
 */
export interface PartScanner {
  readonly isDone: boolean;
  reset(): void;
  /** Goes on at `at`, which is before `stop`. Returns where it stands; at `stop` it wants more. Throws. */
  step(bytes: Uint8Array, base: number, at: number, stop: number): number;
}
