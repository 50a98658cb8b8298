/**
 * The verdict on one object: the same validation as `meshctl validate`, and what of it may refuse.
 *
 * Only objects that nobody but this mesh reads are refused. Gateway API is shared with other
 * implementations, so its objects get warnings at most, and none if they do not concern the mesh.
 */
import { isDeepStrictEqual } from 'node:util';

import {
  type Finding,
  formatFinding,
  type ParseResult,
  parseObject,
  WAYPOINT_CLASSES,
} from '@ambit/api';

import type { AdmissionRequest, Verdict, VerdictReason } from './admission-review.ts';

/** Groups that are the mesh's own. */
export const MESH_GROUPS: readonly string[] = [
  'networking.istio.io',
  'security.istio.io',
  'telemetry.istio.io',
  'extensions.istio.io',
];
export const GATEWAY_GROUP = 'gateway.networking.k8s.io';

/** Notes that an author has to see although nothing is wrong. */
const TOLD_NOTES: readonly string[] = ['DIALECT_INEFFECTIVE', 'DENIES_ALL'];

type JsonObject = Readonly<Record<string, unknown>>;

/** Pure; takes as long as the object is large. */
export function judge(request: AdmissionRequest): Verdict {
  const { object, operation, group } = request;
  if (object === undefined || (operation !== 'CREATE' && operation !== 'UPDATE')) {
    return allow('not-checked');
  }
  // A finalizer has to be removable whatever the object says.
  if (metadataOf(object)['deletionTimestamp'] !== undefined) return allow('deleting');
  const isMesh = MESH_GROUPS.includes(group);
  if (!isMesh && !(group === GATEWAY_GROUP && concernsMesh(object))) return allow('foreign');
  const { findings } = parse(request, object);
  const errors = findings.filter(({ severity }) => severity === 'error');
  const notes = findings.filter(
    ({ severity, code }) => severity === 'warning' || TOLD_NOTES.includes(code),
  );
  const warnings = [...errors, ...notes].map(sentence);
  if (errors.length === 0) return allow('valid', warnings);
  if (!isMesh) return allow('valid', warnings);
  if (isUnchanged(request, errors)) return allow('unchanged', warnings);
  return {
    allowed: false,
    reason: 'invalid_resource',
    causes: errors.map((finding) => ({ field: finding.path, message: sentence(finding) })),
    warnings: notes.map(sentence),
  };
}

function parse({ namespace }: AdmissionRequest, object: JsonObject): ParseResult {
  return parseObject(prepare(object), namespace === '' ? {} : { defaultNamespace: namespace });
}

function allow(reason: VerdictReason, warnings: readonly string[] = []): Verdict {
  return { allowed: true, reason, causes: [], warnings };
}

/** Without the severity in front: kubectl says that itself. */
function sentence(finding: Finding): string {
  return formatFinding(finding).slice(finding.severity.length + 2);
}

/**
 * An object that is stored already, wrong as it is, must stay open to changes of other things: labels,
 * finalizers, owner references. It has a condition that says what is wrong. What is newly wrong in its metadata is no such change.
 */
function isUnchanged(request: AdmissionRequest, errors: readonly Finding[]): boolean {
  const { operation, object, oldObject } = request;
  if (operation !== 'UPDATE' || object === undefined || oldObject === undefined) return false;
  if (!isDeepStrictEqual(meaning(object), meaning(oldObject))) return false;
  const inMetadata = errors.filter(({ path }) => path.startsWith('metadata.'));
  if (inMetadata.length === 0) return true;
  const before = new Set(parse(request, oldObject).findings.map(({ path }) => path));
  return inMetadata.every(({ path }) => before.has(path));
}

function meaning(object: JsonObject): unknown {
  const { metadata: _metadata, status: _status, apiVersion: _version, ...rest } = object;
  return rest;
}

/** Without what the mesh does not read and what can be large; with the name that will be made up. */
function prepare(object: JsonObject): JsonObject {
  const { managedFields: _fields, generateName, ...metadata } = metadataOf(object);
  const isUnnamed = metadata['name'] === undefined && typeof generateName === 'string';
  return {
    ...object,
    metadata: isUnnamed ? { ...metadata, name: `${generateName}x` } : metadata,
  };
}

/** A waypoint, or a route with a parent in the mesh. */
function concernsMesh(object: JsonObject): boolean {
  const spec = recordOf(object['spec']);
  if (object['kind'] === 'Gateway') {
    const name = spec['gatewayClassName'];
    return typeof name === 'string' && WAYPOINT_CLASSES.includes(name);
  }
  const parents: readonly unknown[] = Array.isArray(spec['parentRefs']) ? spec['parentRefs'] : [];
  return parents.some((parent) => {
    const kind = recordOf(parent)['kind'];
    return kind === 'Service' || kind === 'ServiceEntry';
  });
}

function metadataOf(object: JsonObject): JsonObject {
  return recordOf(object['metadata']);
}

function recordOf(value: unknown): JsonObject {
  const isRecord = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isRecord ? (value as JsonObject) : {};
}
