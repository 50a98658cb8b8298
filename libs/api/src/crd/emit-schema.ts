/**
 * From our zod schemas to structural OpenAPI v3 schemas, over the subset of zod that we use.
 *
 * zod's own JSON Schema is not structural, and it cannot see into our leaves. What this emitter does not
 * know is an error when the files are made, never a guess. What it emits may accept more than the schema
 * does, never less: what an API server refuses, nobody can explain to its author as well as we can.
 */
import type * as z from 'zod';
import { type WireSchema, wireOf } from '../schema/wire.ts';

/** The schema has something that the emitter does not know, or a table names a place that is not there. */
export class CrdError extends Error {
  override readonly name = 'CrdError';
}

/** Gets what was emitted for a place (`spec.http[].timeout`) and returns what is to be there instead. */
export type Annotate = (path: string, emitted: WireSchema) => WireSchema;

interface ZodDef {
  readonly type: string;
  readonly checks?: readonly unknown[];
  readonly format?: string;
  readonly shape?: Readonly<Record<string, z.core.$ZodType>>;
  readonly catchall?: z.core.$ZodType;
  readonly element?: z.core.$ZodType;
  readonly keyType?: z.core.$ZodType;
  readonly valueType?: z.core.$ZodType;
  readonly innerType?: z.core.$ZodType;
  readonly in?: z.core.$ZodType;
  readonly defaultValue?: unknown;
}

/** zod's definitions are a closed union that its types do not expose by discriminant. */
function defOf(schema: z.core.$ZodType): ZodDef {
  return schema._zod.def as unknown as ZodDef;
}

/** The structural schema of `schema` at `path`. Throws CrdError for what it does not know. */
export function emitSchema(
  schema: z.core.$ZodType,
  path: string,
  annotate: Annotate = (_, emitted) => emitted,
): WireSchema {
  const emitted = wireOf(schema) ?? emitKnown(schema, path, annotate);
  // Wrappers (optional, default, codec) share the place of what they wrap, which was annotated there.
  return isWrapper(schema) ? emitted : annotate(path, emitted);
}

function isWrapper(schema: z.core.$ZodType): boolean {
  if (wireOf(schema) !== undefined) return false;
  return ['optional', 'default', 'prefault', 'pipe'].includes(defOf(schema).type);
}

function emitKnown(schema: z.core.$ZodType, path: string, annotate: Annotate): WireSchema {
  const def = defOf(schema);
  const below = (child: z.core.$ZodType | undefined, at: string): WireSchema => {
    if (child === undefined) throw new CrdError(`${path}: ${def.type} without its inner schema`);
    return emitSchema(child, at, annotate);
  };
  switch (def.type) {
    case 'optional':
    case 'prefault':
      return below(def.innerType, path);
    case 'default':
      return withDefault(below(def.innerType, path), def.defaultValue);
    case 'pipe':
      if (def.in !== undefined && defOf(def.in).type === 'unknown') {
        throw new CrdError(`${path}: the leaf does not say what it accepts on the wire`);
      }
      return below(def.in, path);
    case 'string':
      return emitText(def, path);
    case 'boolean':
      return { type: 'boolean' };
    case 'array':
      refuseChecks(def, path);
      return { type: 'array', items: below(def.element, `${path}[]`) };
    case 'record':
      if (def.keyType === undefined || defOf(def.keyType).type !== 'string') {
        throw new CrdError(`${path}: keys of a map must be strings`);
      }
      return { type: 'object', additionalProperties: emptiable(below(def.valueType, `${path}.*`)) };
    case 'object':
      return emitObject(def, path, below);
    default:
      throw new CrdError(`${path}: nothing is known of ${def.type}`);
  }
}

function emitText(def: ZodDef, path: string): WireSchema {
  if (def.format === 'base64') return { type: 'string', format: 'byte' };
  refuseChecks(def, path);
  if (def.format !== undefined) throw new CrdError(`${path}: nothing is known of ${def.format}`);
  return { type: 'string' };
}

function refuseChecks(def: ZodDef, path: string): void {
  if ((def.checks ?? []).length > 0) {
    throw new CrdError(`${path}: checks of zod are not read; write a leaf`);
  }
}

/**
 * Unknown fields are kept: an API server would drop them in silence, and a policy or route would then
 * mean something else than it says. Kept, they reach the webhook and the controller, which refuse them
 * with their path. Dialects reach them in the same way.
 */
function emitObject(
  def: ZodDef,
  path: string,
  below: (child: z.core.$ZodType | undefined, at: string) => WireSchema,
): WireSchema {
  refuseChecks(def, path);
  if (def.catchall === undefined || defOf(def.catchall).type !== 'never') {
    throw new CrdError(`${path}: an object must name all of its fields (strictObject)`);
  }
  const properties: Record<string, WireSchema> = {};
  const required: string[] = [];
  for (const [key, field] of Object.entries(def.shape ?? {})) {
    const emitted = below(field, path === '' ? key : `${path}.${key}`);
    const isRequired = !mayBeAbsent(field);
    if (isRequired) required.push(key);
    properties[key] = isRequired ? emitted : emptiable(emitted);
  }
  return {
    type: 'object',
    properties,
    ...(required.length === 0 ? {} : { required }),
    'x-kubernetes-preserve-unknown-fields': true,
  };
}

/**
 * A field without a value (`from:` with nothing below) would be dropped before anybody sees it, and so
 * widen what the object says. Nullable, it arrives and is refused or warned of. One of a choice would be
 * refused instead, whatever the choice says of null; who wants that says `nullable` in `annotate`.
 */
function emptiable(emitted: WireSchema): WireSchema {
  return emitted.enum === undefined ? { ...emitted, nullable: true } : emitted;
}

function mayBeAbsent(schema: z.core.$ZodType): boolean {
  if (wireOf(schema) !== undefined) return false;
  const def = defOf(schema);
  if (['optional', 'default', 'prefault'].includes(def.type)) return true;
  return def.type === 'pipe' && def.in !== undefined && mayBeAbsent(def.in);
}

/**
 * Defaults are said, not set: one that an API server writes into objects changes what their author
 * manages elsewhere, and stays when a later version has another.
 */
function withDefault(emitted: WireSchema, value: unknown): WireSchema {
  const isPlain = ['string', 'number', 'boolean'].includes(typeof value) && value !== '';
  if (!isPlain || emitted.pattern !== undefined || emitted.type === 'object') return emitted;
  return { ...emitted, description: `Default: ${String(value)}.` };
}
