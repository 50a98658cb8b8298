/** Tables of specs and the errors that they must get, for the tests of rules. */
import { type ParseResult, parseObject } from '../parse-object.ts';
import { SAMPLES } from './samples.ts';

/** `says`: `CODE path` of every error, in order; empty for a spec that is accepted. */
export type RuleRow = readonly [title: string, spec: unknown, says: readonly string[]];

/** Parses an object of `kind` with this spec. */
export function parseSpec(kind: string, spec: unknown): ParseResult {
  const sample = SAMPLES.find((object) => object['kind'] === kind);
  if (sample === undefined) throw new TypeError(`no sample of ${kind}`);
  const { apiVersion } = sample;
  return parseObject({ apiVersion, kind, metadata: { name: 'x', namespace: 'shop' }, spec });
}

/** `CODE path` of the errors of this spec; an object is there exactly if there are none. */
export function errorsOf(kind: string, spec: unknown): readonly string[] {
  const { object, findings } = parseSpec(kind, spec);
  const errors = findings.filter(({ severity }) => severity === 'error');
  if ((object === undefined) !== errors.length > 0) throw new Error('object and errors disagree');
  return errors.map(({ code, path }) => `${code} ${path}`);
}
