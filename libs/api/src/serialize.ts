/**
 * The official form of a parsed object, as JSON that `parseObject` reads back to the same object.
 *
 * Defaults are written out; empty lists and maps that say nothing are left out.
 */
import * as z from 'zod';
import { definitionOf } from './schema/kinds.ts';
import { metadata as metadataSchema } from './schema/metadata.ts';
import type { MeshObject } from './types/mesh-object.ts';
import { isRecord } from './value/path.ts';

/** Maps whose emptiness says nothing. Below the other set, keys are people's own and values count. */
const EMPTY_MAPS: ReadonlySet<string> = new Set([
  'add',
  'annotations',
  'headers',
  'labels',
  'matchLabels',
  'portLevelMtls',
  'ports',
  'queryParams',
  'set',
  'sourceLabels',
  'withoutHeaders',
]);
const OWN_KEYS: ReadonlySet<string> = new Set([
  'add',
  'annotations',
  'headers',
  'labels',
  'matchLabels',
  'queryParams',
  'set',
  'sourceLabels',
  'withoutHeaders',
]);

/** JSON of `object` in the form people write, key order: apiVersion, kind, metadata, spec, status. */
export function serializeObject(object: MeshObject): Record<string, unknown> {
  const { kind, apiVersion, metadata, ...body } = written(object);
  const slash = apiVersion.indexOf('/');
  const definition = definitionOf(slash < 0 ? '' : apiVersion.slice(0, slash), kind);
  if (definition === undefined) throw new TypeError(`no schema for ${apiVersion} ${kind}`);
  const meta = z.encode(metadataSchema, metadata);
  const { deletionTimestamp, ...rest } = Object(z.encode(definition.body, body));
  const all = {
    apiVersion,
    kind,
    metadata: {
      ...Object(meta),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
    },
    ...rest,
  };
  return Object(prune(all, '', false));
}

/** One that is kept in another form says its fields itself. */
function written(object: MeshObject): MeshObject {
  return 'toJSON' in object && typeof object.toJSON === 'function'
    ? (object.toJSON() as MeshObject)
    : object;
}

function prune(value: unknown, key: string, isOwnKey: boolean): unknown {
  if (Array.isArray(value)) return value.map((item) => prune(item, key, false));
  // Carried as written: nothing in it is ours to leave out.
  if (!isRecord(value) || key === 'jwtRules') return value;
  const hasOwnKeys = !isOwnKey && OWN_KEYS.has(key);
  const fields = Object.entries(value)
    .map(([name, item]) => [name, prune(item, name, hasOwnKeys)] as const)
    .filter(([name, item]) => item !== undefined && (hasOwnKeys || !saysNothing(name, item)));
  return Object.fromEntries(fields);
}

function saysNothing(key: string, value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return isRecord(value) && EMPTY_MAPS.has(key) && Object.keys(value).length === 0;
}
