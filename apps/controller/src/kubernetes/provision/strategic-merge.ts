/**
 * Strategic merge of an overlay into an object: lists of named things are merged by name, other lists replaced.
 *
 * Rule: the keys of lists and the `$patch` directives mean what they mean to `kubectl patch`; null takes a field away. Nothing
 * is changed in place.
 */
type Fields = Readonly<Record<string, unknown>>;

export interface MergeProblem {
  /** From the overlay's root. */
  readonly path: string;
  readonly message: string;
  readonly found: string;
  readonly allowed: string;
}

/** Lists that Kubernetes merges, by the name of their field (`patchMergeKey` of its types). */
const MERGE_KEYS: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  env: 'name',
  volumes: 'name',
  imagePullSecrets: 'name',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  topologySpreadConstraints: 'topologyKey',
  hostAliases: 'ip',
  resourceClaims: 'name',
};
/** Of a Service the port clients see, of a container the one it has. */
const SERVICE_PORTS = 'spec.ports';
const PATCH = '$patch';
const RETAIN_KEYS = '$retainKeys';
const DELETE_PRIMITIVES = '$deleteFromPrimitiveList/';
const ORDER = '$setElementOrder/';
const DEPTH_MAX = 64;
const SHOWN_MAX = 80;

/** The merged object; problems leave the part they concern as it was. */
export function strategicMerge(
  base: Fields,
  overlay: Fields,
  problems: MergeProblem[] = [],
): Fields {
  return mergeFields(base, overlay, { path: '', depth: 0, problems });
}

interface Place {
  readonly path: string;
  readonly depth: number;
  readonly problems: MergeProblem[];
}

function mergeFields(base: Fields, overlay: Fields, place: Place): Fields {
  if (place.depth > DEPTH_MAX) {
    return refuse(place, { base, found: overlay, allowed: `at most ${DEPTH_MAX} levels` });
  }
  const directive = overlay[PATCH];
  if (directive === 'replace') return without(overlay);
  if (directive === 'delete') return {};
  const merged = new Map(Object.entries(retained(base, overlay)));
  for (const [field, wanted] of Object.entries(overlay)) {
    if (field.startsWith(DELETE_PRIMITIVES)) {
      deletePrimitives(merged, field.slice(DELETE_PRIMITIVES.length), wanted);
    } else if (field !== PATCH && field !== RETAIN_KEYS && !field.startsWith(ORDER)) {
      const at = { ...place, path: joined(place.path, field), depth: place.depth + 1 };
      if (wanted === null) merged.delete(field);
      else merged.set(field, mergeValue(merged.get(field), wanted, at));
    }
  }
  return Object.fromEntries(merged);
}

function mergeValue(base: unknown, wanted: unknown, place: Place): unknown {
  if (base === undefined || base === null) {
    return isFields(wanted) ? mergeFields({}, wanted, place) : mergedInto([], wanted, place);
  }
  if (kindOf(base) !== kindOf(wanted)) {
    return refuse(place, { base, found: wanted, allowed: kindOf(base) });
  }
  if (isFields(base) && isFields(wanted)) return mergeFields(base, wanted, place);
  return Array.isArray(base) ? mergedInto(base, wanted, place) : wanted;
}

/** A list into a list; what is no list is taken as it is. */
function mergedInto(base: readonly unknown[], wanted: unknown, place: Place): unknown {
  if (!Array.isArray(wanted)) return wanted;
  const key = mergeKeyOf(place.path);
  return key === undefined ? wanted : mergeList(base, wanted, { key, place });
}

function mergeList(
  base: readonly unknown[],
  wanted: readonly unknown[],
  { key, place }: { readonly key: string; readonly place: Place },
): unknown {
  const isReplaced = wanted.some(
    (item) => isFields(item) && item[PATCH] === 'replace' && item[key] === undefined,
  );
  const merged: unknown[] = isReplaced ? [] : [...base];
  // By key; of two of one key the first.
  const places = new Map<unknown, number>();
  for (const [index, item] of merged.entries()) {
    if (isFields(item) && !places.has(item[key])) places.set(item[key], index);
  }
  const isGone = new Set<number>();
  for (const [index, item] of wanted.entries()) {
    const at = { ...place, path: `${place.path}[${index}]`, depth: place.depth + 1 };
    if (!isFields(item) || item[key] === undefined) {
      if (isFields(item) && item[PATCH] === 'replace') continue;
      refuse(at, { base: undefined, found: item, allowed: `an object with "${key}"` });
      continue;
    }
    const found = places.get(item[key]);
    if (item[PATCH] === 'delete') {
      if (found !== undefined) isGone.add(found);
      places.delete(item[key]);
      continue;
    }
    const old = found === undefined ? {} : (merged[found] as Fields);
    const target = found ?? merged.length;
    places.set(item[key], target);
    merged[target] = mergeFields(old, item, at);
  }
  return merged.filter((_, index) => !isGone.has(index));
}

function mergeKeyOf(path: string): string | undefined {
  if (path === SERVICE_PORTS) return 'port';
  const field = path.slice(path.lastIndexOf('.') + 1);
  if (field === 'ports') return 'containerPort';
  return Object.hasOwn(MERGE_KEYS, field) ? MERGE_KEYS[field] : undefined;
}

function retained(base: Fields, overlay: Fields): Fields {
  const keys = overlay[RETAIN_KEYS];
  return Array.isArray(keys)
    ? Object.fromEntries(Object.entries(base).filter(([field]) => keys.includes(field)))
    : base;
}

function deletePrimitives(merged: Map<string, unknown>, field: string, values: unknown): void {
  const list = merged.get(field);
  if (Array.isArray(list) && Array.isArray(values)) {
    merged.set(
      field,
      list.filter((item) => !values.includes(item)),
    );
  }
}

function without(overlay: Fields): Fields {
  return Object.fromEntries(Object.entries(overlay).filter(([field]) => field !== PATCH));
}

function refuse<T>(
  { path, problems }: Place,
  { base, found, allowed }: { readonly base: T; readonly found: unknown; readonly allowed: string },
): T {
  const text = (JSON.stringify(found) ?? 'nothing').slice(0, SHOWN_MAX);
  problems.push({ path, message: 'cannot be merged', found: text, allowed });
  return base;
}

function joined(path: string, field: string): string {
  return path === '' ? field : `${path}.${field}`;
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  return isFields(value) ? 'an object' : 'a single value';
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
