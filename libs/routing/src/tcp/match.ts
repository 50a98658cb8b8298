/** Which TCP rule a connection meets, in order; without any rule the service itself is the cluster. */
import { atPort } from '../http/addressed-port.ts';
import type { ClusterRef } from '../http/route-table.ts';
import type { TcpConnectionView, TcpRouteTable, TcpRuleEntry, TcpShare } from './compile.ts';

export type TcpDecision =
  | { readonly kind: 'route'; readonly shares: readonly TcpShare[]; readonly rule?: TcpRuleEntry }
  /** Rules exist and none matches: the connection is closed. */
  | { readonly kind: 'no-route'; readonly flag: 'NR'; readonly tried: readonly TcpRuleEntry[] };

/** The share is drawn by `pickWeighted`. */
export function matchTcp(table: TcpRouteTable, connection: TcpConnectionView): TcpDecision {
  const { namespace } = connection.source;
  const consumer = namespace === undefined ? undefined : table.consumers.get(namespace);
  for (const routes of [consumer ?? [], table.producer, table.virtualServices]) {
    const tried = routes.filter((entry) => concerns(entry, connection));
    if (tried.length === 0) continue;
    const rule = tried.find((entry) => entry.matches(connection));
    if (rule === undefined) return { kind: 'no-route', flag: 'NR', tried };
    const shares = rule.shares.map((share) => shareAtPort(share, connection.port));
    return { kind: 'route', shares, rule };
  }
  const cluster: ClusterRef = { host: table.service.hostname, port: connection.port };
  return { kind: 'route', shares: [{ weight: 1, target: { kind: 'cluster', cluster } }] };
}

function concerns(entry: TcpRuleEntry, connection: TcpConnectionView): boolean {
  const { visibleTo } = entry;
  const { namespace } = connection.source;
  const isVisible =
    visibleTo === undefined || (namespace !== undefined && visibleTo.has(namespace));
  return isVisible && entry.concerns(connection);
}

function shareAtPort(share: TcpShare, port: number): TcpShare {
  return share.target.kind === 'cluster'
    ? { ...share, target: { kind: 'cluster', cluster: atPort(share.target.cluster, port) } }
    : share;
}
