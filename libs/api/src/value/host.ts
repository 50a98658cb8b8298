/**
 * Host names: completion with a namespace, wildcards, and which of two patterns is more specific.
 *
 * Semantics §2.0: only a name without a dot is completed; `reviews.prod` is taken as it stands.
 */
const LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i;
export const HOST_LENGTH_MAX = 253;

/** What `isHostname` accepts, but for the length of the whole, as a pattern that an API server takes. */
export function hostPattern(options: { readonly wildcard: boolean }): string {
  const label = '[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?';
  const name = `${label}(\\.${label})*\\.?`;
  return options.wildcard ? `^(\\*|(\\*\\.)?${name})$` : `^${name}$`;
}

/** `reviews` → `reviews.shop.svc.cluster.local`; anything with a dot or a wildcard only becomes lower case. */
export function completeHost(host: string, namespace: string, clusterDomain: string): string {
  const name = host.toLowerCase().replace(/\.$/, '');
  if (name === '' || name.includes('.') || name.includes('*')) return name;
  return `${name}.${namespace}.svc.${clusterDomain.toLowerCase()}`;
}

/** True if `pattern` (exact, `*.suffix` or `*`) covers `host`. A wildcard covers one or more leading labels. */
export function hostMatches(pattern: string, host: string): boolean {
  const wanted = pattern.toLowerCase();
  const name = host.toLowerCase();
  if (wanted === '*') return name !== '';
  if (!wanted.startsWith('*.')) return wanted === name;
  const suffix = wanted.slice(1);
  return name.length > suffix.length && name.endsWith(suffix);
}

/** Negative if `a` is more specific: exact before wildcard, longer wildcard before shorter, then by name. */
export function compareHostSpecificity(a: string, b: string): number {
  const isWildA = a.startsWith('*');
  const isWildB = b.startsWith('*');
  if (isWildA !== isWildB) return isWildA ? 1 : -1;
  if (isWildA && a.length !== b.length) return b.length - a.length;
  return a < b ? -1 : a > b ? 1 : 0;
}

/** A DNS name of labels; with `wildcard`, also `*` and `*.name`. */
export function isHostname(text: string, options: { readonly wildcard: boolean }): boolean {
  if (text === '' || text.length > HOST_LENGTH_MAX) return false;
  let name = text;
  if (name.startsWith('*')) {
    if (!options.wildcard) return false;
    if (name === '*') return true;
    if (!name.startsWith('*.')) return false;
    name = name.slice(2);
  }
  return name
    .replace(/\.$/, '')
    .split('.')
    .every((label) => LABEL.test(label));
}
