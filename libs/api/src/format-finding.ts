/** Findings as people read them: one paragraph, the same words everywhere. */
import type { Finding, ObjectKey } from './types/finding.ts';

export interface FindingPlace {
  /** File or other origin. */
  readonly source?: string | undefined;
  /** From 1. */
  readonly line?: number | undefined;
  readonly key?: ObjectKey | undefined;
}

/**
 * `shop.yaml:12: error: VirtualService/shop/reviews: spec.http[0].timeout is not a duration (found 5;
 * allowed: …). Fix: give it a unit: 5s. [INVALID_DURATION]`
 */
export function formatFinding(finding: Finding, place: FindingPlace = {}): string {
  const source = [place.source, place.line].filter((part) => part !== undefined).join(':');
  const facts = [
    ...(finding.found === undefined ? [] : [`found ${finding.found}`]),
    ...(finding.allowed === undefined ? [] : [`allowed: ${finding.allowed}`]),
  ];
  const sentence = [
    finding.path === '' ? '' : `${finding.path} `,
    finding.message,
    facts.length === 0 ? '' : ` (${facts.join('; ')})`,
    '.',
    finding.fix === undefined
      ? ''
      : ` Fix: ${finding.fix.replace(/\.$/, '')}${/[?]$/.test(finding.fix) ? '' : '.'}`,
  ].join('');
  const prefix = [
    ...(source === '' ? [] : [source]),
    finding.severity,
    ...(place.key === undefined ? [] : [place.key]),
  ];
  return `${prefix.join(': ')}: ${sentence} [${finding.code}]`;
}
