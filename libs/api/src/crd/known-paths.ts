/** Which fields of a kind somebody has thought of: read, not supported, or a dialect. */
import { INEFFECTIVE, RENAMED } from '../dialect/table.ts';
import { definitionOf } from '../schema/kinds.ts';
import type { WireSchema } from '../schema/wire.ts';
import { UNSUPPORTED_FIELDS } from '../unsupported.ts';
import { emitSchema } from './emit-schema.ts';

export interface KnownPaths {
  /** `spec.http[].match[].headers.*`: lists as `[]`, keys of maps as `*`. */
  readonly has: (path: string) => boolean;
}

/** Undefined for a kind that is not read. */
export function knownPaths(group: string, kind: string): KnownPaths | undefined {
  const definition = definitionOf(group, kind);
  if (definition?.isMeshKind !== true) return undefined;
  const read = new Set<string>();
  collect(emitSchema(definition.body, ''), '', read);
  const aside = [
    ...UNSUPPORTED_FIELDS.filter(({ kinds }) => kinds.includes(kind)).map(({ path }) => path),
    ...[...RENAMED, ...INEFFECTIVE].flatMap(({ kinds, paths }) =>
      kinds.includes(kind) ? paths : [],
    ),
  ];
  return {
    has: (path) =>
      read.has(path) ||
      aside.some(
        (known) => path === known || path.startsWith(`${known}.`) || path.startsWith(`${known}[`),
      ),
  };
}

function collect(schema: WireSchema, path: string, into: Set<string>): void {
  into.add(path);
  for (const [key, below] of Object.entries(schema.properties ?? {})) {
    collect(below, path === '' ? key : `${path}.${key}`, into);
  }
  if (schema.items !== undefined) collect(schema.items, `${path}[]`, into);
  if (schema.additionalProperties !== undefined) {
    collect(schema.additionalProperties, `${path}.*`, into);
  }
}
