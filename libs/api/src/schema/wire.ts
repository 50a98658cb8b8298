/**
 * What an API server can check of a value as it is written: the part of OpenAPI v3 that a structural
 * schema of a CRD may have.
 *
 * Leaves of the schemas decode by code, which nobody can read off; so each says here what of it holds on
 * the wire. It may accept more than the leaf does, never less.
 */
import type * as z from 'zod';

/** A rule in CEL: what must be true, and what is said if it is not. */
export interface CelRule {
  readonly rule: string;
  readonly message: string;
}

export interface WireSchema {
  readonly type?: 'array' | 'boolean' | 'integer' | 'number' | 'object' | 'string';
  readonly description?: string;
  readonly format?: 'byte' | 'date-time' | 'int64';
  readonly enum?: readonly (string | number)[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minProperties?: number;
  readonly maxProperties?: number;
  readonly nullable?: boolean;
  readonly items?: WireSchema;
  readonly properties?: Readonly<Record<string, WireSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: WireSchema;
  readonly 'x-kubernetes-int-or-string'?: true;
  readonly 'x-kubernetes-preserve-unknown-fields'?: true;
  readonly 'x-kubernetes-list-type'?: 'atomic' | 'map' | 'set';
  readonly 'x-kubernetes-list-map-keys'?: readonly string[];
  readonly 'x-kubernetes-validations'?: readonly CelRule[];
}

const WIRES = new WeakMap<z.core.$ZodType, WireSchema>();

/** Said once, where the leaf is made. */
export function rememberWire(schema: z.core.$ZodType, wire: WireSchema): void {
  WIRES.set(schema, wire);
}

/** What the leaf `schema` accepts at least; undefined for everything that is no leaf or did not say. */
export function wireOf(schema: z.core.$ZodType): WireSchema | undefined {
  return WIRES.get(schema);
}
