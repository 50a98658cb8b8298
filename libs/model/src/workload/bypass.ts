/**
 * Break glass: a namespace that is let out of the mesh for a time, by annotations that people can read.
 *
 * Rule: whatever does not say by whom, why and until when, in full and within a day of its beginning, releases nothing.
 * Whether it is over is not said here: the model has no clock, and is told (`MeshBatch.bypassed`).
 */
import type { Finding } from '@ambit/api';
import { warning } from '../status/conditions.ts';

/** RFC 3339. At this time it is over, whoever is there. */
export const BYPASS_UNTIL = 'ambit.io/bypass-until';
/** RFC 3339. */
export const BYPASS_SINCE = 'ambit.io/bypass-since';
export const BYPASS_BY = 'ambit.io/bypass-by';
export const BYPASS_REASON = 'ambit.io/bypass-reason';

export const BYPASS_MS_MAX = 24 * 3_600_000;

const TEXT_CHARS_MAX = 500;
const RFC3339 = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}:\d{2})$/;

export interface Bypass {
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly by: string;
  readonly reason: string;
}

export interface ReadBypass {
  readonly bypass?: Bypass;
  /** Set aside, and why. */
  readonly findings: readonly Finding[];
}

/** Of a Namespace. Nothing at all if it has none of the annotations. */
export function readBypass(annotations: Readonly<Record<string, string>>): ReadBypass {
  const keys = [BYPASS_UNTIL, BYPASS_SINCE, BYPASS_BY, BYPASS_REASON];
  if (keys.every((key) => annotations[key] === undefined)) return { findings: [] };
  const untilMs = timeOf(annotations[BYPASS_UNTIL]);
  const sinceMs = timeOf(annotations[BYPASS_SINCE]);
  const by = textOf(annotations[BYPASS_BY]);
  const reason = textOf(annotations[BYPASS_REASON]);
  const findings = [
    ...(untilMs === undefined ? [wrong(BYPASS_UNTIL, annotations, TIME)] : []),
    ...(sinceMs === undefined ? [wrong(BYPASS_SINCE, annotations, TIME)] : []),
    ...(by === undefined ? [wrong(BYPASS_BY, annotations, TEXT)] : []),
    ...(reason === undefined ? [wrong(BYPASS_REASON, annotations, TEXT)] : []),
  ];
  if (untilMs === undefined || sinceMs === undefined || by === undefined || reason === undefined) {
    return { findings };
  }
  const lengthMs = untilMs - sinceMs;
  return lengthMs > 0 && lengthMs <= BYPASS_MS_MAX
    ? { bypass: { sinceMs, untilMs, by, reason }, findings }
    : { findings: [wrong(BYPASS_UNTIL, annotations, LENGTH)] };
}

const TIME = 'an RFC 3339 time such as 2026-01-31T12:00:00Z';
const TEXT = `a text of 1 to ${TEXT_CHARS_MAX} characters`;
const LENGTH = `a time after ${BYPASS_SINCE}, by 24 hours at most`;

function wrong(
  key: string,
  annotations: Readonly<Record<string, string>>,
  allowed: string,
): Finding {
  const found = annotations[key];
  const said =
    found === undefined ? 'is missing' : `is no such thing (found "${found.slice(0, 60)}")`;
  return warning(
    'BYPASS_INVALID',
    `metadata.annotations["${key}"]`,
    `${said}; allowed: ${allowed}; the namespace stays in the mesh`,
    'use meshctl bypass NAMESPACE --for 10m --reason TEXT, or take the annotations away',
  );
}

function timeOf(text: string | undefined): number | undefined {
  if (text === undefined || !RFC3339.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}

function textOf(text: string | undefined): string | undefined {
  const trimmed = text?.trim() ?? '';
  return trimmed === '' || trimmed.length > TEXT_CHARS_MAX ? undefined : trimmed;
}
