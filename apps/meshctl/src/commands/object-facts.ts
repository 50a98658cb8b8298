/** One line of facts of policies and routes, for tables. */
import type { MeshObject } from '@ambit/api';

/** Action or mode, and whom it applies to. */
export function appliesTo(object: MeshObject | undefined): readonly [string, string] {
  if (object?.kind === 'AuthorizationPolicy') {
    return [object.spec.action, scopeOf(object.spec.selector, object.spec.targetRefs)];
  }
  if (object?.kind === 'PeerAuthentication') {
    return [object.spec.mtls.mode, scopeOf(object.spec.selector, [])];
  }
  return ['-', '-'];
}

export function routeHosts(object: MeshObject | undefined): string {
  if (object?.kind === 'VirtualService') return object.spec.hosts.join(' ');
  if (object?.kind === 'DestinationRule') return object.spec.host;
  if (object?.kind === 'HTTPRoute' || object?.kind === 'GRPCRoute' || object?.kind === 'TCPRoute') {
    return object.spec.parentRefs
      .map(({ kind, name, port }) => `${kind}/${name}${port === undefined ? '' : `:${port}`}`)
      .join(' ');
  }
  return '-';
}

function scopeOf(
  selector: { readonly matchLabels: Readonly<Record<string, string>> } | undefined,
  targetRefs: readonly { readonly kind: string; readonly name: string }[],
): string {
  if (targetRefs.length > 0) return targetRefs.map(({ kind, name }) => `${kind}/${name}`).join(' ');
  const labels = Object.entries(selector?.matchLabels ?? {}).map(
    ([key, value]) => `${key}=${value}`,
  );
  return labels.length === 0 ? 'its namespace' : labels.join(',');
}
