/**
 * Building blocks of the schemas: each reads what people write into the official form (`decode`) and
 * writes it back (`encode`), so that parsing and printing cannot drift apart.
 *
 * Problems carry a code, what is allowed and a fix; `schema/issues.ts` turns them into findings.
 */
import * as z from 'zod';
import { isRecord } from '../value/path.ts';
import { nearestName } from '../value/suggest.ts';
import { rememberWire, type WireSchema } from './wire.ts';

/** What is wrong with one value. */
export interface ProblemDetail {
  readonly code: string;
  readonly message: string;
  readonly allowed?: string;
  readonly fix?: string;
  /** Below the value. */
  readonly path?: readonly (string | number)[];
}

export type Report = (problem: ProblemDetail) => void;

/**
 * `decode` reports and returns undefined, or returns the value. Never called for an absent field.
 * `wire` says what an API server can check of it; kinds without a CRD of ours need none.
 */
export function leaf<T>(
  decode: (raw: unknown, report: Report) => T | undefined,
  encode: (value: T) => unknown,
  wire?: WireSchema,
): z.ZodType<T> {
  const schema = z.codec(z.unknown(), z.custom<T>(), {
    decode: (raw, context) => {
      const report = reporter(context.issues, raw);
      if (raw === undefined) {
        report({ code: 'REQUIRED_FIELD', message: 'is required' });
        return z.NEVER;
      }
      const value = decode(raw, report);
      return value === undefined ? z.NEVER : value;
    },
    // zod runs the encoder of an absent optional field too, and drops what comes out.
    encode: (value) => (value === undefined ? undefined : encode(value)),
  });
  if (wire !== undefined) rememberWire(schema, wire);
  return schema;
}

function reporter(issues: z.core.$ZodRawIssue[], input: unknown): Report {
  return ({ path, message, ...params }) => {
    issues.push({ code: 'custom', message, input, path: [...(path ?? [])], params });
  };
}

type Rename<O, R> = { [K in keyof O as K extends keyof R ? R[K] & string : K]: O[K] };

/** An object with known fields only, of which some are called otherwise in the official form. */
export function renamed<F extends z.ZodRawShape, const R extends Readonly<Record<string, string>>>(
  fields: F,
  renames: R,
): z.ZodType<Rename<z.output<z.ZodObject<F, z.core.$strict>>, R>> {
  type Out = Rename<z.output<z.ZodObject<F, z.core.$strict>>, R>;
  const back = Object.fromEntries(Object.entries(renames).map(([from, to]) => [to, from]));
  return z.codec(z.strictObject(fields), z.custom<Out>(), {
    // The two casts are the type above, which the compiler cannot follow through `Object.entries`.
    decode: (value) => renameKeys(value, renames) as Out,
    encode: (value) =>
      renameKeys((value ?? {}) as object, back) as z.output<z.ZodObject<F, z.core.$strict>>,
  }) as unknown as z.ZodType<Out>;
}

function renameKeys(value: object, renames: Readonly<Record<string, string>>): object {
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [renames[key] ?? key, item]),
  );
}

/** Between two shapes of which both are valid already. */
export function reshape<A, B>(
  from: z.ZodType<A>,
  decode: (value: A, report: Report) => B,
  encode: (value: B) => A,
): z.ZodType<B> {
  return z.codec(from, z.custom<B>(), {
    decode: (value, context) => decode(value as A, reporter(context.issues, value)),
    encode: (value) => (value === undefined ? undefined : encode(value)) as never,
  }) as unknown as z.ZodType<B>;
}

/** A list; absent is empty. */
export function listOf<T>(item: z.ZodType<T>): z.ZodType<readonly T[]> {
  return z.array(item).default([]) as unknown as z.ZodType<readonly T[]>;
}

/** A map with any keys; absent is empty. */
export function mapOf<T>(item: z.ZodType<T>): z.ZodType<Readonly<Record<string, T>>> {
  return z.record(z.string(), item).default({}) as unknown as z.ZodType<
    Readonly<Record<string, T>>
  >;
}

export const text = z.string();
/** A string that is not empty. */
export const name = leaf<string>(
  (raw, report) => {
    if (typeof raw === 'string' && raw !== '') return raw;
    if (raw === '') report({ code: 'REQUIRED_FIELD', message: 'is empty' });
    else reportType(raw, 'a string', report);
    return undefined;
  },
  (value) => value,
  { type: 'string', minLength: 1 },
);

/** A whole number of `min` to `max`. */
export function integer(min: number, max = 2 ** 31 - 1): z.ZodType<number> {
  return leaf<number>(
    (raw, report) => {
      if (typeof raw !== 'number' || !Number.isInteger(raw)) {
        reportType(raw, 'a whole number', report);
        return undefined;
      }
      if (raw >= min && raw <= max) return raw;
      report({ code: 'OUT_OF_RANGE', message: 'is out of range', allowed: `${min} to ${max}` });
      return undefined;
    },
    (value) => value,
    { type: 'integer', minimum: min, maximum: max },
  );
}

export const portNumber = integer(1, 65_535);

/** One of `values`; the problem names the nearest. */
export function oneOf<const T extends string | number>(values: readonly T[]): z.ZodType<T> {
  return leaf<T>(
    (raw, report) => {
      const found = values.find((value) => value === raw);
      if (found !== undefined) return found;
      const near = typeof raw === 'string' ? nearestName(raw, values.map(String)) : undefined;
      report({
        code: 'INVALID_VALUE',
        message:
          isRecord(raw) || Array.isArray(raw) ? 'has the wrong type' : 'is not a known value',
        allowed: values.join(', '),
        ...(near === undefined ? {} : { fix: `write ${near}` }),
      });
      return undefined;
    },
    (value) => value,
    { type: typeof values[0] === 'number' ? 'integer' : 'string', enum: values },
  );
}

/** Says that `raw` has the wrong type, with the fix for the usual causes. */
export function reportType(raw: unknown, allowed: string, report: Report): void {
  report({ code: 'WRONG_TYPE', message: 'has the wrong type', allowed, ...typeFix(raw, allowed) });
}

/** The fix for a value of the wrong type, if it follows from the value. */
export function typeFix(raw: unknown, allowed: string): { readonly fix?: string } {
  if (allowed.includes('string') && (typeof raw === 'number' || typeof raw === 'boolean')) {
    return { fix: `quote it: "${raw}"` };
  }
  if (allowed.includes('number') && typeof raw === 'string' && /^-?\d+(?:\.\d+)?$/.test(raw)) {
    return { fix: `remove the quotes: ${raw}` };
  }
  if (allowed.includes('boolean') && (raw === 'true' || raw === 'false')) {
    return { fix: `remove the quotes: ${raw}` };
  }
  if (allowed.includes('list') && raw !== null && raw !== undefined) {
    return { fix: 'make it a list: put "- " before it' };
  }
  return {};
}
