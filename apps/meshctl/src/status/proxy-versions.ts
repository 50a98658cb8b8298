/**
 * Versions of agents and waypoints, one of each pod: what it says on its stream, else the tag of its image.
 *
 * Rule: never by name. The pods of one waypoint share theirs, as an agent and its successor do, and an old one must not hide behind a
 * new one.
 */
import type { AdminProxy } from '@ambit/model';
import type { ProxyAdmin } from '../target/mesh-target.ts';
import type { Named } from './skew.ts';

export interface ProxyVersion extends Named {
  /** `namespace/name` of its pod; absent where nobody says which it is. */
  readonly pod?: string;
}

type Admin = Pick<ProxyAdmin, 'kind' | 'name' | 'pod' | 'version'>;
type Said = Pick<AdminProxy, 'id' | 'kind' | 'name' | 'version' | 'connectedSinceMs'>;

/** Of the streams of one pod at several replicas, the newest counts. */
export function proxyVersions(
  admins: readonly Admin[],
  streams: readonly Said[],
): readonly ProxyVersion[] {
  const said = new Map<string, ProxyVersion>();
  const names = new Set<string>();
  const byAge = streams.toSorted((a, b) => (a.connectedSinceMs ?? 0) - (b.connectedSinceMs ?? 0));
  for (const { id, kind, name, version } of byAge) {
    if (version === undefined) continue;
    const pod = podOfProxy(id);
    said.set(pod ?? id, { name, version, ...(pod === undefined ? {} : { pod }) });
    names.add(`${kind} ${name}`);
  }
  const tags = admins.flatMap(({ kind, name, pod, version }): readonly ProxyVersion[] => {
    const isKnown = pod === undefined ? names.has(`${kind} ${name}`) : said.has(pod);
    if (isKnown || version === undefined) return [];
    return [{ name, version, ...(pod === undefined ? {} : { pod }) }];
  });
  return [...said.values(), ...tags].sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1));
}

/** Of one row; undefined if nobody knows. */
export function versionOfProxy(
  { id, name, version }: Said,
  versions: readonly ProxyVersion[],
): string | undefined {
  if (version !== undefined) return version;
  const pod = podOfProxy(id);
  const own = versions.find((one) => pod !== undefined && one.pod === pod);
  return (own ?? versions.find((one) => one.pod === undefined && one.name === name))?.version;
}

/** With the pod where the name alone would not say which. */
export function namedApart(versions: readonly ProxyVersion[]): readonly Named[] {
  const times = new Map<string, number>();
  for (const { name } of versions) times.set(name, (times.get(name) ?? 0) + 1);
  return versions.map(({ name, pod, version }) => {
    const isAlone = pod === undefined || times.get(name) === 1;
    return { name: isAlone ? name : `${name} (pod ${pod})`, version };
  });
}

/** `shop/waypoint-1` of a stream's `waypoint~10.0.0.9~waypoint-1.shop~…`, and of `Pod/shop/waypoint-1`, which has none. */
function podOfProxy(id: string): string | undefined {
  if (id.startsWith('Pod/')) return id.slice('Pod/'.length);
  const text = id.split('~')[2] ?? '';
  // A pod's name may have dots, a namespace's has none.
  const dot = text.lastIndexOf('.');
  return dot <= 0 ? undefined : `${text.slice(dot + 1)}/${text.slice(0, dot)}`;
}

function sortKey({ name, pod = '' }: ProxyVersion): string {
  return `${name} ${pod}`;
}
