/**
 * Which versions of the mesh's programs may meet. A proxy is of the controller's minor version or of the one before, meshctl of the
 * controller's or of the one after; patches do not matter. What is outside of that may work, and nobody has tried it.
 *
 * Rule: a tag that is no version (`latest`, a digest) says nothing, so nothing is said of it.
 */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

export interface Named {
  readonly name: string;
  readonly version: string;
}

/** `same` has the same minor version. */
export type SkewState = 'same' | 'supported' | 'too-old' | 'too-new' | 'unknown';

export interface Skew {
  readonly state: SkewState;
  /** `1 minor version older`; empty for `same` and `unknown`. */
  readonly distance: string;
}

const MINOR_SKEW_MAX = 1;
const NOTHING: Skew = { state: 'unknown', distance: '' };

/** `0.1.0`, `v0.1.0-rc.1`; undefined for what is none. */
export function parseVersion(text: string): Version | undefined {
  const [, major, minor, patch] =
    /^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})(?:[-+][0-9A-Za-z.+-]*)?$/.exec(text) ?? [];
  return patch === undefined
    ? undefined
    : { major: Number(major), minor: Number(minor), patch: Number(patch) };
}

/** The newest of them, as it was written; undefined if none is a version. */
export function newestOf(versions: readonly string[]): string | undefined {
  let best: { readonly text: string; readonly version: Version } | undefined;
  for (const text of versions) {
    const version = parseVersion(text);
    if (version === undefined) continue;
    if (best === undefined || compare(version, best.version) > 0) best = { text, version };
  }
  return best?.text;
}

/** Of an agent or a waypoint to controllers: to the newest of them, since an upgrade has several. */
export function proxySkew(proxy: string, controllers: readonly string[]): Skew {
  return skewOf(proxy, newestOf(controllers), { older: MINOR_SKEW_MAX, newer: 0 });
}

/** Of meshctl to the controllers. */
export function clientSkew(client: string, controllers: readonly string[]): Skew {
  return skewOf(client, newestOf(controllers), { older: 0, newer: MINOR_SKEW_MAX });
}

function skewOf(
  text: string,
  reference: string | undefined,
  allowed: { readonly older: number; readonly newer: number },
): Skew {
  const own = parseVersion(text);
  const other = parseVersion(reference ?? '');
  if (own === undefined || other === undefined) return NOTHING;
  if (own.major !== other.major) {
    const isOlder = own.major < other.major;
    return {
      state: isOlder ? 'too-old' : 'too-new',
      distance: `${plural(Math.abs(own.major - other.major), 'major')} ${isOlder ? 'older' : 'newer'}`,
    };
  }
  const ahead = own.minor - other.minor;
  if (ahead === 0) return { state: 'same', distance: '' };
  const distance = `${plural(Math.abs(ahead), 'minor')} ${ahead < 0 ? 'older' : 'newer'}`;
  if (ahead < 0) return { state: -ahead <= allowed.older ? 'supported' : 'too-old', distance };
  return { state: ahead <= allowed.newer ? 'supported' : 'too-new', distance };
}

function plural(count: number, what: 'major' | 'minor'): string {
  return count === 1 ? `one ${what} version` : `${count} ${what} versions`;
}

function compare(a: Version, b: Version): number {
  return a.major - b.major || a.minor - b.minor || a.patch - b.patch;
}

/** What proxies that are outside of the supported skew need. */
export const SKEW_HINTS = {
  'too-old': 'upgrade them one minor version at a time: meshctl upgrade, kubectl rollout status',
  'too-new': 'upgrade the controller; it does not know what they may be told',
} as const;
