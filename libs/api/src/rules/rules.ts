/** Rules across fields that a schema cannot say (semantics §2.16). */
import type { Finding } from '../types/finding.ts';

/** Findings on the object of `kind`; tolerant of any shape, since the schema reports shapes. */
export function semanticFindings(
  _kind: string,
  _root: Record<string, unknown>,
): readonly Finding[] {
  return [];
}
