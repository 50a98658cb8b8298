/**
 * What is in force instead of a security object, or a waypoint's Gateway or GatewayClass, that is refused and of which no version was ever accepted.
 *
 * The cluster, or a folder, took it, so whoever wrote it believes that it protects something. Until it is corrected its scope
 * gets the strictest thing that it could have meant, and never less; if the scope cannot be read, its namespace, and whatever goes
 * through the namespace's waypoints and services.
 */
import { ANYWHERE, INBOUND_BINDING, type MeshObject, parseObject, STAND_IN } from '@ambit/api';

import { bindingStandIn } from './gateway-stand-in.ts';
import { revisionOf } from './revision.ts';

type Json = Readonly<Record<string, unknown>>;

/** Said in the log, with the key and the findings. */
export const STOOD_IN =
  'a policy is refused and was never accepted; what it could refuse in its scope is refused until it is fixed';

/** Of a spec that say nothing of where it holds. */
const FIELDS: ReadonlySet<string> = new Set([
  'action',
  'provider',
  'rules',
  'mtls',
  'portLevelMtls',
]);
/** Annotations of stand-ins. */
const MADE = new WeakSet<object>();
const YES: ReadonlySet<unknown> = new Set(['1', 't', 'T', 'true', 'TRUE', 'True']);

/** Undefined where nothing that is refused can open anything: only policies close, and a waypoint that nobody can read. */
export function standInFor(written: Json): MeshObject | undefined {
  return standInsFor(written)[0];
}

/** The one to take first, and those for whoever cannot take it: of a wider scope. */
export function standInsFor(written: Json): readonly MeshObject[] {
  if (written['kind'] === 'Gateway' || written['kind'] === 'GatewayClass') {
    const nobody = bindingStandIn(written);
    // Said in no words that are known, so that nothing is taken as decided there.
    return nobody === undefined ? [] : [marked(nobody, { [INBOUND_BINDING]: '' }, written)];
  }
  const spec = recordOf(written['spec']);
  const meaning = meaningOf(written, spec);
  if (meaning === undefined) return [];
  const found: MeshObject[] = [];
  const { selector, targetRef, targetRefs } = spec;
  const isPolicy = written['kind'] === 'AuthorizationPolicy';
  const scope = isPolicy ? { selector, targetRef, targetRefs } : { selector };
  const isRead = Object.values(scope).some((one) => one !== undefined) || isAllRead(spec);
  const places = [
    ...(isRead ? [{ where: scope, mark: {} }] : []),
    { where: {}, mark: { [ANYWHERE]: 'true' } },
  ];
  for (const metadata of metadataOf(recordOf(written['metadata']))) {
    for (const { where, mark } of places) {
      const { apiVersion, kind } = written;
      const { object } = parseObject({
        apiVersion,
        kind,
        metadata,
        spec: { ...where, ...meaning },
      });
      if (object !== undefined) found.push(marked(object, mark, written));
    }
  }
  return found;
}

/** Only afterwards: no object that is read may say so of itself. Another mesh's object is stood in for by one of that mesh. */
function marked(
  object: MeshObject,
  mark: Readonly<Record<string, string>>,
  written: Json,
): MeshObject {
  const annotations = { [STAND_IN]: 'true', ...mark };
  MADE.add(annotations);
  const labels = { ...object.metadata.labels, ...revisionOf(written) };
  return { ...object, metadata: { ...object.metadata, annotations, labels } };
}

/** Made here, or a copy of that with the same annotations; what an object says of itself, anybody can write. */
export function isStandIn({ metadata }: MeshObject): boolean {
  return MADE.has(metadata.annotations);
}

/** A refused RequestAuthentication leaves its callers without a principal, which is closed already. */
function meaningOf(written: Json, spec: Json): Json | undefined {
  if (written['kind'] === 'PeerAuthentication') return { mtls: { mode: 'STRICT' } };
  if (written['kind'] !== 'AuthorizationPolicy') return undefined;
  const { action } = spec;
  const dryRun = recordOf(recordOf(written['metadata'])['annotations'])['istio.io/dry-run'];
  if (action === 'AUDIT' || YES.has(dryRun)) return undefined;
  // Nobody is named: what others allow stays allowed.
  if (action === undefined || action === 'ALLOW') return { action: 'ALLOW' };
  return { action: 'DENY', rules: [{}] };
}

/** As written where that can be read; else what names the object. */
function metadataOf({ name, namespace, uid, ...rest }: Json): readonly Json[] {
  const { creationTimestamp, generation } = rest;
  const named = { name, namespace, uid };
  return [{ ...named, creationTimestamp, generation }, named];
}

/** A scope could have been meant by a field that nobody knows. */
function isAllRead(spec: Json): boolean {
  return Object.keys(spec).every((field) => FIELDS.has(field));
}

function recordOf(value: unknown): Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Json)
    : {};
}
